from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

from twisted.internet.defer import Deferred

from csms.domain.credentials import generate_password, verify
from csms.domain.model import LogEntry, Sample, SessionState
from csms.domain.password_rotation import offer
from csms.domain.repositories import UnitOfWork
from tests.api.site_case import NOON, Answer
from tests.api.test_rest import RestTestCase

FORMULA = "=HYPERLINK(1)"


class ResourceTestCase(RestTestCase):
    async def change(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        return await self.send(method, path, body, await self.sign_in(), **headers)

    async def names(self, path: str, member: str) -> list[Any]:
        return [item[member] for item in (await self.json(path))["items"]]

    async def changes(self) -> list[tuple[str, str]]:
        found = (await self.json("/api/v1/audit"))["items"]
        return [(one["action"], one["target"]) for one in found if one["action"] != "signIn"]

    async def with_samples(self, minutes: int) -> int:
        (number,) = await self.with_sessions("CP-1", 1)

        def add(uow: UnitOfWork) -> None:
            session = uow.sessions.get(number)
            assert session is not None
            uow.sessions.add_samples(
                Sample(
                    charger_id=session.charger_id,
                    session_id=number,
                    sampled_at=NOON + timedelta(minutes=minute),
                    received_at=NOON,
                    measurand="Current.Import",
                    phase=phase,
                    value=16.0,
                    unit="A",
                )
                for minute in range(minutes)
                for phase in ("L1", "L2")
            )

        await self.write(add)
        return number

    async def with_messages(self, session_id: int) -> None:
        def add(uow: UnitOfWork) -> None:
            session = uow.sessions.get(session_id)
            assert session is not None
            uow.log.append(
                LogEntry(
                    charger_id=session.charger_id,
                    message_id=f"m{number}",
                    connection_id="c",
                    unique_id=str(number),
                    action="Heartbeat" if number % 2 else "Other",
                    ocpp_version="1.6",
                    gateway="gw",
                    received_at=NOON + timedelta(seconds=second),
                    raw="[]",
                    error="FormationViolation" if number == 4 else "",
                )
                for number, second in enumerate((-3600, -10, 0, 60, 60))
            )

        await self.write(add)


class IdTokensTest(ResourceTestCase):
    async def test_the_life_of_a_token(self) -> None:
        body = {"token": "04A2", "group": "staff", "maxSessions": 2, "expiresAt": "2030-01-01T02:00:00+02:00"}
        made = await self.change("POST", "/api/v1/id-tokens", body)
        self.assertEqual((made.status, made.json()["expiresAt"]), (201, "2030-01-01T00:00:00Z"))
        self.assertEqual((await self.change("POST", "/api/v1/id-tokens", {"token": "04a2"})).status, 409)
        shown = await self.get("/api/v1/id-tokens/04a2")
        self.assertEqual((shown.json(), shown.header("ETag")), (made.json(), made.header("ETag")))
        path = "/api/v1/id-tokens/04A2"
        changed = await self.change(
            "PATCH", path, {"blocked": True, "maxSessions": None}, **{"If-Match": made.header("ETag")}
        )
        self.assertEqual((changed.json()["blocked"], changed.json()["maxSessions"]), (True, None))
        self.assertEqual(changed.json()["group"], "staff")
        late = await self.change("PATCH", path, {"blocked": False}, **{"If-Match": made.header("ETag")})
        self.assertEqual(late.status, 412)
        self.assertEqual((await self.change("DELETE", path)).status, 204)
        self.assertEqual((await self.change("DELETE", path)).status, 404)
        done = [
            ("removeIdToken", "id-tokens/04A2"),
            ("changeIdToken", "id-tokens/04A2"),
            ("createIdToken", "id-tokens/04A2"),
        ]
        self.assertEqual(await self.changes(), done)

    async def test_a_change_that_changes_nothing_is_not_written_down(self) -> None:
        await self.change("POST", "/api/v1/id-tokens", {"token": "A"})
        await self.change("PATCH", "/api/v1/id-tokens/A", {"blocked": False})
        self.assertEqual(await self.changes(), [("createIdToken", "id-tokens/A")])

    async def test_pages(self) -> None:
        for token in ("c", "A", "b"):
            await self.change("POST", "/api/v1/id-tokens", {"token": token})
        self.assertEqual(await self.names("/api/v1/id-tokens?limit=2", "token"), ["A", "b"])
        self.assertEqual(await self.names("/api/v1/id-tokens?after=b", "token"), ["c"])

    async def test_times_at_the_ends_of_time_are_taken(self) -> None:
        for number, moment in enumerate(("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")):
            answer = await self.change("POST", "/api/v1/id-tokens", {"token": f"T{number}", "expiresAt": moment})
            self.assertEqual(answer.status, 201, answer.body)


class ChargersTest(ResourceTestCase):
    async def test_where_a_new_charger_is(self) -> None:
        made = await self.change("POST", "/api/v1/chargers", {"deviceId": "a b"})
        self.assertEqual(made.header("Location"), "/api/v1/chargers/a%20b")
        self.assertEqual((await self.get(made.header("Location"))).json()["deviceId"], "a b")

    async def test_the_life_of_a_charger(self) -> None:
        made = await self.change("POST", "/api/v1/chargers", {"deviceId": "CP-1"})
        self.assertEqual(made.status, 201)
        self.assertTrue(await self.has_password("CP-1", made.json()["password"]))
        self.assertEqual((await self.change("POST", "/api/v1/chargers", {"deviceId": "CP-1"})).status, 409)
        etag = (await self.get("/api/v1/chargers/CP-1")).header("ETag")
        self.assertEqual(etag, made.header("ETag"))
        rejected = await self.change(
            "PATCH", "/api/v1/chargers/CP-1", {"registration": "Rejected"}, **{"If-Match": etag}
        )
        self.assertEqual((rejected.status, rejected.json()["registration"]), (200, "Rejected"))
        self.assertEqual((await self.change("DELETE", "/api/v1/chargers/CP-1", **{"If-Match": etag})).status, 412)
        self.assertEqual((await self.change("DELETE", "/api/v1/chargers/CP-1")).status, 204)
        self.assertEqual((await self.get("/api/v1/chargers/CP-1")).status, 404)

    async def test_another_password(self) -> None:
        await self.change("POST", "/api/v1/chargers", {"deviceId": "CP-1"})
        given = "Kw7hqTz2LmNpXc4v"
        answer = await self.change("POST", "/api/v1/chargers/CP-1/password", {"password": given})
        self.assertEqual((answer.status, answer.json()), (200, {"password": None}))
        self.assertTrue(await self.has_password("CP-1", given))
        weak = await self.change("POST", "/api/v1/chargers/CP-1/password", {"password": "a" * 20})
        self.assertEqual((weak.status, weak.json()["pointer"]), (422, "/password"))

    async def test_what_cannot_be_a_device_id_is_refused(self) -> None:
        for name in ("", "a/b", "a:b", "a\\b", " a", "a ", ".", "..", "x" * 49, "a\n"):
            answer = await self.change("POST", "/api/v1/chargers", {"deviceId": name})
            self.assertEqual((answer.status, answer.json()["pointer"]), (422, "/deviceId"), repr(name))
        self.assertEqual((await self.change("POST", "/api/v1/chargers", {"deviceId": "a b-._~*"})).status, 201)

    async def test_a_password_that_is_set_by_hand_ends_those_on_their_way(self) -> None:
        await self.change("POST", "/api/v1/chargers", {"deviceId": "CP-1"})

        def offered(uow: UnitOfWork) -> None:
            charger = uow.chargers.by_device_id("CP-1")
            assert charger is not None
            offer(charger, "command", generate_password())

        await self.database.transact(offered, name="test")
        self.assertEqual((await self.change("POST", "/api/v1/chargers/CP-1/password", {})).status, 200)
        charger = await self.database.read(lambda uow: uow.chargers.by_device_id("CP-1"), name="test")
        assert charger is not None
        self.assertEqual(charger.next_passwords, {})

    async def has_password(self, device_id: str, password: str) -> bool:
        def look(uow: UnitOfWork) -> bool:
            charger = uow.chargers.by_device_id(device_id)
            return charger is not None and verify(charger.password_hash, password)

        return await self.database.read(look, name="test")


class RepeatedRequestTest(ResourceTestCase):
    async def post(self, body: Any, key: str, path: str = "/api/v1/id-tokens") -> Answer:
        return await self.change("POST", path, body, **{"Idempotency-Key": key})

    async def test_it_gets_the_first_answer_and_has_no_second_effect(self) -> None:
        first, again = await self.post({"token": "A"}, "k1"), await self.post({"token": "A"}, "k1")
        self.assertEqual((again.status, again.body), (201, first.body))
        self.assertEqual(again.header("ETag"), first.header("ETag"))
        self.assertEqual(len(await self.changes()), 1)
        self.assertEqual((await self.post({"token": "A"}, "k2")).status, 409)

    async def test_a_key_belongs_to_one_request(self) -> None:
        await self.post({"token": "A"}, "k1")
        other = await self.post({"token": "B"}, "k1")
        self.assertEqual((other.status, "Idempotency-Key" in other.json()["detail"]), (422, True))

    async def test_what_was_refused_may_be_tried_again(self) -> None:
        await self.change("POST", "/api/v1/id-tokens", {"token": "A"})
        self.assertEqual((await self.post({"token": "A"}, "k1")).status, 409)
        await self.change("DELETE", "/api/v1/id-tokens/A")
        self.assertEqual((await self.post({"token": "A"}, "k1")).status, 201)

    async def test_of_many_at_once_one_has_its_effect(self) -> None:
        cookie = await self.sign_in()
        asked = [
            Deferred.fromCoroutine(
                self.send("POST", "/api/v1/id-tokens", {"token": "A"}, cookie, **{"Idempotency-Key": "k"})
            )
            for _ in range(5)
        ]
        statuses = [(await one).status for one in asked]
        self.assertLessEqual(set(statuses), {201, 409})
        self.assertIn(201, statuses)
        self.assertEqual(len(await self.changes()), 1)

    async def test_a_secret_is_not_kept(self) -> None:
        body = {"deviceId": "CP-1"}
        self.assertEqual((await self.post(body, "k1", "/api/v1/chargers")).status, 201)
        again = await self.post(body, "k1", "/api/v1/chargers")
        self.assertEqual((again.status, "shown once" in again.json()["detail"]), (409, True))


class SearchTest(ResourceTestCase):
    async def test_sessions_are_found_by_charger_token_state_and_time(self) -> None:
        (first,) = await self.with_sessions("CP-1", 1, id_token="AbC")
        (second,) = await self.with_sessions("CP-2", 1, state=SessionState.ENDED)
        for query, found in (
            ("deviceId=CP-1", [first]),
            ("deviceId=nobody", []),
            ("idToken=aBc", [first]),
            ("state=ended", [second]),
            ("since=2026-03-01T12:00:00Z", [second, first]),
            ("since=2026-03-01T12:00:01Z", []),
            ("until=2026-03-01T13:00:00%2B01:00", []),
            ("until=2026-03-01T13:00:01%2B01:00", [second, first]),
        ):
            self.assertEqual(await self.names(f"/api/v1/sessions?{query}", "id"), found, query)

    async def test_sessions_as_csv_hold_no_formulas(self) -> None:
        await self.with_sessions("CP-1", 1, id_token=FORMULA, energy_wh=-5.0)
        answer = await self.get("/api/v1/sessions.csv?deviceId=CP-1")
        self.assertEqual((answer.status, answer.header("Content-Type")), (200, "text/csv"))
        (row,) = csv.DictReader(io.StringIO(answer.body.decode()))
        self.assertEqual((row["deviceId"], row["idToken"], row["energyWh"]), ("CP-1", "'" + FORMULA, "-5.0"))
        self.assertEqual((row["startedAt"], row["stoppedAt"]), ("2026-03-01T12:00:00Z", ""))

    async def test_meter_values_come_in_pages_without_gap_or_repetition(self) -> None:
        number = await self.with_samples(7)
        for base in ("/api/v1/chargers/CP-1/meter-values", f"/api/v1/sessions/{number}/meter-values"):
            found: list[tuple[str, str]] = []
            after: str | None = ""
            while after is not None:
                page = await self.json(f"{base}?limit=3&after={after}")
                found += [(item["sampledAt"], item["phase"]) for item in page["items"]]
                after = page["next"]
            self.assertEqual(len(set(found)), 14)
            self.assertEqual([at for at, _ in found], sorted(at for at, _ in found))
        self.assertEqual(
            len(await self.names("/api/v1/chargers/CP-1/meter-values?since=2026-03-01T12:05:00Z", "unit")), 4
        )
        self.assertEqual(await self.names("/api/v1/chargers/CP-1/meter-values?measurand=Voltage", "unit"), [])
        lines = (await self.get(f"/api/v1/sessions/{number}/meter-values.csv")).body.decode().splitlines()
        self.assertEqual(len(lines), 15)
        self.assertTrue(lines[0].startswith("sampledAt,measurand,"))

    async def test_messages_are_found_by_charger_action_error_time_and_session(self) -> None:
        (number,) = await self.with_sessions("CP-1", 1)
        await self.with_messages(number)
        base = "/api/v1/chargers/CP-1/messages"
        for query, found in (
            ("", ["m4", "m3", "m2", "m1", "m0"]),
            ("action=Heartbeat", ["m3", "m1"]),
            ("failed=true", ["m4"]),
            ("failed=false&action=Other", ["m2", "m0"]),
            ("since=2026-03-01T12:00:30Z", ["m4", "m3"]),
            ("until=2026-03-01T11:59:50Z", ["m0"]),
        ):
            self.assertEqual(await self.names(f"{base}?{query}", "messageId"), found, query)
        first = await self.json(f"{base}?limit=2")
        rest = await self.names(f"{base}?before={first['next']}", "messageId")
        self.assertEqual(rest, ["m2", "m1", "m0"])
        during = await self.names(f"/api/v1/sessions/{number}/messages", "messageId")
        self.assertEqual(during, ["m4", "m3", "m2", "m1"])

    async def test_what_is_not_there_is_not_found(self) -> None:
        for path in (
            "chargers/x/messages",
            "chargers/x/meter-values",
            "sessions/9/messages",
            "sessions/9/meter-values",
        ):
            self.assertEqual((await self.get(f"/api/v1/{path}")).status, 404, path)
