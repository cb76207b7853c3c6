"""One charger, one connection: the newest that has authenticated; a closing one takes nothing down."""

from __future__ import annotations

from csms import metrics
from csms.domain import topology
from csms.domain.messages import Reply, Takeover, encode
from csms.gateway.alarms import TOLD_PER_MINUTE
from csms.gateway.registry import FLAPS_PER_MINUTE, TAKEOVER
from csms.ports import Message
from tests.gateway.case import PASSWORD, GatewayCase, turn, until
from tests.gateway.test_relay import METER, START


def flapping() -> float:
    value = metrics.REGISTRY.get_sample_value("csms_takeovers_total", {"kind": "flapping"})
    return value or 0.0


class TakeoverTests(GatewayCase):
    def bound(self, device_id: str = "CP1") -> set[str]:
        """The queues that get the charger's commands."""
        return set(self.broker._router.route(topology.COMMANDS_EXCHANGE, device_id, {}))

    async def test_newer_connection_displaces_the_older(self) -> None:
        await self.start()
        before = flapping()
        old = await self.open()
        new = await self.open()
        self.assertEqual(await old.frame(), (8, b"\x03\xf0replaced by a newer connection"))
        self.assertEqual(self.gateway.connections, 1)
        self.assertEqual(flapping(), before + 1)
        new.call("1", "MeterValues", METER)
        self.assertEqual((await new.message())[1], "1")

    async def test_end_of_the_old_socket_takes_nothing_from_the_new(self) -> None:
        await self.start()
        old = await self.open()
        old.stop_reading()  # half-open: it never answers the close frame
        new = await self.open()
        await until(lambda: len(self.gateway._protocols) == 1)
        await turn(20)
        self.assertEqual(self.gateway.connections, 1)
        self.assertEqual(self.bound(), {"gateway.gw0"})
        closed = self.worker.of("ConnectionClosed")
        self.assertEqual([m.connection_id for m in closed], [self.worker.of("ConnectionOpened")[0].connection_id])
        new.call("1", "Heartbeat")
        self.assertEqual((await new.message())[1], "1")

    async def test_binding_comes_and_goes_with_the_connection(self) -> None:
        await self.start()
        self.assertEqual(self.bound(), set())
        peer = await self.open()
        await until(lambda: self.bound() == {"gateway.gw0"})
        peer.cut()
        await until(lambda: not self.bound())
        self.assertEqual(self.gateway.connections, 0)
        closed = await self.worker.came("ConnectionClosed")
        self.assertEqual(closed.payload["code"], 1006)

    async def test_wrong_password_displaces_nobody(self) -> None:
        await self.start()
        first = await self.open()
        self.assertEqual(await self.status("/ocpp/CP1", password="wrong"), 401)
        first.call("1", "Heartbeat")
        self.assertEqual((await first.message())[1], "1")

    async def test_decision_for_the_old_connection_does_not_reach_the_new(self) -> None:
        await self.start()
        old = await self.open()
        old.call("s", "StartTransaction", START)
        message = await self.worker.came("StartTransaction")
        new = await self.open()
        new.call("s", "StartTransaction", START)
        again = await self.worker.came("StartTransaction", 2)
        self.worker.reply(message, payload={"transactionId": 1, "idTagInfo": {"status": "Blocked"}})
        self.worker.reply(again, payload={"transactionId": 1, "idTagInfo": {"status": "Accepted"}})
        self.assertEqual((await new.message())[2]["idTagInfo"], {"status": "Accepted"})

    async def test_connection_at_another_gateway_displaces_ours(self) -> None:
        first, second = await self.start(), await self.start()
        old = await self.open(gateway=first)
        await until(lambda: self.bound() == {"gateway.gw0"})
        new = await self.open(gateway=second)
        self.assertEqual((await old.frame())[0], 8)
        await until(lambda: self.bound() == {"gateway.gw1"})
        self.assertEqual((first.connections, second.connections), (0, 1))
        new.call("1", "MeterValues", METER)
        await new.message()
        self.assertEqual(self.worker.of("MeterValues")[0].gateway, "gw1")

    async def test_every_publish_has_an_id_of_its_own(self) -> None:
        await self.start()
        for _ in range(3):
            await self.open()
        await until(lambda: len(self.worker.of("ConnectionClosed")) == 2)
        ids = [message.message_id for _, _, message in self.broker.published]
        self.assertEqual(len(set(ids)), len(ids))
        self.assertEqual(len(ids), 8)

    async def test_takeover_that_is_late_displaces_nobody(self) -> None:
        await self.start()
        await self.open()
        await until(lambda: self.bound())
        late = encode(Takeover(device_id="CP1", connection_id="0" * 12 + "-" + "0" * 12))
        message = Message(body=late, message_id="t", type=TAKEOVER)
        await self.broker.publish(topology.COMMANDS_EXCHANGE, "CP1", message)
        await turn(20)
        self.assertEqual(self.gateway.connections, 1)

    async def test_flapping_hundred_times_leaves_one_connection_and_one_binding(self) -> None:
        await self.start()
        self.charger()
        for _ in range(100):
            self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 101)
        last = await self.open()
        await until(lambda: len(self.gateway._protocols) == 1)
        self.assertEqual((self.gateway.connections, self.bound()), (1, {"gateway.gw0"}))
        last.call("1", "Heartbeat")
        self.assertEqual((await last.message())[1], "1")
        await until(lambda: self.database.rows.kept_events)
        told = self.database.rows.kept_events
        self.assertEqual({event.type for event in told}, {"ConnectionFlapping"})
        self.assertEqual(told[0].charger_id, self.database.rows.by_id["CP1"].id)
        self.assertLessEqual(len(told), TOLD_PER_MINUTE)

    async def test_a_reconnection_or_two_are_no_alarm(self) -> None:
        gateway = await self.start()
        for _ in range(FLAPS_PER_MINUTE):
            await self.open()
        await gateway.stop()
        self.assertEqual(self.database.rows.kept_events, [])

    async def test_rubbish_in_the_gateways_queue_harms_nobody(self) -> None:
        await self.start()
        peer = await self.open()
        for kind, body in (("Reply", b"rubbish"), (TAKEOVER, b"[]"), ("", b"\xff"), ("x", b"{}")):
            message = Message(body=body, message_id="m", type=kind)
            await self.broker.publish("", "gateway.gw0", message)
        self.worker.send("gw0", Reply(message_id="nobody", connection_id="c", payload={}))
        await turn(20)
        peer.call("1", "Heartbeat")
        self.assertEqual((await peer.message())[1], "1")
