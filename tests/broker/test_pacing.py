"""What comes right behind a piece waits for more, in order; what comes alone does not."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from csms.broker.pacing import PACE_S, paced


class PacedConnectionTests(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(100.0)
        factory = Factory.forProtocol(Protocol)
        self.socket = StringTransport()
        connection: Any = paced(factory, self.clock).buildProtocol(None)
        connection.makeConnection(self.socket)
        self.connection = connection
        self.transport = connection.wrappedProtocol.transport

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def written(self) -> bytes:
        """What came to the socket since the last look."""
        data: bytes = self.socket.value()
        self.socket.clear()
        return data

    def test_what_comes_alone_goes_at_once_and_what_comes_with_it_in_the_same_piece(self) -> None:
        self.write(b"a")
        self.write(b"b")
        self.clock.advance(0)
        self.assertEqual(self.written(), b"ab")

    def test_what_comes_behind_a_piece_waits_for_more_and_stays_in_order(self) -> None:
        self.write(b"a")
        self.clock.advance(0)
        self.written()
        self.write(b"b")
        self.clock.advance(PACE_S / 2)
        self.transport.writeSequence([b"c", b"d"])
        self.assertEqual(self.written(), b"")
        self.clock.advance(PACE_S / 2)
        self.assertEqual(self.written(), b"bcd")

    def test_after_a_pause_nothing_waits(self) -> None:
        self.write(b"a")
        self.clock.advance(0)
        self.written()
        self.clock.advance(PACE_S)
        self.write(b"b")
        self.clock.advance(0)
        self.assertEqual(self.written(), b"b")

    def test_a_close_comes_behind_what_was_written(self) -> None:
        for data in (b"a", b"b"):
            self.write(data)
            self.clock.advance(0)
        self.transport.loseConnection()
        self.assertEqual((self.written(), self.socket.disconnecting), (b"ab", True))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_of_a_lost_connection_nothing_stays_behind(self) -> None:
        for data in (b"a", b"b"):
            self.write(data)
            self.clock.advance(0)
        self.connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.written(), self.clock.getDelayedCalls()), (b"a", []))
        self.write(b"c")
        self.assertEqual((self.written(), self.clock.getDelayedCalls()), (b"", []))

    def test_who_asks_one_question_after_the_other_waits_for_no_more(self) -> None:
        for data in (b"a", b"b", b"c"):
            self.write(data)
            self.transport.flush()
            self.assertEqual(self.written(), data)
        self.assertEqual(self.clock.getDelayedCalls(), [])
