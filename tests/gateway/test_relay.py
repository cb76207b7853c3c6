"""The promise: answered means confirmed, in the charger's order, and silence for our own faults."""

from __future__ import annotations

import msgspec

from csms.domain.messages import CALL_REFUSED
from csms.gateway import outlet, relay, upstream
from csms.ports import BrokerState, PublishTimeout
from tests.gateway.case import BOOT, GatewayCase, turn, until
from tests.gateway.client import BINARY, call, frame

METER = {"connectorId": 1, "meterValue": [{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": "1"}]}]}
START = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}


class ConfirmTests(GatewayCase):
    async def test_fact_is_answered_only_after_the_confirm(self) -> None:
        await self.start()
        peer = await self.open()
        self.worker.holds = True
        peer.call("1", "MeterValues", METER)
        await self.worker.came("MeterValues")
        await turn(50)
        self.assertEqual(peer.buffer, b"")
        self.worker.confirm()
        self.assertEqual(await peer.message(), [3, "1", {}])

    async def test_boot_is_answered_with_status_time_and_interval(self) -> None:
        await self.start(heartbeat_interval_s=77)
        peer = await self.open()
        peer.call("b", "BootNotification", BOOT)
        kind, unique_id, payload = await peer.message()
        self.assertEqual((kind, unique_id, payload["status"], payload["interval"]), (3, "b", "Accepted", 77))

    async def test_message_says_everything_about_its_origin(self) -> None:
        await self.start()
        peer = await self.open("CP 1/ä".replace("/", "-"))
        peer.call("u1", "MeterValues", METER)
        message = await self.worker.came("MeterValues")
        self.assertEqual(message.device_id, "CP 1-ä")
        self.assertEqual((message.charger_id, message.unique_id), (1, "u1"))
        self.assertEqual((message.gateway, message.ocpp_version), ("gw0", "1.6"))
        self.assertEqual(message.payload, METER)
        self.assertEqual(message.raw_data, call("u1", "MeterValues", METER))
        opened = self.worker.of("ConnectionOpened")[0]
        self.assertEqual(opened.connection_id, message.connection_id)
        self.assertEqual(opened.payload, {"remote": "127.0.0.1", "ocppVersion": "1.6"})
        self.assertLess(opened.message_id, message.message_id)
        self.assertEqual(self.worker.headers[-1]["version"], 1)

    async def test_pipelined_calls_are_answered_in_order_one_at_a_time(self) -> None:
        await self.start()
        peer = await self.open()
        self.worker.holds = True
        ids = [str(number) for number in range(10)]
        peer.send(b"".join(frame(call(unique_id, "MeterValues", METER)) for unique_id in ids))
        for count, unique_id in enumerate(ids, 1):
            message = await self.worker.came("MeterValues", count)
            self.assertEqual(message.unique_id, unique_id)
            await turn()
            self.assertEqual(len(self.worker.of("MeterValues")), count)
            self.worker.confirm()
            self.assertEqual((await peer.message())[1], unique_id)

    async def test_more_calls_than_may_wait_are_all_answered_in_order(self) -> None:
        await self.start(max_queued_calls=4)
        peer = await self.open()
        ids = [str(number) for number in range(500)]
        peer.send(b"".join(frame(call(unique_id, "MeterValues", METER)) for unique_id in ids))
        self.assertEqual([(await peer.message())[1] for _ in ids], ids)
        self.assertEqual([message.unique_id for message in self.worker.of("MeterValues")], ids)

    async def test_chargers_do_not_wait_for_one_another(self) -> None:
        await self.start()
        slow, quick = await self.open("SLOW"), await self.open("QUICK")
        self.worker.holds = True
        slow.call("1", "MeterValues", METER)
        await self.worker.came("MeterValues")
        self.worker.holds = False
        quick.call("2", "MeterValues", METER)
        self.assertEqual((await quick.message())[1], "2")
        self.assertEqual(slow.buffer, b"")

    async def test_no_confirm_means_silence_and_1013(self) -> None:
        await self.start(publish_deadline_s=0.2)
        peer = await self.open()
        self.worker.holds = True
        peer.call("1", "MeterValues", METER)
        peer.call("2", "MeterValues", METER)
        self.assertEqual(await peer.frame(), (8, b"\x03\xf5try again later"))
        await until(lambda: self.gateway.connections == 0)
        self.assertEqual(len(self.worker.of("MeterValues")), 1)

    async def test_returned_message_is_sent_again_with_the_same_id(self) -> None:
        self.patch(upstream, "UNROUTABLE_PAUSE_S", 0.05)
        await self.start()
        peer = await self.open()
        self.broker.unroutable = 2
        peer.call("1", "MeterValues", METER)
        self.assertEqual((await peer.message())[1], "1")
        sent = [message for _, _, message in self.broker.published if message.type == "MeterValues"]
        self.assertEqual(len(sent), 3)
        self.assertEqual(len({message.message_id for message in sent}), 1)

    async def test_message_that_is_always_returned_means_silence(self) -> None:
        self.patch(upstream, "UNROUTABLE_PAUSE_S", 0.05)
        await self.start(publish_deadline_s=0.3)
        peer = await self.open()
        self.broker.unroutable = 1000
        peer.call("1", "MeterValues", METER)
        self.assertEqual(await peer.frame(), (8, b"\x03\xf5try again later"))


class DecisionTests(GatewayCase):
    async def test_worker_decides_and_its_payload_is_the_answer(self) -> None:
        await self.start()
        self.worker.answers["StartTransaction"] = {"transactionId": 7, "idTagInfo": {"status": "Accepted"}}
        peer = await self.open()
        peer.call("s", "StartTransaction", START)
        self.assertEqual(await peer.message(), [3, "s", {"transactionId": 7, "idTagInfo": {"status": "Accepted"}}])

    async def test_only_what_waits_for_a_decision_asks_for_a_reply(self) -> None:
        await self.start()
        self.worker.answers["StartTransaction"] = {"transactionId": 7, "idTagInfo": {"status": "Accepted"}}
        peer = await self.open()
        peer.call("m", "MeterValues", METER)
        await peer.message()
        peer.call("s", "StartTransaction", START)
        await peer.message()
        asked = self.worker.reply_to
        self.assertEqual(asked["MeterValues"], "")
        self.assertTrue(asked["StartTransaction"].startswith("gateway."))

    async def test_decision_is_not_answered_by_the_confirm(self) -> None:
        await self.start()
        peer = await self.open()
        peer.call("s", "StartTransaction", START)
        message = await self.worker.came("StartTransaction")
        await turn(20)
        self.assertEqual(peer.buffer, b"")
        self.worker.reply(message, payload={"transactionId": 1, "idTagInfo": {"status": "Blocked"}})
        self.assertEqual((await peer.message())[2]["idTagInfo"], {"status": "Blocked"})

    async def test_decision_may_come_before_the_confirm(self) -> None:
        await self.start(publish_deadline_s=0.3)
        peer = await self.open()
        self.worker.holds = True
        self.worker.answers["Authorize"] = {"idTagInfo": {"status": "Accepted"}}
        peer.call("a", "Authorize", {"idTag": "T"})
        self.assertEqual((await peer.message())[1], "a")

    async def test_worker_refuses_with_the_spelling_of_the_version(self) -> None:
        await self.start()
        peer = await self.open()
        peer.call("s", "StartTransaction", START)
        message = await self.worker.came("StartTransaction")
        self.worker.reply(message, error_code="OCCURRENCE_VIOLATION", error_description="no")
        self.assertEqual(await peer.message(), [4, "s", "OccurenceConstraintViolation", "no", {}])

    async def test_no_decision_means_silence_and_1013(self) -> None:
        await self.start(answer_deadline_s=0.2)
        peer = await self.open()
        peer.call("s", "StartTransaction", START)
        self.assertEqual(await peer.close_code(), 1013)

    async def test_late_decision_harms_nobody(self) -> None:
        await self.start(answer_deadline_s=0.2)
        peer = await self.open()
        peer.call("s", "StartTransaction", START)
        message = await self.worker.came("StartTransaction")
        self.assertEqual(await peer.close_code(), 1013)
        again = await self.open()
        self.worker.reply(message, payload={"transactionId": 7, "idTagInfo": {"status": "Accepted"}})
        again.call("h", "Heartbeat")
        self.assertEqual((await again.message())[1], "h")

    async def test_decision_for_another_connection_is_dropped(self) -> None:
        await self.start()
        peer = await self.open()
        peer.call("s", "StartTransaction", START)
        message = await self.worker.came("StartTransaction")
        other = msgspec.structs.replace(message, connection_id="0" * 25)
        self.worker.reply(other, payload={"transactionId": 6, "idTagInfo": {}})
        await turn(20)
        self.worker.reply(message, payload={"transactionId": 7, "idTagInfo": {"status": "Accepted"}})
        self.assertEqual((await peer.message())[2]["transactionId"], 7)

    async def test_nothing_expires_in_the_queue_where_it_would_count_as_dead(self) -> None:
        await self.start()
        peer = await self.open()
        self.worker.answers = {
            "Authorize": {"idTagInfo": {"status": "Accepted"}},
            "StartTransaction": {"transactionId": 7, "idTagInfo": {"status": "Accepted"}},
            "DataTransfer": {"status": "Accepted"},
        }
        for action, payload in (
            ("Authorize", {"idTag": "T"}),
            ("DataTransfer", {"vendorId": "V"}),
            ("StartTransaction", START),
            ("MeterValues", METER),
        ):
            peer.call(action, action, payload)
            await peer.message()
        expirations = {message.type: message.expiration_s for _, _, message in self.broker.published}
        self.assertEqual(set(expirations.values()), {None})

    async def test_transaction_event_is_decided_only_when_it_has_a_token(self) -> None:
        await self.start()
        peer = await self.open(protocols="ocpp2.0.1")
        event = {
            "eventType": "Started",
            "timestamp": "2026-01-01T00:00:00Z",
            "triggerReason": "CablePluggedIn",
            "seqNo": 0,
            "transactionInfo": {"transactionId": "x"},
        }
        peer.call("1", "TransactionEvent", event)
        self.assertEqual(await peer.message(), [3, "1", {}])
        peer.call("2", "TransactionEvent", event | {"seqNo": 1, "idToken": {"idToken": "T", "type": "Central"}})
        message = await self.worker.came("TransactionEvent", 2)
        self.worker.reply(message, payload={"idTokenInfo": {"status": "Accepted"}})
        self.assertEqual(await peer.message(), [3, "2", {"idTokenInfo": {"status": "Accepted"}}])


class HeartbeatTests(GatewayCase):
    async def test_heartbeat_is_answered_from_memory_even_without_broker(self) -> None:
        await self.start()
        peer = await self.open()
        self.broker.become(BrokerState.DOWN)
        peer.call("h", "Heartbeat")
        kind, unique_id, payload = await peer.message()
        self.assertEqual((kind, unique_id, list(payload)), (3, "h", ["currentTime"]))
        self.broker.become(BrokerState.UP)
        self.assertEqual(self.worker.types(), [])

    async def test_heartbeats_are_told_once_in_a_while(self) -> None:
        self.patch_seen(0.0)
        await self.start()
        peer = await self.open()
        peer.call("1", "Heartbeat")
        await peer.message()
        await self.worker.came("Heartbeat")
        self.patch_seen(60.0)
        peer.call("2", "Heartbeat")
        await peer.message()
        peer.call("3", "MeterValues", METER)
        await peer.message()
        self.assertEqual(self.worker.types(), ["Heartbeat", "MeterValues"])

    def patch_seen(self, interval_s: float) -> None:
        self.patch(relay, "SEEN_INTERVAL_S", interval_s)


class FaultTests(GatewayCase):
    async def test_broken_json_leaves_the_socket(self) -> None:
        await self.start()
        peer = await self.open()
        for text in ("[2,", "nonsense", "[]", "{}", '[2,"x","MeterValues",{"transactionId":,}]', "[" * 5000):
            peer.send_frame(text)
        peer.call("1", "Heartbeat")
        self.assertEqual((await peer.message())[1], "1")

    async def test_broken_json_in_2x_gets_a_callerror_with_id_minus_1(self) -> None:
        await self.start()
        peer = await self.open(protocols="ocpp2.0.1")
        peer.send_frame("[2,")
        self.assertEqual((await peer.message())[:2], [4, "-1"])

    async def test_binary_frame_is_ignored(self) -> None:
        await self.start()
        peer = await self.open()
        peer.send_frame(call("0", "Heartbeat"), BINARY)
        peer.call("1", "Heartbeat")
        self.assertEqual((await peer.message())[1], "1")

    async def test_a_refused_call_is_told_as_refused_and_as_nothing_else(self) -> None:
        await self.start()
        peer = await self.open()
        sent = [call("1", "StatusNotification", {"connectorId": "one"}), call("2", "NoSuchAction")]
        for text in sent:
            peer.send_frame(text)
        errors = [await peer.message() for _ in sent]
        self.assertEqual([error[:2] for error in errors], [[4, "1"], [4, "2"]])
        await self.worker.came(CALL_REFUSED, 2)
        told = self.worker.of(CALL_REFUSED)
        self.assertEqual([one.raw_data for one in told], sent)
        self.assertEqual([one.payload for one in told], [{"action": "StatusNotification"}, {"action": "NoSuchAction"}])
        self.assertEqual([one.unique_id for one in told], ["1", "2"])
        for one, error in zip(told, errors, strict=True):
            self.assertEqual(one.fault, f"{error[2]}: {error[3]}")
        self.assertEqual(self.worker.types(), [CALL_REFUSED, CALL_REFUSED])

    async def test_secrets_in_a_refused_call_are_told_to_nobody(self) -> None:
        await self.start()
        peer = await self.open(protocols="ocpp2.0.1")
        secret = "very-secret-password"
        variable = {"variable": {"name": "BasicAuthPassword"}, "attributeValue": secret}
        peer.call("1", "NoSuchAction", {"data": [variable], "location": f"ftp://me:{secret}@files.example/"})
        peer.send_frame(f'[2,"2","NotifyReport",{{"BasicAuthPassword":"{secret}"')
        self.assertEqual([(await peer.message())[0] for _ in range(2)], [4, 4])
        await self.worker.came(CALL_REFUSED, 2)
        readable, unreadable = self.worker.of(CALL_REFUSED)
        self.assertIn("NoSuchAction", readable.raw_data)
        self.assertEqual((unreadable.unique_id, unreadable.raw_data), ("-1", ""))
        for _, _, message in self.broker.published:
            self.assertNotIn(secret.encode(), message.body)

    async def test_of_many_refused_calls_only_some_are_told(self) -> None:
        self.patch(outlet, "REFUSALS_PER_MINUTE", 3)
        await self.start()
        peer = await self.open()
        for number in range(10):
            peer.call(str(number), "NoSuchAction")
            self.assertEqual((await peer.message())[0], 4)
        peer.call("last", "MeterValues", METER)
        self.assertEqual((await peer.message())[1], "last")
        await self.worker.came("MeterValues")
        self.assertEqual([one.unique_id for one in self.worker.of(CALL_REFUSED)], ["0", "1", "2"])

    async def test_a_refused_call_is_answered_while_the_broker_is_away(self) -> None:
        await self.start()
        peer = await self.open()

        async def away(*_: object, **__: object) -> None:
            raise PublishTimeout("away")

        self.patch(self.broker, "publish", away)
        peer.call("1", "NoSuchAction")
        self.assertEqual((await peer.message())[:3], [4, "1", "NotImplemented"])
        peer.call("2", "Heartbeat")
        self.assertEqual((await peer.message())[:2], [3, "2"])

    async def test_session_data_that_breaks_its_schema_is_passed_on_flagged(self) -> None:
        await self.start()
        peer = await self.open()
        peer.call("1", "StopTransaction", {"transactionId": "x", "meterStop": 1})
        self.assertEqual((await peer.message())[0], 3)
        self.assertIn("$", (await self.worker.came("StopTransaction")).fault)

    async def test_own_bug_costs_one_connection_only(self) -> None:
        await self.start()
        other, peer = await self.open("OTHER"), await self.open()

        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        self.patch(self.gateway._upstream, "publish", broken)
        peer.call("1", "MeterValues", METER)
        self.assertEqual(await peer.close_code(), 1011)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError, TypeError)), 2)
        other.call("1", "Heartbeat")
        self.assertEqual((await other.message())[1], "1")
