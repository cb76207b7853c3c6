"""The gateway and its surroundings: the broker's ups and downs, start, stop."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError

from csms.config.settings import GatewaySettings
from csms.domain.repositories import OutboxRow
from csms.gateway import service, upstream
from csms.gateway.service import ChargerGateway
from csms.ports import BrokerState
from tests.gateway.case import PASSWORD, GatewayCase, turn, until
from tests.gateway.test_relay import METER


class BrokerStateTests(GatewayCase):
    async def test_503_while_the_broker_is_away_or_blocked(self) -> None:
        await self.start()
        self.charger()
        for state in (BrokerState.DOWN, BrokerState.BLOCKED):
            self.broker.become(state)
            self.assertEqual(self.gateway.ready_reason, "as staged")
            peer = await self.connect()
            peer.request("/ocpp/CP1", password=PASSWORD)
            response = await peer.response()
            self.assertEqual((response.status, response.headers["retry-after"]), (503, "10"))
        self.broker.become(BrokerState.UP)
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 101)

    async def test_broker_that_goes_while_a_charger_is_admitted(self) -> None:
        await self.start()
        self.charger()
        self.database.slow = Deferred()
        peer = await self.connect()
        peer.request("/ocpp/CP1", password=PASSWORD)
        await until(lambda: self.database.reads == 1)
        self.broker.become(BrokerState.DOWN)
        self.database.slow.callback(None)
        self.assertEqual((await peer.response()).status, 503)

    async def test_broker_that_stays_away_closes_all_with_1013_after_the_deadline(self) -> None:
        await self.start(publish_deadline_s=0.2)
        idle, busy = await self.open("IDLE"), await self.open("BUSY")
        self.broker.become(BrokerState.DOWN)
        busy.call("1", "MeterValues", METER)
        self.assertEqual([(await peer.frame())[1][:2] for peer in (idle, busy)], [b"\x03\xf5"] * 2)
        self.assertEqual(self.gateway.connections, 0)

    async def test_end_of_connections_is_told_when_the_broker_is_back(self) -> None:
        self.patch(upstream, "AGAIN_PAUSE_S", 0.05)
        await self.start(publish_deadline_s=0.1)
        peer = await self.open()
        self.broker.become(BrokerState.DOWN)
        self.assertEqual(await peer.close_code(), 1013)
        told = lambda: [m for _, _, m in self.broker.published if m.type == "ConnectionClosed"]  # noqa: E731
        await until(lambda: len(told()) == 1 and not self.gateway._upstream.publishing)
        self.broker.become(BrokerState.UP)
        self.assertEqual((await self.worker.came("ConnectionClosed")).payload["code"], 1013)
        self.assertEqual(len({message.message_id for message in told()}), 1)

    async def test_short_outage_goes_unnoticed(self) -> None:
        await self.start()
        peer = await self.open()
        self.broker.become(BrokerState.DOWN)
        peer.call("1", "Heartbeat")
        await peer.message()
        self.broker.become(BrokerState.UP)
        peer.call("2", "MeterValues", METER)
        self.assertEqual((await peer.message())[1], "2")

    async def test_blocked_broker_stops_the_reading_until_it_is_up(self) -> None:
        await self.start()
        peer = await self.open()
        self.broker.become(BrokerState.BLOCKED)
        peer.call("1", "MeterValues", METER)
        peer.call("2", "MeterValues", METER)
        await turn(50)
        self.assertEqual(([m for _, _, m in self.broker.published if m.type == "MeterValues"], peer.buffer), ([], b""))
        self.broker.become(BrokerState.UP)
        self.assertEqual([(await peer.message())[1] for _ in range(2)], ["1", "2"])

    async def test_paused_charger_is_not_cut_for_its_silence(self) -> None:
        await self.start(ping_interval_s=0.1, ping_timeout_s=0.1)
        peer = await self.open()
        self.broker.become(BrokerState.BLOCKED)
        protocol = next(iter(self.gateway._protocols))
        protocol.pulse(protocol._heard_at + 1000, 0.1, 0.1)
        protocol.pulse(protocol._heard_at + 2000, 0.1, 0.1)
        self.broker.become(BrokerState.UP)
        peer.call("1", "Heartbeat")
        self.assertEqual((await peer.message())[1], "1")


class StartTests(GatewayCase):
    def make(self, **settings: Any) -> ChargerGateway:
        self.published: list[OutboxRow] = []
        gateway = ChargerGateway(
            GatewaySettings(name="late", **settings),
            self.broker,
            self.database,
            shards=2,
            reactor=reactor,
            publish=self.published.extend,
        )
        self.gateways.append(gateway)
        return gateway

    async def test_port_in_use_is_an_error_that_names_it(self) -> None:
        port = (await self.start()).port
        second = self.make(port=port)
        with self.assertRaises(CannotListenError) as raised:
            await second.start()
        self.assertIn(f":{port}", str(raised.exception))
        self.gateways.remove(second)

    async def test_starts_while_the_broker_is_away_and_lets_in_when_it_is_there(self) -> None:
        self.charger()
        self.broker.become(BrokerState.DOWN)
        gateway = self.make(port=0)
        self.assertEqual(gateway.ready_reason, "not listening for chargers")
        await gateway.start()
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 503)
        self.broker.become(BrokerState.UP)
        await until(lambda: not gateway.ready_reason)
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 101)

    async def test_chargers_left_behind_by_an_earlier_process_are_disconnected_first(self) -> None:
        left = self.charger("LEFT", connected=True, gateway="late", connection_id="1")
        other = self.charger("OTHER", connected=True, gateway="another", connection_id="1")
        self.database.away = True
        self.patch(service, "BEAT_S", 0.05)
        gateway = self.make(port=0)
        await gateway.start()
        await until(lambda: gateway.ready_reason == "the database has not answered yet")
        self.database.away = False
        await until(lambda: not gateway.ready_reason)
        self.assertEqual((left.connected, other.connected), (False, True))
        self.assertEqual([n.type for n in self.database.rows.notifications], ["charger.disconnected"])
        # Told before anybody is let in: after the next connection it would be taken for the end of that.
        self.assertEqual([row.routing_key for row in self.published], ["notification.charger.disconnected"])
        await until(lambda: len(self.database.rows.beats) >= 3)
        self.assertEqual({name for name, _ in self.database.rows.beats}, {"late"})


class StopTests(GatewayCase):
    async def test_stop_answers_what_was_taken_then_closes_with_1001(self) -> None:
        gateway = await self.start()
        busy, idle = await self.open("BUSY"), await self.open("IDLE")
        self.worker.holds = True
        busy.call("1", "MeterValues", METER)
        busy.call("2", "MeterValues", METER)
        await self.worker.came("MeterValues")
        port = gateway.port
        stopping = Deferred.fromCoroutine(gateway.stop())
        busy.call("3", "MeterValues", METER)
        await turn(50)
        self.assertFalse(stopping.called)
        self.assertEqual((busy.buffer, idle.buffer), (b"", b""))
        self.worker.holds = False
        self.worker.confirm()
        self.assertEqual((await busy.message())[:2], [3, "1"])
        self.assertEqual([await peer.close_code() for peer in (busy, idle)], [1001, 1001])
        await stopping
        self.assertEqual(len(self.worker.of("MeterValues")), 1)
        self.assertEqual({m.device_id for m in self.worker.of("ConnectionClosed")}, {"BUSY", "IDLE"})
        self.assertEqual(gateway.connections, 0)
        self.assertEqual(gateway.ready_reason, "the gateway stops")
        self.assertNotEqual(port, gateway.port)

    async def test_stop_waits_for_decisions(self) -> None:
        gateway = await self.start()
        peer = await self.open()
        peer.call("a", "Authorize", {"idTag": "T"})
        message = await self.worker.came("Authorize")
        stopping = Deferred.fromCoroutine(gateway.stop())
        await turn(50)
        self.worker.reply(message, payload={"idTagInfo": {"status": "Accepted"}})
        self.assertEqual((await peer.message())[:2], [3, "a"])
        self.assertEqual(await peer.close_code(), 1001)
        await stopping

    async def test_stop_is_bounded_when_the_broker_does_not_confirm(self) -> None:
        gateway = await self.start(publish_deadline_s=0.2, answer_deadline_s=0.2)
        peer = await self.open()
        self.worker.holds = True
        peer.call("1", "MeterValues", METER)
        await self.worker.came("MeterValues")
        peer.stop_reading()
        await gateway.stop()
        self.assertEqual((gateway.connections, len(gateway._protocols)), (0, 0))

    async def test_stop_leaves_no_socket_of_a_refused_charger(self) -> None:
        gateway = await self.start()
        self.charger()
        peer = await self.connect()
        peer.request("/ocpp/CP1", password=PASSWORD, protocols="ocpp9.9")
        self.assertEqual((await peer.response()).status, 101)
        await gateway.stop()
        await peer.gone()
        self.assertEqual(gateway._sockets(), ())

    async def test_deadlines_survive_a_bug_in_one_of_them(self) -> None:
        await self.start(answer_deadline_s=0.2)
        peer = await self.open()
        replies = self.gateway._upstream.replies
        replies.expect("bad", "c", 0.0, lambda _: 1 / 0)  # type: ignore[arg-type]
        peer.call("a", "Authorize", {"idTag": "T"})
        self.assertEqual(await peer.close_code(), 1013)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_stop_before_the_broker_was_ever_there(self) -> None:
        self.broker.become(BrokerState.DOWN)
        gateway = ChargerGateway(GatewaySettings(port=0), self.broker, self.database, shards=2, reactor=reactor)
        await gateway.start()
        await gateway.stop()

    async def test_handshakes_under_way_get_503(self) -> None:
        gateway = await self.start()
        self.charger()
        self.database.slow = Deferred()
        peer = await self.connect()
        peer.request("/ocpp/CP1", password=PASSWORD)
        await until(lambda: self.database.reads == 1)
        stopping = Deferred.fromCoroutine(gateway.stop())
        self.assertEqual((await peer.response()).status, 503)
        await stopping
        self.database.slow.callback(None)
        await turn()
        self.assertEqual(gateway.connections, 0)
