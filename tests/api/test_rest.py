from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

from csms.domain.model import Charger, Flag, Sample, Session, SessionState, SessionSummary
from csms.domain.repositories import UnitOfWork
from tests.api.site_case import NOON, Answer, SiteTestCase

HOSTILE = '"><img src=x onerror=alert(1)></script>\u2028{{7*7}}\r\nSet-Cookie: a=b \x1b[31m'


class RestTestCase(SiteTestCase):
    async def get(self, path: str) -> Answer:
        return await self.ask(path, cookie=await self.sign_in())

    async def json(self, path: str) -> Any:
        answer = await self.get(path)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.header("Content-Type"), "application/json")
        return answer.json()

    async def write(self, work: Any) -> Any:
        return await self.database.transact(work, name="test")

    async def with_chargers(self, *device_ids: str) -> None:
        def add(uow: UnitOfWork) -> None:
            for device_id in device_ids:
                charger = uow.chargers.add(Charger(device_id=device_id, vendor="Acme", created_at=NOON))
                uow.chargers.connector(charger.id, 1, 1).status = "Available"
                uow.chargers.connector(charger.id, 0, 0)

        await self.write(add)

    async def with_sessions(self, device_id: str, count: int, **fields: Any) -> list[int]:
        def add(uow: UnitOfWork) -> list[int]:
            charger = uow.chargers.add(Charger(device_id=device_id))
            return [
                uow.sessions.add(
                    Session(
                        charger_id=charger.id,
                        transaction_id=str(number),
                        start_key=f"{device_id}-{number}",
                        started_at=NOON,
                        start_received_at=NOON,
                        **fields,
                    )
                ).id
                for number in range(count)
            ]

        made: list[int] = await self.write(add)
        return made


class ChargersTest(RestTestCase):
    async def test_a_charger_comes_with_its_connectors_and_without_its_password(self) -> None:
        await self.with_chargers("CP-1")
        (charger,) = (await self.json("/api/v1/chargers"))["items"]
        self.assertEqual((charger["deviceId"], charger["vendor"]), ("CP-1", "Acme"))
        self.assertEqual(charger["createdAt"], "2026-03-01T12:00:00Z")
        self.assertEqual([c["evseId"] for c in charger["connectors"]], [0, 1])
        self.assertEqual(charger["connectors"][1]["status"], "Available")
        self.assertFalse([name for name in charger if "password" in name.lower()])
        self.assertEqual(await self.json("/api/v1/chargers/CP-1"), charger)

    async def test_pages_follow_each_other_without_gap_or_repetition(self) -> None:
        names = [f"CP-{number:02}" for number in range(7)]
        await self.with_chargers(*names)
        seen: list[str] = []
        path = "/api/v1/chargers?limit=3"
        for _ in range(3):
            page = await self.json(path)
            seen += [charger["deviceId"] for charger in page["items"]]
            path = f"/api/v1/chargers?limit=3&after={page['next']}"
        self.assertEqual(seen, names)
        self.assertIsNone(page["next"])

    async def test_a_page_that_is_just_full_is_the_last(self) -> None:
        await self.with_chargers("A", "B")
        self.assertIsNone((await self.json("/api/v1/chargers?limit=2"))["next"])

    async def test_what_a_charger_calls_itself_is_only_ever_data(self) -> None:
        def add(uow: UnitOfWork) -> None:
            charger = uow.chargers.add(Charger(device_id=HOSTILE, vendor=HOSTILE, model=HOSTILE))
            uow.chargers.connector(charger.id, 1, 1).info = HOSTILE

        await self.write(add)
        answer = await self.get("/api/v1/chargers")
        self.assertEqual(answer.header("Content-Type"), "application/json")
        self.assertEqual(answer.header("X-Content-Type-Options"), "nosniff")
        (charger,) = answer.json()["items"]
        for value in (charger["deviceId"], charger["vendor"], charger["connectors"][0]["info"]):
            self.assertEqual(value, HOSTILE)

    async def test_a_charger_is_found_by_whatever_name_it_has(self) -> None:
        for name in ("a b", "ä", "100%", "x?y", "a;b", "a+b"):
            await self.with_chargers(name)
            self.assertEqual((await self.json(f"/api/v1/chargers/{quote(name)}"))["deviceId"], name)

    async def test_an_unknown_charger_is_not_found(self) -> None:
        for name in ("nobody", "%00", "x" * 5000):
            answer = await self.get(f"/api/v1/chargers/{name}")
            self.assertEqual((answer.status, answer.header("Content-Type")), (404, "application/problem+json"))


