"""Commands over HTTP: what is refused and why, what is stored, and how the charger's answer comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from typing import Any

import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Cooperator
from twisted.web.client import FileBodyProducer, ResponseNeverReceived
from twisted.web.http_headers import Headers

from csms.coroutines import spawn
from csms.domain import command_life as life
from csms.domain.actions import handle
from csms.domain.command_model import Command, CommandState
from csms.domain.commands import MAX_OPEN
from csms.domain.handling import Notes, Policy
from csms.domain.identifiers import new_id
from csms.domain.messages import COMMAND_RESULT, ChargerMessage, CommandOrder, decode
from csms.domain.model import Charger
from csms.domain.repositories import OutboxRow, UnitOfWork
from csms.domain.topology import COMMANDS_EXCHANGE
from csms.ports import DatabaseUnavailable
from tests.api.site_case import Answer, SiteTestCase
from tests.gateway.notes import tell

PASSWORD = "0123456789abcdef0123456789abcdef01234567"
RESET = {"type": "Soft"}
ANSWER = {"status": "Accepted"}


class CommandTests(SiteTestCase):
    async def start_site(self) -> None:
        await super().start_site()
        self.cookie = await self.sign_in()
        self.on_publish: Callable[[Sequence[OutboxRow]], object] = lambda rows: None
        for device_id, version in (("CP-1", "1.6"), ("CP-2", "2.0.1"), ("CP-3", "2.1"), ("NEW", "")):
            charger = Charger(device_id=device_id, ocpp_version=version, connected=bool(version), vendor=f"V{version}")
            await self.database.transact(partial(_add, charger), name="test")

    async def post(self, path: str, body: Any = None, *, raw: bytes | None = None, key: str = "") -> Answer:
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        headers = Headers({"Cookie": [self.cookie], "Origin": [self.url]})
        if key:
            headers.addRawHeader("Idempotency-Key", key)
        producer = None
        if content is not None:
            headers.addRawHeader("Content-Type", "application/json")
            producer = FileBodyProducer(BytesIO(content), cooperator=Cooperator())
        response = await self.agent.request(b"POST", (self.url + path).encode(), headers, producer)
        return Answer(response.code, response.headers, await treq.content(response))

    async def get(self, path: str) -> Any:
        answer = await self.ask(path, cookie=self.cookie)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    async def command(self, command_id: str) -> Command:
        found = await self.database.read(lambda uow: uow.commands.get(command_id), name="test")
        assert found is not None
        return found

    def orders(self) -> list[CommandOrder]:
        return [decode(CommandOrder, row.body) for row in self.published if row.exchange == COMMANDS_EXCHANGE]

    async def newest(self) -> Command:
        """Wait until a command was published; the newest."""
        while not self.orders():
            await self.database.read(lambda uow: None, name="test")
        return await self.command(self.orders()[-1].command_id)

    async def change(self, work: Callable[[UnitOfWork, Notes], object]) -> None:
        """Change commands as another process would, and let the event come here."""

        def run(uow: UnitOfWork) -> Notes:
            notes = Notes(new_id(0), self.time)
            work(uow, notes)
            return notes

        for notification in (await self.database.transact(run, name="test")).list:
            tell(self.ring, notification)

    async def result(self, command: Command, outcome: str, **fields: Any) -> None:
        """What a gateway tells."""
        message = ChargerMessage(
            device_id=command.device_id,
            charger_id=command.charger_id,
            message_type=COMMAND_RESULT,
            payload={"commandId": command.command_id, "outcome": outcome, **fields},
            timestamp=self.time,
            raw_data="",
            message_id=new_id(0),
            connection_id="",
            ocpp_version=command.ocpp_version,
            gateway="gw",
        )

        def work(uow: UnitOfWork, notes: Notes) -> None:
            life.claim(uow, command.command_id, self.time)
            notes.list += handle(message, uow, Policy()).notifications

        await self.change(work)

    def sending(self, path: str, body: Any = None) -> Deferred[Answer | None]:
        return spawn(self.post(path, body), "test")

    async def test_the_answer_of_the_charger_is_returned(self) -> None:
        sending = self.sending("/api/v1/chargers/CP-1/commands/Reset", RESET)
        command = await self.newest()
        self.assertIs(command.state, CommandState.WAITING)
        await self.result(command, "answered", answer=ANSWER)
        answer = await sending
        assert answer is not None
        self.assertEqual(answer.status, 200)
        told = answer.json()
        self.assertEqual((told["state"], told["answer"], told["payload"]), ("answered", ANSWER, RESET))
        self.assertEqual((told["id"], told["createdBy"]), (command.command_id, "admin"))
        self.assertEqual(answer.header("Location"), f"/api/v1/commands/{command.command_id}")
        self.assertEqual(await self.get(answer.header("Location")), told)

    async def test_an_answer_that_breaks_its_schema_is_returned_as_it_came_and_flagged(self) -> None:
        sending = self.sending("/api/v1/chargers/CP-1/commands/Reset", RESET)
        odd = {"status": "Perhaps", "more": [{}]}
        await self.result(await self.newest(), "answered", answer=odd, fault="$.status: not in the list")
        answer = await sending
        assert answer is not None
        self.assertEqual((answer.status, answer.json()["answer"]), (200, odd))
        self.assertEqual(answer.json()["fault"], "$.status: not in the list")

    async def test_a_refusal_of_the_charger_is_its_answer_too(self) -> None:
        sending = self.sending("/api/v1/chargers/CP-1/commands/Reset", RESET)
        await self.result(await self.newest(), "refused", errorCode="NotSupported", errorDescription="no")
        answer = await sending
        assert answer is not None
        told = answer.json()
        self.assertEqual((answer.status, told["state"], told["errorCode"]), (200, "refused", "NotSupported"))

    async def test_each_end_without_an_answer_has_its_status_and_says_where_to_look(self) -> None:
        for outcome, status in (("timed_out", 504), ("unknown", 504), ("invalid", 409)):
            self.published.clear()
            sending = self.sending("/api/v1/chargers/CP-1/commands/Reset", RESET)
            command = await self.newest()
            await self.result(command, outcome, errorDescription="because")
            answer = await sending
            assert answer is not None
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.header("Content-Type"), "application/problem+json")
            self.assertEqual(answer.header("Location"), f"/api/v1/commands/{command.command_id}")

    async def test_not_connected_is_a_conflict_and_queue_keeps_it(self) -> None:
        sending = self.sending("/api/v1/chargers/CP-1/commands/Reset", RESET)
        gone = (await self.newest()).command_id
        await self.change(lambda uow, notes: life.not_routed(uow, [gone], self.time, notes))
        answer = await sending
        assert answer is not None
        self.assertEqual((answer.status, "not connected" in answer.json()["detail"]), (409, True))
        self.published.clear()
        sending = self.sending("/api/v1/chargers/CP-1/commands/Reset?queue=3600&timeout=300", RESET)
        kept = (await self.newest()).command_id
        await self.change(lambda uow, notes: life.not_routed(uow, [kept], self.time, notes))
        answer = await sending.addTimeout(20.0, reactor)
        assert answer is not None
        self.assertEqual((answer.status, answer.json()["state"]), (202, "queued"))

    async def test_without_an_answer_in_time_504_and_the_command_goes_on(self) -> None:
        answer = await self.post("/api/v1/chargers/CP-1/commands/Reset?timeout=1", RESET)
        self.assertEqual(answer.status, 504)
        command = await self.newest()
        await self.result(command, "answered", answer=ANSWER)
        self.assertEqual((await self.get(answer.header("Location")))["state"], "answered")

    async def test_missed_events_cost_nothing_but_a_look(self) -> None:
        sending = self.sending("/api/v1/chargers/CP-1/commands/Reset", RESET)
        command = await self.newest()

        def quietly(uow: UnitOfWork) -> None:
            found = uow.commands.get(command.command_id)
            assert found is not None
            found.state = CommandState.CANCELLED

        await self.database.transact(quietly, name="test")
        self.ring.break_off(0.0)
        answer = await sending
        assert answer is not None
        self.assertEqual(answer.status, 409)

    async def test_who_does_not_wait_is_told_where_to_look(self) -> None:
        answer = await self.post("/api/v1/chargers/CP-1/commands/Reset?wait=false", RESET)
        self.assertEqual(answer.status, 202)
        command_id = answer.json()["id"]
        self.assertEqual(answer.header("Location"), f"/api/v1/commands/{command_id}")
        self.assertEqual((await self.get(answer.header("Location")))["state"], "waiting")

    async def test_who_goes_away_leaves_nothing_behind_and_the_command_goes_on(self) -> None:
        sending = Deferred.fromCoroutine(self.post("/api/v1/chargers/CP-1/commands/Reset", RESET))
        command = await self.newest()
        sending.cancel()
        await self.assertFailure(sending, ResponseNeverReceived)
        while self.service.site.channels:
            await self.database.read(lambda uow: None, name="test")
        await self.result(command, "answered", answer=ANSWER)
        self.assertEqual((await self.get(f"/api/v1/commands/{command.command_id}"))["state"], "answered")
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_who_repeats_a_request_sends_no_second_command_whatever_the_first_was_told(self) -> None:
        for outcome, status in (("answered", 200), ("timed_out", 504), ("unknown", 504), ("invalid", 409)):
            self.published.clear()
            sending = spawn(self.post("/api/v1/chargers/CP-1/commands/Reset", RESET, key=outcome), "test")
            command = await self.newest()
            await self.result(command, outcome, errorDescription="because")
            first = await sending
            assert first is not None
            again = await self.post("/api/v1/chargers/CP-1/commands/Reset", RESET, key=outcome)
            self.assertEqual((again.status, again.body), (status, first.body), outcome)
            for name in ("Content-Type", "Location"):
                self.assertEqual(again.header(name), first.header(name), outcome)
            self.assertEqual(len(self.orders()), 1)

    async def test_who_lost_the_connection_while_waiting_repeats_the_request_and_learns_where_to_look(self) -> None:
        path = "/api/v1/chargers/CP-1/commands/Reset"
        sending = Deferred.fromCoroutine(self.post(path, RESET, key="k"))
        command = await self.newest()
        sending.cancel()
        await self.assertFailure(sending, ResponseNeverReceived)
        while (again := await self.post(path, RESET, key="k")).status == 409:
            await self.database.read(lambda uow: None, name="test")
        self.assertEqual((again.status, again.json()["id"]), (202, command.command_id))
        self.assertEqual(again.header("Location"), f"/api/v1/commands/{command.command_id}")
        self.assertEqual(len(self.orders()), 1)

    async def test_a_database_that_goes_away_once_the_command_is_stored_frees_no_key(self) -> None:
        path, read = "/api/v1/chargers/CP-1/commands/Reset", self.database.read
        sending = spawn(self.post(path, RESET, key="k"), "test")
        command = await self.newest()

        async def away(work: Callable[[UnitOfWork], Any], *, name: str) -> Any:
            if name == "command":
                raise DatabaseUnavailable("away")
            return await read(work, name=name)

        self.patch(self.database, "read", away)
        await self.result(command, "answered", answer=ANSWER)
        first = await sending
        assert first is not None
        again = await self.post(path, RESET, key="k")
        for answer in (first, again):
            self.assertEqual((answer.status, command.command_id in answer.json()["detail"]), (503, True), answer)
            self.assertTrue(answer.header("Retry-After"))
        self.assertEqual(len(self.orders()), 1)

    async def test_the_order_of_members_is_kept(self) -> None:
        raw = b'{"value":"1","key":"k"}'
        answer = await self.post("/api/v1/chargers/CP-1/commands/ChangeConfiguration?wait=false", raw=raw)
        self.assertEqual(answer.status, 202)
        self.assertEqual(bytes(self.orders()[-1].payload), raw)

    async def test_a_payload_that_breaks_the_schema_is_refused_with_the_path_of_the_fault(self) -> None:
        profile = {"connectorId": 1, "csChargingProfiles": {"chargingSchedule": {"chargingSchedulePeriod": [{}]}}}
        for action, payload, path in (
            ("Reset", {"type": "Sideways"}, "/type"),
            ("Reset", {}, ""),
            ("Reset", {"type": "Soft", "extra": 1}, ""),
            ("SetChargingProfile", profile, "/csChargingProfiles"),
        ):
            answer = await self.post(f"/api/v1/chargers/CP-1/commands/{action}", payload)
            self.assertEqual((answer.status, answer.json()["pointer"][: len(path)]), (422, path), answer)
        self.assertEqual(self.published, [])

    async def test_what_is_no_json_object_is_refused(self) -> None:
        path = "/api/v1/chargers/CP-1/commands/Reset"
        deep = b'{"type":' + b"[" * 100 + b"]" * 100 + b"}"
        for raw, status in ((b"", 400), (b"{", 400), (b"[]", 422), (b'"x"', 422), (deep, 422)):
            self.assertEqual((await self.post(path, raw=raw)).status, status, raw)

    async def test_each_version_is_checked_by_its_own_schema(self) -> None:
        for device_id, action, payload, status in (
            ("CP-2", "Reset", {"type": "Immediate"}, 202),
            ("CP-2", "Reset", {"type": "Soft"}, 422),
            ("CP-3", "RequestStopTransaction", {"transactionId": "a"}, 202),
            ("CP-2", "RemoteStopTransaction", {"transactionId": 1}, 404),
            ("CP-1", "GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}, 404),
            ("CP-1", "Heartbeat", {}, 404),
            ("NEW", "Reset", RESET, 409),
            ("NONE", "Reset", RESET, 404),
        ):
            answer = await self.post(f"/api/v1/chargers/{device_id}/commands/{action}?wait=false", payload)
            self.assertEqual(answer.status, status, (device_id, action, answer))

    async def test_a_charger_with_too_many_commands_gets_no_more(self) -> None:
        for _ in range(MAX_OPEN):
            await self.post("/api/v1/chargers/CP-1/commands/ClearCache?wait=false", {})
        answer = await self.post("/api/v1/chargers/CP-1/commands/ClearCache?wait=false", {})
        self.assertEqual((answer.status, bool(answer.header("Retry-After"))), (429, True))

    async def test_only_what_was_not_sent_can_be_cancelled(self) -> None:
        answer = await self.post("/api/v1/chargers/CP-1/commands/Reset?wait=false", RESET)
        path = f"/api/v1/commands/{answer.json()['id']}/cancel"
        for _ in range(2):
            cancelled = await self.post(path)
            self.assertEqual((cancelled.status, cancelled.json()["state"]), (200, "cancelled"))
        sent = (await self.post("/api/v1/chargers/CP-1/commands/Reset?wait=false", RESET)).json()["id"]
        await self.database.transact(lambda uow: life.claim(uow, sent, self.time), name="test")
        self.assertEqual((await self.post(f"/api/v1/commands/{sent}/cancel")).status, 409)
        self.assertEqual((await self.post("/api/v1/commands/nobody/cancel")).status, 404)

    async def test_listings_filter_and_continue(self) -> None:
        for device_id, action in (("CP-1", "ClearCache"), ("CP-2", "ClearCache"), ("CP-1", "GetConfiguration")):
            await self.post(f"/api/v1/chargers/{device_id}/commands/{action}?wait=false", {})
        page = await self.get("/api/v1/commands?limit=2")
        self.assertEqual([one["action"] for one in page["items"]], ["GetConfiguration", "ClearCache"])
        rest = await self.get(f"/api/v1/commands?before={page['next']}")
        self.assertEqual(([one["deviceId"] for one in rest["items"]], rest["next"]), (["CP-1"], None))
        found = await self.get("/api/v1/commands?deviceId=CP-1&action=ClearCache&state=waiting")
        self.assertEqual(len(found["items"]), 1)
        self.assertEqual((await self.ask("/api/v1/commands?state=odd", cookie=self.cookie)).status, 400)

    async def test_the_same_for_many_with_progress(self) -> None:
        wish = {"chargers": ["CP-1", "CP-2", "NEW"], "action": "ClearCache", "payload": {}}
        answer = await self.post("/api/v1/commands", wish)
        batch = answer.json()
        self.assertEqual((answer.status, batch["total"], batch["done"]), (202, 3, False))
        self.assertEqual(batch["states"], {"invalid": 1, "waiting": 2})
        for order in self.orders():
            await self.result(await self.command(order.command_id), "answered", answer=ANSWER)
        batch = await self.get(answer.header("Location"))
        self.assertEqual((batch["states"], batch["done"]), ({"answered": 2, "invalid": 1}, True))
        invalid = await self.get(f"/api/v1/commands?batchId={batch['id']}&state=invalid")
        self.assertEqual([one["errorCode"] for one in invalid["items"]], ["UnknownVersion"])

    async def test_many_by_filter(self) -> None:
        wish = {"filter": {"connected": True, "vendor": "V1.6"}, "action": "ClearCache", "payload": {}}
        batch = (await self.post("/api/v1/commands", wish)).json()
        self.assertEqual((batch["total"], [order.device_id for order in self.orders()]), (1, ["CP-1"]))

    async def test_many_are_refused_as_a_whole_when_none_can_get_it(self) -> None:
        for wish, status in (
            ({"chargers": ["CP-1", "NONE"], "action": "ClearCache", "payload": {}}, 422),
            ({"chargers": ["CP-1"], "action": "Reset", "payload": {}}, 422),
            ({"chargers": ["CP-1"], "action": "Nonsense", "payload": {}}, 404),
            ({"filter": {"vendor": "nobody"}, "action": "ClearCache", "payload": {}}, 422),
            ({"action": "ClearCache", "payload": {}}, 422),
            ({"chargers": ["CP-1"], "filter": {}, "action": "ClearCache", "payload": {}}, 422),
        ):
            answer = await self.post("/api/v1/commands", wish)
            self.assertEqual(answer.status, status, (wish, answer))
        self.assertEqual(self.published, [])
        self.assertEqual((await self.ask("/api/v1/command-batches/none", cookie=self.cookie)).status, 404)

    async def test_a_password_is_never_shown_and_never_the_same_for_many(self) -> None:
        change = {"key": "authorizationkey", "value": PASSWORD}
        many = {"chargers": ["CP-1", "CP-2"], "action": "ChangeConfiguration", "payload": change}
        refused = await self.post("/api/v1/commands", many)
        self.assertEqual((refused.status, refused.json()["pointer"]), (422, "/payload"))
        sent = await self.post("/api/v1/chargers/CP-1/commands/ChangeConfiguration?wait=false", change)
        self.assertEqual((sent.status, sent.json()["payload"]["value"]), (202, "(not kept)"))
        shown = await self.get(sent.header("Location"))
        self.assertEqual((shown["state"], shown["payload"]["value"]), ("waiting", "(not kept)"))
        (order,) = self.orders()
        self.assertIn(PASSWORD, (await self.command(order.command_id)).payload)


def _add(charger: Charger, uow: UnitOfWork) -> None:
    uow.chargers.add(charger)
