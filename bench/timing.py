"""Whether the time of an answer tells a stranger more than the answer: ``python bench/timing.py``.

Asks csms, as it comes, in turn for a charger that is there and for one that is not, both with a wrong password, each
time from the beginning; and signs in as somebody who is there and as somebody who is not. Prints the medians in
milliseconds and how often the first took longer than the second: 0.5 is what chance gives.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from tests.integration.people import post, sign_in
from tests.integration.processes import Service
from tests.servers.daemon import free_port

PASSWORD = "a person's long password"
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": "ocpp1.6",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=400, help="of each kind, for chargers")
    parser.add_argument("--people", type=int, default=4, help="of each kind, for people: the throttle allows few")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        port, place = free_port(), Path(directory)
        known = [f"CP{number}" for number in range(arguments.tries)]
        service = Service("csms", place, {"CSMS_GATEWAY_PORT": str(port)})
        service.start()
        try:
            cookie = sign_in(service.sign_in_link())
            for device_id in known:
                post(service.http_port, "/api/v1/chargers", {"deviceId": device_id}, cookie)
            post(service.http_port, "/api/v1/users", {"name": "ann", "password": PASSWORD, "role": "viewer"}, cookie)
            chargers = [(partial(charger, port, one), partial(charger, port, f"NO{one}")) for one in known]
            compare("a charger's wrong password", chargers)
            ann, bob = partial(person, service.http_port, "ann"), partial(person, service.http_port, "bob")
            compare("a person's wrong password", [(ann, bob)] * arguments.people)
        finally:
            service.terminate()


def compare(what: str, pairs: Sequence[tuple[Callable[[], float], Callable[[], float]]]) -> None:
    """Time the pairs, in either order, and print."""
    there, missing = [], []
    for number, (one, other) in enumerate(pairs):
        if number % 2:
            missing.append(other())
            there.append(one())
        else:
            there.append(one())
            missing.append(other())
    longer = sum(a > b for a, b in zip(there, missing, strict=True)) / len(pairs)
    medians = [1000 * statistics.median(times) for times in (there, missing)]
    print(f"{what}: known {medians[0]:.3f} ms, unknown {medians[1]:.3f} ms, known took longer: {longer:.2f}")


def charger(port: int, device_id: str) -> float:
    pair = base64.b64encode(f"{device_id}:wrong-wrong-wrong-wrong".encode()).decode()
    return _timed(port, "GET", f"/ocpp/{device_id}", {**UPGRADE, "Authorization": f"Basic {pair}"}, None, 401)


def person(port: int, name: str) -> float:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{port}"}
    return _timed(port, "POST", "/sign-in", headers, urlencode({"name": name, "password": "not the password"}), 403)


def _timed(port: int, method: str, path: str, headers: dict[str, str], body: str | None, expected: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.connect()
    began = time.perf_counter()
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    response.read()
    took = time.perf_counter() - began
    connection.close()
    if response.status != expected:
        raise SystemExit(f"{path} answered {response.status}, not {expected}")
    return took


if __name__ == "__main__":
    main()