class SessionsTest(RestTestCase):
    async def test_newest_first_in_pages_with_the_chargers_name(self) -> None:
        made = await self.with_sessions("CP-1", 5)
        first = await self.json("/api/v1/sessions?limit=3")
        rest = await self.json(f"/api/v1/sessions?limit=3&before={first['next']}")
        self.assertEqual([s["id"] for s in first["items"] + rest["items"]], made[::-1])
        self.assertEqual({s["deviceId"] for s in first["items"]}, {"CP-1"})
        self.assertIsNone(rest["next"])

    async def test_only_running_ones_or_only_those_of_a_charger(self) -> None:
        (running,) = await self.with_sessions("CP-1", 1)
        (ended,) = await self.with_sessions("CP-2", 1, state=SessionState.ENDED)

        async def ids(query: str) -> list[int]:
            return [session["id"] for session in (await self.json(f"/api/v1/sessions{query}"))["items"]]

        self.assertEqual(await ids("?active=true"), [running])
        self.assertEqual(await ids("?active=false"), [ended])
        charger = (await self.json("/api/v1/chargers/CP-2"))["id"]
        self.assertEqual(await ids(f"?chargerId={charger}"), [ended])
        self.assertEqual(await ids(f"?chargerId={charger}&active=true"), [])
        self.assertEqual(await ids("?chargerId=9223372036854775807"), [])

    async def test_a_session_has_its_summary_and_samples(self) -> None:
        (number,) = await self.with_sessions("CP-1", 1, flags={Flag.OFFLINE, Flag.CLOCK_SKEW}, energy_wh=1500.0)

        def add(uow: UnitOfWork) -> None:
            session = uow.sessions.get(number)
            assert session is not None
            uow.sessions.add_samples(
                Sample(
                    charger_id=session.charger_id,
                    session_id=number,
                    sampled_at=NOON + timedelta(minutes=minute),
                    received_at=NOON,
                    measurand="Power.Active.Import",
                    value=7000.0,
                    unit="W",
                )
                for minute in range(3)
            )
            uow.sessions.summarise(
                SessionSummary(
                    session_id=number,
                    charger_id=session.charger_id,
                    device_id="CP-1",
                    id_token="",
                    started_at=NOON,
                    stopped_at=NOON + timedelta(hours=1),
                    duration_s=3600.0,
                    energy_wh=1500.0,
                    average_power_w=1500.0,
                    peak_power_w=7000.0,
                    stop_reason="Local",
                )
            )

        await self.write(add)
        session = await self.json(f"/api/v1/sessions/{number}")
        self.assertEqual(session["flags"], ["clock_skew", "offline"])
        self.assertEqual((session["deviceId"], session["energyWh"]), ("CP-1", 1500.0))
        self.assertEqual((session["summary"]["durationS"], session["summary"]["peakPowerW"]), (3600.0, 7000.0))
        self.assertEqual([sample["sampledAt"][14:16] for sample in session["samples"]], ["00", "01", "02"])
        self.assertEqual(session["samples"][0]["value"], 7000.0)

    async def test_the_sessions_of_a_removed_charger_stay_readable(self) -> None:
        (number,) = await self.with_sessions("CP-1", 1)
        await self.write(lambda uow: uow.chargers.remove("CP-1"))
        self.assertEqual((await self.json(f"/api/v1/sessions/{number}"))["deviceId"], "")
        self.assertEqual(len((await self.json("/api/v1/sessions"))["items"]), 1)

    async def test_an_unknown_session_is_not_found(self) -> None:
        for number in ("1", "0", "9223372036854775807", "9223372036854775808", "-1", "x", "1.5"):
            self.assertEqual((await self.get(f"/api/v1/sessions/{number}")).status, 404, number)


