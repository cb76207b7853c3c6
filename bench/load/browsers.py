"""``python -m bench.load.browsers``: many browsers on /events, and one charger whose status changes.

Each browser follows that charger. A latency runs from the charger's message to one browser's frame, so a change gives
as many latencies as there are browsers.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time

from bench.load import frames
from bench.load.charger import Account, Charger
from bench.load.swarm import Swarm
from bench.load.tally import Tally, spread_ms

_PATIENCE_S = 20.0
_NOTIFICATION = b'{"event":"notification"'
_SUBSCRIBED = b'{"event":"subscribed"}'
_HOLD_S = 1.5
"""A new browser gets nothing for a second, so that it can say what it saw last."""


class Browser:
    """One socket. ``subscribed``: the server has said that it knows what this browser wants to see."""

    def __init__(self, port: int, cookie: str, device_id: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        origin = f"Origin: http://127.0.0.1:{port}"
        self.socket.sendall(frames.upgrade("/events", f"Cookie: {cookie}", origin))
        answer = b""
        while b"\r\n\r\n" not in answer:
            received = self.socket.recv(4096)
            if not received:
                raise ConnectionError(f"/events refused: {answer[:200]!r}")
            answer += received
        if not answer.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError(f"/events refused: {answer[:200]!r}")
        wanted = {"action": "subscribe", "chargers": [device_id], "types": ["charger.status.changed"]}
        self.socket.sendall(frames.frame(json.dumps(wanted).encode()))
        self.socket.setblocking(False)
        self.subscribed = False
        self._data = answer.partition(b"\r\n\r\n")[2]

    def read(self) -> int:
        """Read what is there; how many notifications were in it."""
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionError("a browser was closed")
        self._data += received
        start = count = 0
        while (found := frames.parse(self._data, start)) is not None:
            opcode, payload, start = found
            if opcode == frames.PING:
                self.socket.sendall(frames.frame(payload, frames.PONG))
            count += payload.startswith(_NOTIFICATION)
            self.subscribed |= payload == _SUBSCRIBED
        self._data = self._data[start:]
        return count


def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m bench.load.browsers", description=__doc__)
    parser.add_argument("gateway_port", type=int)
    parser.add_argument("http_port", type=int)
    parser.add_argument("--cookie", required=True)
    parser.add_argument("--browsers", type=int, default=1000)
    parser.add_argument("--device-id", required=True)
    parser.add_argument("--password", default="")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two changes")
    arguments = parser.parse_args()

    account = Account(arguments.device_id, arguments.password, "", arguments.gateway_port, "127.0.0.1")
    tally = Tally()
    charger = Charger(account, "status", tally)
    swarm = Swarm([charger], tally, connecting=1)
    swarm.connect(_PATIENCE_S)
    browsers = {}
    for _ in range(arguments.browsers):
        browser = Browser(arguments.http_port, arguments.cookie, arguments.device_id)
        browsers[browser.socket.fileno()] = browser
    epoll = select.epoll()
    for descriptor in browsers:
        epoll.register(descriptor, select.EPOLLIN)
    while not all(browser.subscribed for browser in browsers.values()):
        _swallow(epoll, browsers, 0.1)
    # What is said first may be what was said last the time before, and so no change.
    charger.say(time.perf_counter())
    swarm.finish(_PATIENCE_S)
    _swallow(epoll, browsers, _HOLD_S)
    print(json.dumps({"phase": "connected"}), flush=True)
    took_s: list[float] = []
    last_s: list[float] = []
    began_cpu_s = time.process_time()
    while not select.select([sys.stdin], [], [], 0)[0]:
        since = time.perf_counter()
        charger.say(since)
        try:
            took = _spread(epoll, browsers, since)
        except TimeoutError as error:
            swarm.finish(0.1)
            state = f"charger alive: {charger.alive}, answered: {tally.total}, errors: {tally.errors}"
            raise TimeoutError(f"{error}; {state}") from error
        swarm.finish(_PATIENCE_S)
        took_s += took
        last_s.append(took[-1])
        _swallow(epoll, browsers, arguments.pause)
    result = {"browsers": arguments.browsers, "changes": len(last_s), **spread_ms(took_s), "errors": dict(tally.errors)}
    result["last_p50_ms"] = spread_ms(last_s)["p50_ms"]
    result["own_cpu_us_per_frame"] = round((time.process_time() - began_cpu_s) / len(took_s) * 1e6, 1)
    print(json.dumps({"phase": "result", **result}), flush=True)
    for browser in browsers.values():
        browser.socket.close()
    swarm.close()


def _spread(epoll: select.epoll, browsers: dict[int, Browser], since: float) -> list[float]:
    """How long it took to each browser, in the order of arrival."""
    took: list[float] = []
    end = time.perf_counter() + _PATIENCE_S
    while len(took) < len(browsers):
        for descriptor, _ in epoll.poll(1.0):
            if browsers[descriptor].read():
                took.append(time.perf_counter() - since)
        if time.perf_counter() > end:
            raise TimeoutError(f"a change reached {len(took)} of {len(browsers)} browsers")
    return took


def _swallow(epoll: select.epoll, browsers: dict[int, Browser], seconds: float) -> None:
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        for descriptor, _ in epoll.poll(left):
            browsers[descriptor].read()


if __name__ == "__main__":
    main()
