"""One charger's connection: an open socket, what is outstanding on it, and what waits for its turn."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bench.load import frames
from bench.load.scripts import BOOT, Script
from bench.load.tally import Tally

_HEADER_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Account:
    """Who a charger is, and where it connects."""

    device_id: str
    password: str
    token: str
    port: int
    source: str
    path: str = "/ocpp/"


class Charger:
    """Connects, boots, and then sends what it is told to, one CALL at a time unless ``window`` allows more.

    ``on_booted`` is called when it has booted, ``on_idle`` whenever fewer than ``window`` CALLs are outstanding.
    """

    __slots__ = (
        "_account",
        "_awaited",
        "_data",
        "_due",
        "_sequence",
        "_socket",
        "_tally",
        "_upgraded",
        "alive",
        "booted",
        "on_booted",
        "on_idle",
        "on_lost",
        "script",
        "window",
    )

    def __init__(self, account: Account, load: str, tally: Tally, *, window: int = 1, begin: int = 0) -> None:
        self._account = account
        self._tally = tally
        self.script = Script(load, account.device_id, account.token, begin=begin)
        self.window = window
        self._sequence = 0
        self._due: deque[float] = deque()
        self.on_booted: Callable[[Charger], None] = lambda _: None
        self.on_idle: Callable[[Charger], None] = lambda _: None
        self.on_lost: Callable[[Charger, str], None] = lambda _, __: None
        self._reset()

    def _reset(self) -> None:
        self._awaited: dict[bytes, tuple[str, float]] = {}
        self._data = b""
        self._upgraded = self.booted = self.alive = False

    @property
    def outstanding(self) -> int:
        """CALLs without an answer, sent or not."""
        return len(self._awaited) + len(self._due)

    def connect(self) -> int:
        """Begin to connect; the socket's descriptor. It is to be watched for reading and writing."""
        self._reset()
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port may serve another target
        self._socket.bind((self._account.source, 0))
        self._socket.connect_ex(("127.0.0.1", self._account.port))
        self.alive = True
        return self._socket.fileno()

    def writable(self) -> bool:
        """The TCP connection is there, or could not be had: whether it is."""
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._lose("not connected")
            return False
        account = self._account
        headers = ["Sec-WebSocket-Protocol: ocpp1.6"]
        if account.password:
            headers.append(frames.basic(account.device_id, account.password))
        return self._write(frames.upgrade(account.path + account.device_id, *headers))

    def readable(self) -> None:
        """Bytes of the server are there."""
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose("closed by the server")
            return
        data = self._data + data if self._data else data
        start = 0
        if not self._upgraded:
            end = data.find(_HEADER_END)
            if end < 0:
                self._data = data
                return
            if not data.startswith(b"HTTP/1.1 101 "):
                self._lose("refused with " + data[9:12].decode("latin-1"))
                return
            self._upgraded, start = True, end + len(_HEADER_END)
            self._call("BootNotification", BOOT % self._account.device_id, time.perf_counter())
        while self.alive and (found := frames.parse(data, start)) is not None:
            opcode, payload, start = found
            self._heed(opcode, payload)
        self._data = data[start:]

    def _heed(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.TEXT:
            self._text(payload)
        elif opcode == frames.PING:
            self._write(frames.frame(payload, frames.PONG))
        elif opcode == frames.CLOSE:
            self._write(frames.frame(payload, frames.CLOSE))
            self._lose(f"closed with {int.from_bytes(payload[:2], 'big')}")

    def _text(self, text: bytes) -> None:
        begin = text.find(b'"') + 1
        unique_id = text[begin : text.find(b'"', begin)]
        kind = text[1:2]
        if kind == b"2":  # a CALL of the server
            self._write(frames.frame(b'[4,"%s","NotImplemented","",{}]' % unique_id))
            return
        awaited = self._awaited.pop(unique_id, None)
        if awaited is None:
            self._tally.errors["answer to nothing"] += 1
            return
        action, since = awaited
        if kind != b"3":
            self._tally.errors[f"{action}: {text.decode(errors='replace')[:120]}"] += 1
        elif action == "StartTransaction" and not self.script.started(text):
            self._tally.errors["StartTransaction was not accepted"] += 1
        if self.script.opens:
            self._tally.answered(action, 0.0)
            self.say(time.perf_counter())
        elif not self.booted:
            self._tally.answered(action, 0.0)
            self.booted = True
            self.on_booted(self)
        else:
            self._tally.answered(action, time.perf_counter() - since)
        if self._due:
            self._send_next(self._due.popleft())
        elif self.alive:
            self.on_idle(self)

    def say(self, since: float) -> None:
        """Send what comes next, now or when it is its turn; its latency counts from ``since``."""
        if len(self._awaited) < self.window:
            self._send_next(since)
        else:
            self._due.append(since)

    def _send_next(self, since: float) -> None:
        self._call(*self.script.next(), since)

    def _call(self, action: str, payload: str, since: float) -> None:
        self._sequence += 1
        unique_id = f"{self._account.device_id}-{self._sequence:08x}"
        self._awaited[unique_id.encode()] = (action, since)
        self._write(frames.frame(f'[2,"{unique_id}","{action}",{payload}]'.encode()))

    def _write(self, data: bytes) -> bool:
        try:
            sent = self._socket.send(data)
        except OSError:
            sent = -1
        if sent != len(data):  # a few hundred bytes always fit, unless the server reads no more
            self._lose("could not write")
            return False
        return True

    def close(self) -> None:
        """Leave, without a word."""
        if self.alive:
            self.alive = False
            self._socket.close()

    def _lose(self, why: str) -> None:
        if self.alive:
            self.close()
            self.on_lost(self, why)
