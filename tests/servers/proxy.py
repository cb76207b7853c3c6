"""A network that can be bad: a TCP relay that stalls, cuts, slows down or chops up what it carries.

It runs in a thread of its own, so that whoever steers it may block, and may use any event loop or none.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")
CHUNK_BYTES = 65536
CALL_TIMEOUT_S = 30.0


class Fate(Enum):
    """What becomes of something that a client says."""

    PASS = "pass"
    CUT_BEFORE = "cut before"
    """The server never hears it."""
    CUT_AFTER = "cut after"
    """The server hears it and answers, and the client hears neither the answer nor anything else."""


class Network:
    """The thread with the relays. One for all links of an installation."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._links: list[Link] = []
        self._thread.start()

    def link(self, target_port: int) -> Link:
        """A new relay to a port of loopback, which need not be open yet."""
        link = Link(self, target_port)
        self.run(link.listen())
        self._links.append(link)
        return link

    def close(self) -> None:
        """Cut everything and end the thread; twice does nothing."""
        if self._loop.is_closed():
            return
        for link in self._links:
            self.run(link.end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the thread, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT_S)


class Link:
    """Listens on ``port`` of loopback and relays to another one. Settings hold for open connections, too."""

    def __init__(self, network: Network, target_port: int) -> None:
        self.port = 0
        self.accepted = 0
        self.delay_s = 0.0
        """How long everything takes from one end to the other, at least."""
        self.slice_bytes = 0
        """What is carried at once, at most; 0: any number."""
        self.judge: Callable[[bytes], Fate] | None = None
        """Is asked, in the relay's thread, about everything that a client says."""
        self._network = network
        self._target_port = target_port
        self._to_server = _gate()
        self._to_client = _gate()
        self._pipes: set[_Pipe] = set()
        self._server: asyncio.Server | None = None

    # --- from any thread

    def stall(self, *, to_server: bool = True, to_client: bool = True) -> None:
        """Carry nothing any more in these directions, and tell nobody: connections stay open, new ones are made."""
        gates = [gate for gate, meant in ((self._to_server, to_server), (self._to_client, to_client)) if meant]
        self._network.run(_for_each(gates, asyncio.Event.clear))

    def resume(self) -> None:
        """Carry everything again, beginning with what was held back."""
        self._network.run(_for_each([self._to_server, self._to_client], asyncio.Event.set))

    def cut(self) -> None:
        """Reset every connection, and drop what was held back."""
        self._network.run(_for_each(tuple(self._pipes), _Pipe.cut))

    def close(self) -> None:
        """Cut, and refuse new connections until :meth:`open`."""
        self._network.run(self.end())

    def open(self) -> None:
        """Listen again on the same port."""
        self._network.run(self.listen())

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._pipes)

    def far_ports(self) -> set[int]:
        """The ports by which the server knows the connections."""
        return {pipe.far_port for pipe in tuple(self._pipes)}

    # --- in the network's thread

    async def listen(self) -> None:
        """Take connections."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def end(self) -> None:
        """Take no more connections, and cut those that there are."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        pipes = tuple(self._pipes)
        for pipe in pipes:
            pipe.cut()
        await asyncio.gather(*(pipe.ended.wait() for pipe in pipes))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _reset(writer)
            return
        pipe = _Pipe(self, writer, far_writer)
        self._pipes.add(pipe)
        try:
            await pipe.run(
                pipe.carry(reader, far_writer, self._to_server, self._judged),
                pipe.carry(far_reader, writer, self._to_client, pipe.answered),
            )
        finally:
            self._pipes.discard(pipe)

    def _judged(self, data: bytes) -> Fate:
        return Fate.PASS if self.judge is None else self.judge(data)


class _Pipe:
    """One connection."""

    def __init__(self, link: Link, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.far_port: int = far.get_extra_info("sockname")[1]
        self.ended = asyncio.Event()
        self._link = link
        self._writers = near, far
        self._doomed = False
        self._carriers: list[asyncio.Task[None]] = []

    async def run(self, *carriers: Coroutine[Any, Any, None]) -> None:
        """Until either end is gone."""
        self._carriers = [asyncio.create_task(carrier) for carrier in carriers]
        try:
            await asyncio.wait(self._carriers, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for carrier in self._carriers:
                carrier.cancel()
            await asyncio.gather(*self._carriers, return_exceptions=True)
            for writer in self._writers:
                writer.close()
            for writer in self._writers:
                with suppress(OSError):
                    await writer.wait_closed()
            self.ended.set()

    def cut(self) -> None:
        """Reset both ends."""
        for writer in self._writers:
            _reset(writer)
        for carrier in self._carriers:
            carrier.cancel()

    def answered(self, _: bytes) -> Fate:
        """Whether the client may hear what the server says."""
        return Fate.CUT_BEFORE if self._doomed else Fate.PASS

    async def carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        gate: asyncio.Event,
        judge: Callable[[bytes], Fate],
    ) -> None:
        """One direction, until that end says no more."""
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if self._link.delay_s:
                    await asyncio.sleep(self._link.delay_s)
                await gate.wait()
                fate = judge(data)
                if fate is Fate.CUT_BEFORE:
                    self.cut()
                    return
                self._doomed = self._doomed or fate is Fate.CUT_AFTER
                size = self._link.slice_bytes or len(data)
                for begin in range(0, len(data), size):
                    writer.write(data[begin : begin + size])
                    await writer.drain()
                    if begin + size < len(data):
                        await asyncio.sleep(0)


def by_chance(pattern: bytes, fates: list[Fate], chance: random.Random) -> Callable[[bytes], Fate]:
    """A judge that gives one of ``fates`` to what contains ``pattern``, and lets all else pass."""
    return lambda data: chance.choice(fates) if pattern in data else Fate.PASS


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, and drop what was not sent yet."""
    if not writer.transport.is_closing():
        end = writer.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


def _gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


async def _for_each(things: Any, change: Callable[[Any], None]) -> None:
    for thing in things:
        change(thing)
