"""A charger's socket, blocking and byte by byte, that can say anything; and a charger that behaves well beside it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTINUATION = 0
TIMEOUT_S = 20.0


def frame(
    payload: bytes | str, opcode: int = TEXT, *, fin: bool = True, reserved: int = 0, masked: bool = True
) -> bytes:
    """A frame; ``reserved``: the bits RSV1 to RSV3 as they stand (0x40, 0x20, 0x10)."""
    data = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
    mask = 0x80 if masked else 0
    if len(data) < 126:
        length = bytes([mask | len(data)])
    elif len(data) < 65536:
        length = bytes([mask | 126]) + struct.pack(">H", len(data))
    else:
        length = bytes([mask | 127]) + struct.pack(">Q", len(data))
    return bytes([opcode | (0x80 if fin else 0) | reserved]) + length + (b"\0\0\0\0" if masked else b"") + data


def request(target: str, *, subprotocol: str | None = "ocpp1.6", headers: str = "", method: str = "GET") -> bytes:
    """An upgrade request; ``headers`` are further lines, each ending with CRLF."""
    lines = f"{method} {target} HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    lines += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    if subprotocol is not None:
        lines += f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
    return (lines + headers + "\r\n").encode("utf-8", "surrogateescape")


class RawPeer:
    """A TCP connection; every wait ends after ``TIMEOUT_S``."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._data = b""

    def close(self) -> None:
        """Hang up without a word."""
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Write all; that the other side has closed meanwhile shows when reading."""
        with contextlib.suppress(OSError):
            self._socket.sendall(data)

    def open(self, device_id: str, **more: Any) -> str:
        """Become a charger's WebSocket; the answer's header."""
        self.send(request(f"/ocpp/{device_id}", **more))
        status, head = self.response()
        assert status == 101, head
        return head

    def response(self) -> tuple[int, str]:
        """Status and header of an HTTP answer; status 0 when the socket was closed without one."""
        while b"\r\n\r\n" not in self._data:
            if not self._more():
                return 0, self._data.decode("latin-1")
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), head.decode("latin-1")

    def frame(self) -> tuple[int, bytes] | None:
        """Opcode and payload of the next frame; None when the socket was closed."""
        header = self._take(2)
        if header is None:
            return None
        length = header[1]
        if length >= 126:
            extended = self._take(2 if length == 126 else 8)
            length = int.from_bytes(extended or b"")
        payload = self._take(length)
        return None if payload is None else (header[0] & 0x0F, payload)

    def message(self) -> Any:
        """The JSON of the next text frame; the code of a close frame; None when the socket was closed."""
        while (found := self.frame()) is not None:
            opcode, payload = found
            if opcode == TEXT:
                return json.loads(payload)
            if opcode == CLOSE:
                self.send(frame(payload[:2], CLOSE))
                return int.from_bytes(payload[:2])
        return None

    def answers(self, *texts: bytes | str) -> list[Any]:
        """Send the texts and then a Heartbeat; all that came before the answer to that."""
        for text in texts:
            self.send(frame(text))
        return self.until_heartbeat()

    def until_heartbeat(self) -> list[Any]:
        """Send a Heartbeat; all that comes before its answer, or before the end."""
        self.send(frame('[2,"the-last","Heartbeat",{}]'))
        came: list[Any] = []
        while True:
            message = self.message()
            if isinstance(message, list) and message[:2] == [3, "the-last"]:
                return came
            came.append(message)
            if message is None or isinstance(message, int):
                return came

    def gone(self) -> bool:
        """Wait until the other side has closed."""
        while self._more():
            pass
        return True

    def closed(self) -> bool:
        """Whether the other side has closed; waits a moment for that."""
        self._socket.settimeout(0.05)
        try:
            return not self._more()
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(TIMEOUT_S)

    def _take(self, length: int) -> bytes | None:
        while len(self._data) < length:
            if not self._more():
                return None
        taken, self._data = self._data[:length], self._data[length:]
        return taken

    def _more(self) -> bool:
        try:
            data = self._socket.recv(65536)
        except ConnectionError:
            return False
        self._data += data
        return bool(data)


class SteadyCharger:
    """Asks and is answered, again and again, while others misbehave: in a thread, until :meth:`stop`."""

    def __init__(self, port: int) -> None:
        self.answered = 0
        self.longest_s = 0.0
        self.trouble = ""
        self._stop = threading.Event()
        self._peer = RawPeer(port)
        self._peer.open("STEADY")
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Hang up."""
        self._stop.set()
        self._thread.join()
        self._peer.close()

    def wait_beyond(self, answered: int) -> None:
        """Wait until more than that were answered, or something is wrong."""
        while self.answered <= answered + 1 and not self.trouble:
            time.sleep(0.01)

    def _run(self) -> None:
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        while not self._stop.wait(0.02) and not self.trouble:
            self.answered += 1
            number = str(self.answered)
            began = time.monotonic()
            self._peer.send(frame(json.dumps([2, number, "StatusNotification", status])))
            try:
                answer = self._peer.message()
            except OSError as error:
                answer = repr(error)
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            if answer != [3, number, {}]:
                self.trouble = f"{number}: {answer}"


def resident_bytes(pid: int) -> int:
    """The memory that a process has in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
