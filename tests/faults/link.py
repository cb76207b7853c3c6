"""A charger's WebSocket: CALLs and their answers, whatever comes in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from tests.faults.ledger import Ledger

OPEN_TIMEOUT_S = 10.0
Frame = list[Any]
OnCall = Callable[[str, dict[str, Any]], dict[str, Any] | None]
"""Answers a command (action, payload); None: not implemented."""


class Unanswered(Exception):  # noqa: N818 - it names what happened
    """The connection ended, or the time was up, or there is no connection to be had."""


class Addresses:
    """The ports of the gateways, as a load balancer that knows nothing would give them out."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = list(ports)

    def port(self, turn: int) -> int:
        """Where to try at this turn."""
        return self.ports[turn % len(self.ports)]


class Link:
    """One connection."""

    def __init__(self, socket: ClientConnection, on_call: OnCall) -> None:
        self._socket = socket
        self._on_call = on_call
        self.answers_commands = True
        self._waiting: dict[str, asyncio.Future[Frame]] = {}
        self._reading = asyncio.create_task(self._read())

    @property
    def is_open(self) -> bool:
        """As far as we know."""
        return not self._reading.done()

    @property
    def close_code(self) -> int:
        """How it ended."""
        return self._socket.close_code or 1006

    async def ask(self, unique_id: str, frame: str, timeout_s: float) -> Frame:
        """The answer to a CALL; raises Unanswered, or TimeoutError while the connection stands."""
        if not self.is_open:
            raise Unanswered
        waiting = self._waiting[unique_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await self._socket.send(frame)
                answer: Frame = await waiting
                return answer
        except ConnectionClosed as closed:
            raise Unanswered from closed
        finally:
            self._waiting.pop(unique_id, None)
            if waiting.done() and not waiting.cancelled():
                waiting.exception()  # looked at, whoever else was quicker

    async def send(self, frame: str) -> None:
        """Write, and wait for nothing."""
        await self._socket.send(frame)

    async def close(self) -> None:
        """In good order."""
        await self._socket.close()
        await self._reading

    def cut(self) -> None:
        """Without a word."""
        self._socket.transport.abort()

    def fall_silent(self) -> None:
        """Read nothing more, and leave the connection open: what a charger does that has lost its network."""
        self._socket.transport.pause_reading()
        self._give_up()

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                await self._received(json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            self._give_up()

    def _give_up(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Unanswered())

    async def _received(self, frame: Frame) -> None:
        if frame[0] == 2:
            answer = self._on_call(frame[2], frame[3])
            if not self.answers_commands:
                return
            reply = [3, frame[1], answer] if answer is not None else [4, frame[1], "NotImplemented", "", {}]
            await self._socket.send(json.dumps(reply))
            return
        waiting = self._waiting.get(frame[1])
        if waiting is not None and not waiting.done():
            waiting.set_result(frame)


async def open_link(url: str, subprotocol: str, ledger: Ledger, on_call: OnCall) -> Link:
    """Connect; raises Unanswered, and the ledger knows why."""
    try:
        socket = await connect(
            url,
            subprotocols=[Subprotocol(subprotocol)],
            compression=None,
            ping_interval=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=2.0,
        )
    except InvalidStatus as refused:
        ledger.refused[refused.response.status_code] += 1
        raise Unanswered from refused
    except (OSError, TimeoutError, InvalidHandshake, InvalidMessage, ConnectionClosed) as error:
        ledger.refused[0] += 1
        raise Unanswered from error
    return Link(socket, on_call)
