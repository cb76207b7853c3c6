"""Commands over real sockets: at most once, one at a time, by priority, bounded, and told whatever happens."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred, fail

from csms.domain import topology
from csms.domain.command_model import Command, CommandState, Priority
from csms.domain.commands import MAX_OPEN, new_command, order_of
from csms.domain.identifiers import new_id
from csms.domain.messages import COMMAND, COMMAND_RESULT, COMMAND_SENT, encode
from csms.domain.secrets import NOT_KEPT
from csms.gateway import commands
from csms.gateway.registry import Registry
from csms.ports import BrokerState, Message, PublishTimeout
from tests.gateway.case import BOOT, GatewayCase, turn, until
from tests.gateway.client import CLOSE, Peer

State = CommandState


class CommandCase(GatewayCase):
    """With one charger, CP1, and commands to it."""

    def command(self, action: str = "Reset", payload: str = '{"type":"Soft"}', **fields: Any) -> Command:
        """A command to CP1 that is stored."""
        charger = self.database.rows.by_id["CP1"]
        given: dict[str, Any] = {"command_id": new_id(0), "now": datetime.now(UTC), "timeout_s": 20.0} | fields
        return self.database.rows.commands.add(new_command(charger, action, payload, **given))

    async def order(self, command: Command) -> None:
        """Put it on its way as the relay does."""
        message = Message(body=encode(order_of(command)), message_id=command.command_id, type=COMMAND)
        await self.broker.publish(topology.COMMANDS_EXCHANGE, command.device_id, message)

    async def routable(self, gateways: int = 1) -> None:
        """Wait until so many gateways are bound to CP1."""
        await until(lambda: self.bound == gateways)

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.bound = 0
        real = self.broker.bind

        async def bind(queue: str, exchange: str, routing_key: str) -> None:
            await real(queue, exchange, routing_key)
            self.bound += 1

        self.patch(self.broker, "bind", bind)

    async def connected(self, drain_s: float = 0.0, **fields: Any) -> Peer:
        await self.start(drain_s=drain_s)
        self.charger(**fields)
        peer = await self.open()
        await self.routable()
        return peer

    def results(self) -> list[dict[str, Any]]:
        return [message.payload for message in self.worker.of(COMMAND_RESULT)]


class CommandTests(CommandCase):
    async def test_a_new_password_is_written_to_the_charger_and_told_to_nobody_else(self) -> None:
        peer = await self.connected()
        payload = '{"key":"authorizationkey","value":"0123456789abcdef0123456789abcdef"}'
        await self.order(self.command("ChangeConfiguration", payload))
        self.assertEqual((await peer.message())[3], json.loads(payload))
        told = await self.worker.came(COMMAND_SENT)
        self.assertEqual(json.loads(told.raw_data)[3], {"key": "authorizationkey", "value": "(not kept)"})

    async def test_a_secret_in_an_answer_is_told_to_nobody(self) -> None:
        """Keys like these are write-only, and some chargers tell them all the same."""
        peer = await self.connected()
        command = self.command("GetConfiguration", "{}")
        await self.order(command)
        await peer.message()
        secret = "0123456789abcdef0123456789abcdef"
        key = {"key": "AuthorizationKey", "readonly": False, "value": secret}
        other = {"key": "HeartbeatInterval", "readonly": False, "value": "60"}
        peer.send_frame(json.dumps([3, command.command_id, {"configurationKey": [key, other]}]))
        result = await self.worker.came(COMMAND_RESULT)
        self.assertEqual(result.payload["answer"]["configurationKey"], [key | {"value": NOT_KEPT}, other])
        self.assertEqual(json.loads(result.raw_data)[2], result.payload["answer"])
        for _, _, message in self.broker.published:
            self.assertNotIn(secret.encode(), message.body)

    async def test_a_secret_in_a_report_is_told_to_nobody(self) -> None:
        await self.start()
        peer = await self.open(protocols="ocpp2.0.1")
        variable = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
        data = [{**variable, "variableAttribute": [{"type": "Actual", "value": "very-secret-password"}]}]
        report = {"requestId": 1, "generatedAt": "2026-01-01T00:00:00Z", "seqNo": 0, "reportData": data}
        peer.call("1", "NotifyReport", report)
        self.assertEqual((await peer.message())[:2], [3, "1"])
        message = await self.worker.came("NotifyReport")
        self.assertEqual(message.payload["reportData"][0]["variableAttribute"][0]["value"], NOT_KEPT)
        self.assertNotIn("very-secret", message.raw_data)

    async def test_while_connections_displace_each_other_no_command_goes_to_a_dead_one(
        self,
    ) -> None:
        await self.start()
        self.charger()
        peers = []
        commands = []
        for number in range(40):
            peers.append(await self.open())
            await self.routable(number + 1)
            commands.append(self.command("ChangeConfiguration", f'{{"key":"k","value":"{number}"}}'))
            await self.order(commands[-1])
            if number % 2:
                await turn(1 + number % 7)
        await until(lambda: len(self.gateway._protocols) == 1)
        await self.worker.came("ConnectionClosed", len(peers) - 1)
        written: list[int] = []
        for number, peer in enumerate(peers[:-1]):
            while (frame := await peer.frame())[0] != CLOSE:
                # Nothing that was ordered when there was a newer connection.
                written.append(int(json.loads(frame[1])[3]["value"]))
                self.assertEqual(written[-1], number)
        self.assertEqual(len(written), len(set(written)))
        peers[-1].call("1", "Heartbeat")
        last = await peers[-1].message()
        while last[0] == 2:
            self.assertNotIn(int(last[3]["value"]), written)
            peers[-1].send_frame(json.dumps([3, last[1], {"status": "Accepted"}]))
            last = await peers[-1].message()
        self.assertEqual(last[1], "1")
        states = {command.state for command in commands}
        self.assertLessEqual(states, {State.SENT, State.WAITING})

    async def test_a_command_is_claimed_told_written_and_its_answer_told(self) -> None:
        peer = await self.connected()
        command = self.command("ChangeConfiguration", '{"value":"1","key":"b"}')
        await self.order(command)
        self.assertEqual(
            await peer.message(), [2, command.command_id, "ChangeConfiguration", {"value": "1", "key": "b"}]
        )
        self.assertIs(command.state, State.SENT)
        sent = self.worker.of(COMMAND_SENT)[0]
        self.assertEqual(sent.raw_data, f'[2,"{command.command_id}","ChangeConfiguration",{{"value":"1","key":"b"}}]')
        peer.send_frame(json.dumps([3, command.command_id, {"status": "Rejected"}]))
        result = await self.worker.came(COMMAND_RESULT)
        self.assertEqual(
            result.payload,
            {
                "commandId": command.command_id,
                "action": "ChangeConfiguration",
                "outcome": "answered",
                "answer": {"status": "Rejected"},
            },
        )
        self.assertEqual(result.unique_id, command.command_id)
        keys = [key for exchange, key, _ in self.broker.published if exchange == topology.OCPP_EXCHANGE]
        self.assertEqual(keys[-2:], ["ocpp.result.ChangeConfiguration"] * 2)

    async def test_an_order_that_comes_twice_is_written_once(self) -> None:
        peer = await self.connected()
        command = self.command()
        await self.order(command)
        await self.order(command)
        await peer.message()
        await self.order(command)
        peer.send_frame(json.dumps([3, command.command_id, {"status": "Accepted"}]))
        await self.worker.came(COMMAND_RESULT)
        await self.order(command)
        following = self.command("ClearCache", "{}")
        await self.order(following)
        self.assertEqual((await peer.message())[1], following.command_id)

    async def test_nothing_is_written_of_what_was_cancelled_or_has_expired(self) -> None:
        peer = await self.connected()
        cancelled, expired = self.command(), self.command(timeout_s=0.0)
        cancelled.state = State.CANCELLED
        following = self.command("ClearCache", "{}")
        for command in (cancelled, expired, following):
            await self.order(command)
        self.assertEqual((await peer.message())[1], following.command_id)

    async def test_one_at_a_time_and_stops_go_before_starts_before_the_rest(self) -> None:
        peer = await self.connected()
        first = self.command()
        rest = [self.command("ClearCache", "{}"), self.command("ClearCache", "{}")]
        start = self.command("RemoteStartTransaction", '{"idTag":"A"}')
        stop = self.command("RemoteStopTransaction", '{"transactionId":1}')
        self.assertEqual([one.priority for one in (stop, start)], [Priority.STOP, Priority.START])
        for command in (first, *rest, start, stop):
            await self.order(command)
        order = []
        for _ in range(5):
            _, unique_id, _, _ = await peer.message()
            order.append(unique_id)
            self.assertEqual(len(self.worker.of(COMMAND_SENT)), len(order))
            await turn()
            peer.send_frame(json.dumps([3, unique_id, {"status": "Accepted"}]))
        expected = [first, stop, start, *rest]
        self.assertEqual(order, [one.command_id for one in expected])

    async def test_more_than_may_wait_is_refused_with_a_reason(self) -> None:
        self.patch(commands, "MAX_OPEN", 2)
        self.assertGreater(MAX_OPEN, 2)
        peer = await self.connected()
        made = [self.command() for _ in range(4)]
        await self.order(made[0])
        await peer.message()
        for command in made[1:]:
            await self.order(command)
        await self.worker.came(COMMAND_RESULT)
        [result] = self.results()
        self.assertEqual((result["commandId"], result["outcome"]), (made[3].command_id, "invalid"))
        self.assertEqual(result["errorCode"], "QueueFull")

    async def test_a_callerror_is_told_as_it_came(self) -> None:
        peer = await self.connected()
        await self.order(command := self.command())
        await peer.message()
        peer.send_frame(json.dumps([4, command.command_id, "NotSupported", "never heard", {"a": 1}]))
        await self.worker.came(COMMAND_RESULT)
        [result] = self.results()
        self.assertEqual(result["outcome"], "refused")
        self.assertEqual((result["errorCode"], result["errorDescription"]), ("NotSupported", "never heard"))

    async def test_answers_that_break_the_schema_are_told_as_they_came_with_the_fault(self) -> None:
        peer = await self.connected()
        answers: list[Any] = [{"status": "Perhaps"}, {"nonsense": [None] * 3}, ["no object"], None]
        for number, answer in enumerate(answers, start=1):
            await self.order(command := self.command())
            await peer.message()
            peer.send_frame(json.dumps([3, command.command_id, answer]))
            result = await self.worker.came(COMMAND_RESULT, number)
            self.assertEqual(result.payload["outcome"], "answered")
            self.assertEqual(result.payload["answer"], answer if isinstance(answer, dict) else {})
            self.assertIn("$", result.payload["fault"])
            self.assertEqual(json.loads(result.raw_data), [3, command.command_id, answer])

    async def test_without_an_answer_in_time_the_outcome_is_told_and_the_next_command_goes(self) -> None:
        peer = await self.connected()
        await self.order(self.command(timeout_s=0.2))
        await self.order(following := self.command("ClearCache", "{}"))
        await peer.message()
        self.assertEqual((await peer.message())[1], following.command_id)
        await self.worker.came(COMMAND_RESULT)
        self.assertEqual(self.results()[0]["outcome"], "timed_out")

    async def test_an_answer_that_comes_late_is_told_and_not_taken_for_that_of_the_next_command(self) -> None:
        peer = await self.connected()
        await self.order(late := self.command(timeout_s=0.2))
        await self.order(following := self.command("ClearCache", "{}"))
        for _ in range(2):
            await peer.message()
        peer.send_frame(json.dumps([3, late.command_id, {"status": "Rejected"}]))
        peer.send_frame(json.dumps([3, late.command_id, {"status": "Accepted"}]))
        peer.send_frame(json.dumps([3, following.command_id, {"status": "Accepted"}]))
        await self.worker.came(COMMAND_RESULT, 3)
        told = [(one["commandId"], one["outcome"], one.get("answer")) for one in self.results()]
        first, second = {"status": "Rejected"}, {"status": "Accepted"}
        self.assertEqual(told[0], (late.command_id, "timed_out", None))
        self.assertCountEqual(
            told[1:], [(late.command_id, "answered", first), (following.command_id, "answered", second)]
        )

    async def test_a_connection_that_ends_before_the_answer_leaves_the_outcome_unknown(self) -> None:
        peer = await self.connected()
        await self.order(self.command())
        await self.order(waiting := self.command("ClearCache", "{}"))
        await peer.message()
        peer.cut()
        await self.worker.came(COMMAND_RESULT)
        self.assertEqual([result["outcome"] for result in self.results()], ["unknown"])
        self.assertIs(waiting.state, State.WAITING)

    async def test_a_command_goes_over_the_newer_connection_only(self) -> None:
        old = await self.connected()
        new = await self.open()
        await old.close_code()
        await self.order(command := self.command())
        self.assertEqual((await new.message())[1], command.command_id)

    async def test_of_two_gateways_that_both_hold_the_charger_one_writes(self) -> None:
        self.patch(Registry, "take_over", lambda *_: None)
        self.charger()
        for _ in range(2):
            await self.open(gateway=await self.start())
        await self.routable(2)
        real, names = self.database.transact, []

        async def transact(work: Any, *, name: str) -> Any:
            names.append(name)
            return await real(work, name=name)

        self.patch(self.database, "transact", transact)
        await self.order(self.command())
        await self.worker.came(COMMAND_SENT)
        await until(lambda: names.count("claim command") == 2)
        await turn()
        self.assertEqual(len(self.worker.of(COMMAND_SENT)), 1)

    async def test_when_the_broker_does_not_confirm_nothing_is_written_and_the_claim_is_given_back(self) -> None:
        peer = await self.connected()
        real, refused = self.broker.publish, []

        def publish(exchange: str, key: str, message: Message, **options: Any) -> Deferred[None]:
            if message.type != COMMAND_SENT:
                return real(exchange, key, message, **options)
            refused.append(message)
            return fail(PublishTimeout("as staged"))

        self.patch(self.broker, "publish", publish)
        await self.order(command := self.command())
        await until(lambda: refused and command.state is State.WAITING)
        self.patch(self.broker, "publish", real)
        await self.order(command)
        self.assertEqual((await peer.message())[1], command.command_id)

    async def test_a_command_that_cannot_be_sent_is_told_with_the_reason(self) -> None:
        await self.connected()
        await self.order(self.command("GetBaseReport", '{"requestId":1,"reportBase":"FullInventory"}'))
        await self.worker.came(COMMAND_RESULT)
        [result] = self.results()
        self.assertEqual((result["outcome"], result["errorCode"]), ("invalid", "NotSendable"))
        self.assertIn("GetBaseReport", result["errorDescription"])

    async def test_while_the_database_is_away_nothing_is_written(self) -> None:
        peer = await self.connected()
        self.database.away = True
        await self.order(command := self.command())
        await turn()
        self.database.away = False
        self.assertIs(command.state, State.WAITING)
        await self.order(command)
        self.assertEqual((await peer.message())[1], command.command_id)

    async def test_a_stop_begins_no_command_and_leaves_what_waits_for_others(self) -> None:
        peer = await self.connected()
        await self.order(first := self.command())
        await self.order(waiting := self.command("ClearCache", "{}"))
        await peer.message()
        await self.gateway.stop()
        self.assertEqual(await peer.close_code(), 1001)
        self.assertEqual([result["outcome"] for result in self.results()], ["unknown"])
        self.assertEqual([first.state, waiting.state], [State.SENT, State.WAITING])

    async def test_charger_calls_and_commands_do_not_wait_for_each_other(self) -> None:
        peer = await self.connected()
        await self.order(command := self.command())
        await peer.message()
        peer.call("1", "BootNotification", BOOT)
        self.assertEqual((await peer.message())[:2], [3, "1"])
        peer.send_frame(json.dumps([3, command.command_id, {"status": "Accepted"}]))
        await self.worker.came(COMMAND_RESULT)

    async def test_orders_that_are_none_do_no_harm(self) -> None:
        peer = await self.connected()
        for body in (b"", b"{}", b'{"commandId": 1}'):
            await self.broker.publish(
                topology.COMMANDS_EXCHANGE, "CP1", Message(body=body, message_id="x", type=COMMAND)
            )
        await self.order(command := self.command())
        self.assertEqual((await peer.message())[1], command.command_id)
        self.assertIs(self.broker.state, BrokerState.UP)
