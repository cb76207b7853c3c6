"""Connections that write at once: everything arrives, in order, and nobody has to wait for the reactor."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from csms.sockets import PromptServer, listen

reactor: Any = installed_reactor
MUCH = 8_000_000
"""More than the kernel takes for a peer that does not read."""
DEADLINE_S = 20.0


class Connected(Protocol):
    """The server's end."""

    transport: Any

    def __init__(self) -> None:
        self.made: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.made.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


@implementer(IPullProducer)
class Pulled:
    """Writes a number each time it is asked, up to 1,000."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._next = 0

    def resumeProducing(self) -> None:
        self._transport.write(f"{self._next:4}".encode())
        self._next += 1
        if self._next == 1000:
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    def stopProducing(self) -> None:
        """Nothing to stop."""


@implementer(IPushProducer)
class Pushed:
    """Notes when it is to pause and to go on."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.resumed: Deferred[None] = Deferred()

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")
        self.resumed.callback(None)

    def stopProducing(self) -> None:
        """Nothing to stop."""


class PromptServerTests(TestCase):
    timeout = DEADLINE_S

    async def setUp(self) -> None:  # type: ignore[override]
        self.server = Connected()
        factory: Any = ServerFactory.forProtocol(lambda: self.server)
        self.port = listen(reactor, 0, factory, interface="127.0.0.1")
        address: Any = self.port.getHost()
        self.client = socket.create_connection(("127.0.0.1", address.port), timeout=DEADLINE_S)
        await self.server.made
        self.assertIsInstance(self.server.transport, PromptServer)

    async def tearDown(self) -> None:  # type: ignore[override]
        self.client.close()
        self.server.transport.abortConnection()
        await self.server.lost
        await self.port.stopListening()  # type: ignore[misc]

    async def received(self) -> bytes:
        """Everything up to the end."""

        def read() -> bytes:
            pieces = []
            while piece := self.client.recv(1_000_000):
                pieces.append(piece)
            return b"".join(pieces)

        return await deferToThread(read)

    def test_what_fits_is_sent_before_the_call_returns(self) -> None:
        self.server.transport.write(b"one")
        self.assertEqual(self.client.recv(100), b"one")
        self.server.transport.write(b"")
        self.server.transport.write(b"two")
        self.assertEqual(self.client.recv(100), b"two")

    async def test_all_arrives_in_order_when_the_peer_does_not_read_at_first(self) -> None:
        written = [bytes([65 + number % 26]) * (MUCH // 20 if number % 3 else 7) for number in range(30)]
        for number, piece in enumerate(written):
            if number % 5:
                self.server.transport.write(piece)
            else:
                self.server.transport.writeSequence([piece[:3], piece[3:]])
        self.server.transport.loseConnection()
        self.server.transport.write(b"after")
        received = await self.received()
        self.assertEqual(received, b"".join(written) + b"after")

    async def test_it_is_prompt_again_when_all_is_written(self) -> None:
        self.server.transport.write(b"x" * MUCH)
        got = 0
        while got < MUCH:
            got += len(await deferToThread(self.client.recv, 1_000_000))
        turn: Deferred[None] = Deferred()
        reactor.callLater(0.01, turn.callback, None)
        await turn
        self.server.transport.write(b"y")
        self.assertEqual(self.client.recv(100), b"y")

    async def test_a_pulled_producer_is_asked_to_its_end(self) -> None:
        self.server.transport.registerProducer(Pulled(self.server.transport), False)
        self.assertEqual(await self.received(), b"".join(f"{number:4}".encode() for number in range(1000)))

    async def test_a_pushed_producer_pauses_for_what_does_not_fit_only(self) -> None:
        producer = Pushed()
        self.server.transport.registerProducer(producer, True)
        self.server.transport.write(b"x")
        self.assertEqual(producer.told, [])
        self.server.transport.write(b"x" * MUCH)
        self.assertEqual(producer.told, ["pause"])
        got = 0
        while got < MUCH + 1:
            got += len(await deferToThread(self.client.recv, 1_000_000))
        await producer.resumed
        self.assertEqual(producer.told, ["pause", "resume"])
        self.server.transport.unregisterProducer()

    async def test_a_peer_that_has_gone_is_told_of_by_the_reactor(self) -> None:
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.client.close()
        self.server.transport.write(b"x")
        self.server.transport.write(b"y")
        await self.server.lost
        self.server.transport.write(b"z")

    async def test_nothing_is_written_after_an_abort(self) -> None:
        self.server.transport.write(b"x" * MUCH)
        self.server.transport.abortConnection()
        self.server.transport.write(b"y")
        await self.server.lost

        def last() -> bytes:
            piece = b""
            with contextlib.suppress(ConnectionResetError):
                while more := self.client.recv(1_000_000):
                    piece = more
            return piece[-1:]

        self.assertEqual(await deferToThread(last), b"x")

    def test_only_bytes_are_written(self) -> None:
        with self.assertRaises(TypeError):
            self.server.transport.write(bytearray(b"x"))

    def test_a_port_that_is_taken_is_an_error(self) -> None:
        address: Any = self.port.getHost()
        factory: Any = ServerFactory()
        with self.assertRaises(CannotListenError):
            listen(reactor, address.port, factory, interface="127.0.0.1")
