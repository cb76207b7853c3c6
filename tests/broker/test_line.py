"""A line's life, on a clock and a broker of the test's."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms.broker.address import Address
from csms.broker.line import CONNECT_TIMEOUT_S, Line
from csms.broker.wire import Connection, ConnectionFailed, ConnectionListener

ADDRESS = Address(host="mq", port=5672, vhost="/", username="u", password="p", tls=False)


class LineStops(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.tries: list[Deferred[Connection]] = []
        self.line = Line(
            "publish",
            ADDRESS,
            self.connect,
            prepare=self.prepare,
            release=lambda: None,
            on_change=lambda: None,
            clock=self.clock,
        )

    def connect(self, address: Address, listener: ConnectionListener) -> Deferred[Connection]:
        attempt: Deferred[Connection] = Deferred()
        self.tries.append(attempt)
        return attempt

    async def prepare(self, connection: Connection) -> None:
        """Every connection is fit for use."""

    def stop(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.line.stop()))
        self.clock.advance(CONNECT_TIMEOUT_S)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_in_a_pause_between_two_tries_it_does_not_try_again(self) -> None:
        self.line.start()
        self.tries[0].errback(ConnectionFailed("refused"))
        self.stop()
        self.assertEqual(len(self.tries), 1)

    def test_in_a_try_it_gives_that_up(self) -> None:
        self.line.start()
        self.stop()
        self.assertEqual(len(self.tries), 1)
