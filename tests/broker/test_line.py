"""A line's life, on a clock and a broker of the test's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms.broker.address import Address
from csms.broker.line import CONNECT_TIMEOUT_S, IMPATIENT_CONNECT_TIMEOUT_S, Line
from csms.broker.wire import Connection, ConnectionFailed, ConnectionListener

ADDRESS = Address(host="mq", port=5672, vhost="/", username="u", password="p", tls=False)


class Wire:
    """A connection that is up until somebody says otherwise."""

    def abort(self) -> None:
        """The end of the connection."""


class LineCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.tries: list[Deferred[Connection]] = []
        self.hosts: list[str] = []
        self.line = self.new_line([ADDRESS])

    def new_line(self, addresses: Sequence[Address]) -> Line:
        return Line(
            "publish",
            addresses,
            self.connect,
            prepare=self.prepare,
            release=lambda: None,
            on_change=lambda: None,
            clock=self.clock,
        )

    def connect(self, address: Address, listener: ConnectionListener) -> Deferred[Connection]:
        attempt: Deferred[Connection] = Deferred()
        self.tries.append(attempt)
        self.hosts.append(address.host)
        return attempt

    async def prepare(self, connection: Connection) -> None:
        """Every connection is fit for use."""

    def stop(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.line.stop()))
        self.clock.advance(CONNECT_TIMEOUT_S)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LineStops(LineCase):
    def test_in_a_pause_between_two_tries_it_does_not_try_again(self) -> None:
        self.line.start()
        self.tries[0].errback(ConnectionFailed("refused"))
        self.stop()
        self.assertEqual(len(self.tries), 1)

    def test_in_a_try_it_gives_that_up(self) -> None:
        self.line.start()
        self.stop()
        self.assertEqual(len(self.tries), 1)


class LineTurns(LineCase):
    def setUp(self) -> None:
        super().setUp()
        self.line = self.new_line([dataclasses.replace(ADDRESS, host=host) for host in ("a", "b", "c")])
        self.line.start()

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def test_a_node_that_refuses_is_followed_by_the_next_and_the_last_by_the_first(self) -> None:
        for number in range(4):
            self.tries[number].errback(ConnectionFailed("refused"))
            self.wait(1.0)
        self.assertEqual(self.hosts, ["a", "b", "c", "a", "b"])
        self.stop()

    def test_a_node_that_is_lost_is_followed_by_the_next(self) -> None:
        self.tries[0].callback(cast(Connection, Wire()))
        self.assertTrue(self.line.is_up)
        self.line.lost("its socket is closed")
        self.assertIn("lost a:", self.line.reason)
        self.wait(0.2)
        self.assertEqual(self.hosts, ["a", "b"])
        self.tries[1].callback(cast(Connection, Wire()))
        self.assertTrue(self.line.is_up)
        self.line.lost("its socket is closed")
        self.assertIn("lost b:", self.line.reason)
        self.stop()

    def test_nodes_that_hang_are_all_asked_before_any_gets_more_time(self) -> None:
        self.wait(3 * (IMPATIENT_CONNECT_TIMEOUT_S + 1.0))
        self.assertEqual(self.hosts, ["a", "b", "c", "a"])
        self.wait(IMPATIENT_CONNECT_TIMEOUT_S + 1.0)
        self.assertEqual(self.hosts, ["a", "b", "c", "a"])
        self.stop()


del LineCase
