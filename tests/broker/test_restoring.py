"""What is asked of the broker while a connection is prepared, and when it is up, on a wire of the test's."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms.broker.address import Address
from csms.broker.amqp import REQUESTS_AT_ONCE, AmqpBroker
from csms.broker.wire import Channel, Connection, ConnectionListener
from csms.domain.topology import COMMANDS_EXCHANGE, Topology
from csms.ports import BrokerState

ADDRESS = Address(host="mq", port=5672, vhost="/", username="u", password="p", tls=False)


class Wire:
    """A connection with one channel, which writes down what it is asked; its syncs end when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.syncs: list[Deferred[None]] = []

    def open_channel(self, *_: object) -> Deferred[Channel]:
        return succeed(cast(Channel, self))

    def declare_queue(self, queue: str, *_: object, private: bool) -> None:
        self.asked.append(("declare", queue))

    def bind_queue(self, queue: str, exchange: str, routing_key: str, *_: object) -> None:
        self.asked.append(("bind", queue, routing_key))

    def unbind_queue(self, queue: str, exchange: str, routing_key: str) -> None:
        self.asked.append(("unbind", queue, routing_key))

    def consume(self, queue: str, *_: object) -> None:
        self.asked.append(("consume", queue))

    def select_confirms(self) -> None:
        """The publisher's channel."""

    def sync(self) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self.syncs.append(done)
        return done

    def close(self) -> Deferred[None]:
        return succeed(None)

    def abort(self) -> None:
        """The end of the connection."""


class WireTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.wires: list[Wire] = []
        self.clock = Clock()
        nothing = Topology(exchanges=(), queues=(), bindings=())
        self.broker = AmqpBroker([ADDRESS], [ADDRESS], self.connect, nothing, self.clock)

    def connect(self, _: Address, __: ConnectionListener) -> Deferred[Connection]:
        self.wires.append(Wire())
        return succeed(cast(Connection, self.wires[-1]))

    def finish_one(self) -> bool:
        """Let the oldest sync of any wire end."""
        for wire in self.wires:
            if wire.syncs:
                wire.syncs.pop(0).callback(None)
                return True
        return False


class WhileConnecting(WireTestCase):
    def test_what_is_asked_for_meanwhile_is_done_before_it_is_up(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.broker.declare_private("gateway.g")))
        self.successResultOf(Deferred.fromCoroutine(self.broker.bind("gateway.g", COMMANDS_EXCHANGE, "GONE")))
        self.successResultOf(Deferred.fromCoroutine(self.broker.start()))
        consuming = self.wires[1]
        while ("bind", "gateway.g", "GONE") not in consuming.asked:
            self.assertTrue(self.finish_one())
        for asked in (
            self.broker.consume("ocpp_messages.1", lambda _: None, prefetch=1),
            self.broker.bind("gateway.g", COMMANDS_EXCHANGE, "CP-1"),
            self.broker.unbind("gateway.g", COMMANDS_EXCHANGE, "GONE"),
        ):
            self.successResultOf(Deferred.fromCoroutine(asked))
        while self.finish_one():
            pass
        self.assertIs(self.broker.state, BrokerState.UP)
        self.assertEqual(
            sorted(consuming.asked[2:]),
            [("bind", "gateway.g", "CP-1"), ("consume", "ocpp_messages.1"), ("unbind", "gateway.g", "GONE")],
        )


class WhenUp(WireTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.successResultOf(Deferred.fromCoroutine(self.broker.start()))
        while self.finish_one():
            pass
        self.consuming = self.wires[1]
        self.asked = [self.bind(number) for number in range(REQUESTS_AT_ONCE + 2)]

    def bind(self, number: int) -> Deferred[None]:
        return Deferred.fromCoroutine(self.broker.bind("gateway.g", COMMANDS_EXCHANGE, f"CP-{number}"))

    def done(self) -> int:
        return sum(one.called for one in self.asked)

    def made(self, wire: Wire) -> list[tuple[str, ...]]:
        return [("bind", "gateway.g", f"CP-{number}") for number in range(len(wire.asked))]

    def test_requests_are_made_in_order_and_many_share_a_question(self) -> None:
        for made in (1, REQUESTS_AT_ONCE + 1, REQUESTS_AT_ONCE + 2):
            self.assertEqual((len(self.consuming.asked), len(self.consuming.syncs)), (made, 1))
            self.finish_one()
            self.assertEqual(self.done(), made)
        self.assertEqual(self.consuming.asked, self.made(self.consuming))
        self.assertEqual(self.consuming.syncs, [])

    def test_a_request_after_all_are_done_is_made_at_once(self) -> None:
        while self.finish_one():
            pass
        later = self.bind(1000)
        self.assertEqual(self.consuming.asked[-1], ("bind", "gateway.g", "CP-1000"))
        self.finish_one()
        self.successResultOf(later)

    def test_requests_of_a_line_that_is_lost_are_left_to_the_next_one(self) -> None:
        self.broker._consume_line.lost("cut")
        self.assertEqual(self.done(), len(self.asked))
        while self.finish_one():
            pass
        self.clock.advance(1.0)
        while self.finish_one():
            pass
        again = self.wires[-1]
        self.assertIs(self.broker.state, BrokerState.UP)
        self.assertIsNot(again, self.consuming)
        self.assertEqual((len(again.asked), again.asked), (len(self.asked), self.made(again)))

    def test_a_request_that_cannot_be_made_fails_for_who_waits_and_stops_nobody_else(self) -> None:
        while self.finish_one():
            pass
        patch = self.patch(self.consuming, "bind_queue", broken)
        self.failureResultOf(self.bind(1000), ZeroDivisionError)
        patch.restore()
        later = self.bind(1001)
        self.finish_one()
        self.successResultOf(later)


def broken(*_: object) -> None:
    raise ZeroDivisionError
