"""A TCP relay that holds back what one side says, for as long as it is told to."""

from __future__ import annotations

import asyncio
from contextlib import suppress

CHUNK_BYTES = 65536


class Valve:
    """Listens on a port of loopback, and relays to another one."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self._target_port = target_port
        self._requests = _open_gate()
        self._answers = _open_gate()
        self._pipes: set[_Pipe] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to listen, on ``port``."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def hold_requests(self) -> None:
        """Let nothing through to the server."""
        self._requests.clear()

    def hold_answers(self) -> None:
        """Let nothing through to the client."""
        self._answers.clear()

    def release(self) -> None:
        """Let through what was held back, and all that follows."""
        self._requests.set()
        self._answers.set()

    def cut(self) -> None:
        """Drop every connection, and what was held back with it; new ones pass freely."""
        for pipe in tuple(self._pipes):
            pipe.cut()
        self.release()

    def far_ports(self) -> set[int]:
        """The ports by which the server knows the connections."""
        return {pipe.far_port for pipe in self._pipes}

    async def close(self) -> None:
        """Drop everything and listen no more."""
        if self._server is not None:
            self._server.close()
        pipes = tuple(self._pipes)
        self.cut()
        await asyncio.gather(*(pipe.ended.wait() for pipe in pipes))

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        pipe = _Pipe((reader, writer, self._answers), (far_reader, far_writer, self._requests))
        self._pipes.add(pipe)
        await pipe.run()
        self._pipes.discard(pipe)


_Side = tuple[asyncio.StreamReader, asyncio.StreamWriter, asyncio.Event]
"""An end of a connection, and the gate that what is written to it has to pass."""


class _Pipe:
    """One connection through the valve."""

    def __init__(self, near: _Side, far: _Side) -> None:
        self.far_port: int = far[1].get_extra_info("sockname")[1]
        self.ended = asyncio.Event()
        self._sides = near, far
        self._pumps: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Relay until either end is gone."""
        near, far = self._sides
        self._pumps = [asyncio.create_task(_pump(near[0], far)), asyncio.create_task(_pump(far[0], near))]
        await asyncio.wait(self._pumps, return_when=asyncio.FIRST_COMPLETED)
        self.cut()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        self.ended.set()

    def cut(self) -> None:
        """Drop both ends."""
        for pump in self._pumps:
            pump.cancel()
        for _, writer, _ in self._sides:
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, to: _Side) -> None:
    _, writer, gate = to
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            await gate.wait()
            writer.write(data)
            await writer.drain()


def _open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate
