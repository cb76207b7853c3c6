"""A gateway that stops sends its chargers away little by little, and cuts nobody short."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms.coroutines import spawn
from csms.domain.command_model import CommandState
from csms.domain.messages import COMMAND_RESULT, COMMAND_SENT
from csms.gateway import draining, service
from csms.gateway.draining import TICK_S, drain
from tests.gateway.case import PASSWORD, GatewayCase, turn, until
from tests.gateway.client import Peer
from tests.gateway.test_commands import CommandCase
from tests.gateway.test_relay import METER

RESET = {"status": "Accepted"}


class Connection:
    """Leaves at once, unless it is ``busy``."""

    def __init__(self, *, commanded: bool = False) -> None:
        self.leaving = False
        self.commanded = commanded

    def leave(self, code: int, reason: str) -> None:
        assert (code, reason) == (1001, "stop")
        self.leaving = True


class DrainTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.connections: list[Connection] = []

    def left(self) -> int:
        return len([one for one in self.connections if one.leaving])

    def present(self) -> list[Connection]:
        return [one for one in self.connections if not one.leaving or one.commanded]

    def drain(self, within_s: float) -> Deferred[None]:
        return spawn(
            drain(self.present, within_s=within_s, clock=self.clock, code=1001, reason="stop"),
            "drain",
        )

    def advance(self, seconds: float) -> None:
        self.clock.pump([0.05] * round(seconds / 0.05))

    def test_many_are_spread_over_the_time(self) -> None:
        self.connections = [Connection() for _ in range(6000)]
        done = self.drain(30.0)
        for second in range(1, 24):
            self.advance(1.0)
            self.assertLess(abs(self.left() - 250 * second), 20)
        self.advance(2.0)
        self.successResultOf(done)
        self.assertEqual(self.left(), 6000)

    def test_few_take_no_longer_than_they_must(self) -> None:
        self.connections = [Connection() for _ in range(20)]
        done = self.drain(30.0)
        self.advance(0.5)
        self.assertLess(self.left(), 20)
        self.advance(1.0)
        self.successResultOf(done)

    def test_those_with_a_command_go_last_and_are_waited_for_until_the_end(self) -> None:
        busy = [Connection(commanded=True) for _ in range(5)]
        self.connections = [*busy, *(Connection() for _ in range(15))]
        done = self.drain(5.0)
        while self.left() < 15:
            self.advance(0.05)
        self.assertFalse(any(one.leaving for one in busy))
        self.advance(2.0)
        self.assertTrue(all(one.leaving for one in busy))
        self.assertNoResult(done)
        self.advance(5.0)
        self.successResultOf(done)

    def test_who_opens_meanwhile_leaves_too(self) -> None:
        self.connections = [Connection() for _ in range(10)]
        done = self.drain(5.0)
        self.advance(0.2)
        self.connections.append(Connection())
        self.advance(1.0)
        self.successResultOf(done)
        self.assertEqual(self.left(), 11)


class StopTests(GatewayCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.clock = Clock()

        async def by_our_clock(connections: Any, *, clock: object, **how: Any) -> None:
            await drain(connections, clock=self.clock, **how)

        self.patch(service, "drain", by_our_clock)

    async def test_chargers_leave_one_by_one_and_others_are_served_meanwhile(self) -> None:
        self.patch(draining, "SLOWEST_PER_S", 0.001)
        gateway = await self.start(drain_s=3600.0)
        first, second = await self.open("CP1"), await self.open("CP2")
        self.charger("CP3")
        stopping = Deferred.fromCoroutine(gateway.stop())
        self.assertEqual(gateway.ready_reason, "the gateway stops")
        self.assertEqual(await first.close_code(), 1001)
        await until(lambda: gateway.connections == 1)
        second.call("1", "MeterValues", METER)
        self.assertEqual((await second.message())[:2], [3, "1"])
        self.assertEqual(await self.status("/ocpp/CP3", password=PASSWORD), 503)
        self.clock.advance(3600.0)
        self.assertEqual(await second.close_code(), 1001)
        await stopping
        self.assertEqual({m.device_id for m in self.worker.of("ConnectionClosed")}, {"CP1", "CP2"})

    async def test_a_charger_leaves_when_its_call_is_answered_and_keeps_what_it_sent_after(self) -> None:
        gateway = await self.start(drain_s=3600.0)
        peer = await self.open()
        self.worker.holds = True
        peer.call("1", "MeterValues", METER)
        await self.worker.came("MeterValues")
        stopping = Deferred.fromCoroutine(gateway.stop())
        peer.call("2", "MeterValues", METER)
        await turn(50)
        self.assertEqual((gateway.connections, peer.buffer), (1, b""))
        self.worker.holds = False
        self.worker.confirm()
        self.assertEqual((await peer.message())[:2], [3, "1"])
        self.assertEqual(await peer.close_code(), 1001)
        self.clock.advance(TICK_S)
        await stopping
        self.assertEqual(len(self.worker.of("MeterValues")), 1)

    async def test_a_charger_leaves_when_its_decision_came(self) -> None:
        gateway = await self.start(drain_s=3600.0)
        peer = await self.open()
        peer.call("a", "Authorize", {"idTag": "T"})
        message = await self.worker.came("Authorize")
        stopping = Deferred.fromCoroutine(gateway.stop())
        await turn(50)
        self.worker.reply(message, payload={"idTagInfo": {"status": "Accepted"}})
        self.assertEqual((await peer.message())[:2], [3, "a"])
        self.assertEqual(await peer.close_code(), 1001)
        self.clock.advance(TICK_S)
        await stopping

    async def test_without_a_drain_all_go_at_once(self) -> None:
        gateway = await self.start(drain_s=0.0)
        peers = [await self.open(f"CP{number}") for number in range(3)]
        stopping = Deferred.fromCoroutine(gateway.stop())
        self.assertEqual([await peer.close_code() for peer in peers], [1001] * 3)
        await stopping
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CommandTests(CommandCase):
    async def draining(self) -> tuple[Peer, Deferred[None]]:
        """A charger that has got a command, at a gateway that stops."""
        peer = await self.connected(drain_s=20.0)
        self.orders = [self.command(), self.command("ClearCache", "{}")]
        for order in self.orders:
            await self.order(order)
        await peer.message()
        return peer, Deferred.fromCoroutine(self.gateway.stop())

    async def test_a_written_command_is_answered_and_the_next_one_left_for_others(self) -> None:
        peer, stopping = await self.draining()
        await turn(50)
        peer.send_frame(json.dumps([3, self.orders[0].command_id, RESET]))
        self.assertEqual(await peer.close_code(), 1001)
        await stopping
        self.assertEqual([result["outcome"] for result in self.results()], ["answered"])
        self.assertEqual(self.orders[1].state, CommandState.WAITING)

    async def test_a_command_that_comes_too_late_is_left_for_others(self) -> None:
        peer, stopping = await self.draining()
        await turn(50)
        await self.order(late := self.command("ClearCache", "{}"))
        await turn(50)
        peer.send_frame(json.dumps([3, self.orders[0].command_id, RESET]))
        self.assertEqual(await peer.close_code(), 1001)
        await stopping
        self.assertEqual(late.state, CommandState.WAITING)

    async def test_a_command_that_is_claimed_and_not_written_is_given_back(self) -> None:
        peer = await self.connected(drain_s=20.0)
        self.worker.holds = True
        await self.order(order := self.command())
        await self.worker.came(COMMAND_SENT)
        stopping = Deferred.fromCoroutine(self.gateway.stop())
        await turn(50)
        self.assertEqual((self.gateway.connections, order.state), (1, CommandState.SENT))
        self.worker.holds = False
        self.worker.confirm()
        self.assertEqual(await peer.close_code(), 1001)
        await stopping
        self.assertEqual((order.state, self.worker.of(COMMAND_RESULT)), (CommandState.WAITING, []))


del CommandCase, GatewayCase