class OverviewTest(RestTestCase):
    async def test_it_counts(self) -> None:
        await self.with_chargers("CP-1", "CP-2")
        await self.with_sessions("CP-1", 2)
        self.assertEqual(
            await self.json("/api/v1/overview"),
            {"chargers": 2, "connected": 0, "sessionsActive": 2, "energyTodayWh": 0.0},
        )


class BadRequestTest(RestTestCase):
    async def test_a_wrong_parameter_is_named(self) -> None:
        wrong = {
            "/api/v1/chargers?limit=0": "limit",
            "/api/v1/chargers?limit=501": "limit",
            "/api/v1/chargers?limit=ten": "limit",
            "/api/v1/chargers?limit=": "limit",
            "/api/v1/chargers?limit=1&limit=2": "limit",
            "/api/v1/chargers?limit=%D9%A1": "limit",
            "/api/v1/chargers?limit=99999999999999999999999": "limit",
            "/api/v1/chargers?after=%00": "after",
            "/api/v1/chargers?after=%ff": "after",
            "/api/v1/chargers?after=" + "x" * 256: "after",
            "/api/v1/chargers?page=2": "page",
            "/api/v1/sessions?active=yes": "active",
            "/api/v1/sessions?chargerId=CP-1": "chargerId",
            "/api/v1/sessions?before=-1": "before",
            "/api/v1/overview?x=1": "x",
            "/api/v1/chargers?<script>=1": "<script>",
        }
        cookie = await self.sign_in()
        for path, name in wrong.items():
            answer = await self.ask(path, cookie=cookie)
            self.assertEqual((answer.status, answer.header("Content-Type")), (400, "application/problem+json"), path)
            self.assertEqual(answer.json()["parameter"], name, path)
            self.assertEqual(answer.json()["title"], "Bad Request")

    async def test_a_wrong_method_names_the_right_ones(self) -> None:
        cookie = await self.sign_in()
        for method, path, allowed in (
            ("POST", "/api/v1/overview", "GET, HEAD"),
            ("DELETE", "/api/v1/sessions/1", "GET, HEAD"),
            ("GET", "/api/v1/sign-out", "POST"),
        ):
            answer = await self.ask(path, method=method, cookie=cookie, headers={"Origin": self.url})
            self.assertEqual((answer.status, answer.header("Allow")), (405, allowed), path)
            self.assertEqual(answer.json()["status"], 405)

    async def test_an_unknown_path_is_a_problem(self) -> None:
        cookie = await self.sign_in()
        for path in ("/api", "/api/", "/api/v1", "/api/v2/chargers", "/api/v1/chargers/a/b", "/api/v1/%ff"):
            answer = await self.ask(path, cookie=cookie)
            self.assertIn(answer.status, (400, 404), path)
        self.assertEqual((await self.ask("/api/v1/nothing", cookie=cookie)).json()["status"], 404)

    async def test_a_fault_of_ours_is_logged_and_tells_nothing(self) -> None:
        cookie = await self.sign_in()
        read = self.database.read
        for broken in ("overview", "check sign-in"):

            async def reading(work: Any, *, name: str, broken: str = broken) -> Any:
                if name == broken:
                    raise RuntimeError("the secret is 42")
                return await read(work, name=name)

            self.patch(self.database, "read", reading)
            answer = await self.ask("/api/v1/overview", cookie=cookie)
            self.assertEqual((answer.status, answer.header("Content-Type")), (500, "application/problem+json"))
            self.assertNotIn(b"42", answer.body)
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
