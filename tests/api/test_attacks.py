"""What a hostile page, a hostile visitor and a person with few rights try over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol

from csms.api import tries
from csms.api.operations import Operation
from csms.api.requests import SECURITY_HEADERS
from csms.api.resources.registry import OPERATIONS
from csms.api.service import HealthService
from csms.config.settings import HttpSettings
from csms.domain.model import Charger, IdToken, Registration
from csms.domain.people import Role
from tests.api.site_case import NOON, cookie_of
from tests.api.test_people import PASSWORD, PeopleTestCase
from tests.api.test_site import RawClient, raw
from tests.gateway.browser_client import connect

VIEWERS = """
    getOverview signOut listChargers getCharger showConfiguration showLocalList listChargingProfiles
    listCompositeSchedules listInstalledCertificates showAvailability listReservationsOfCharger listJobsOfCharger
    listSecurityEventsOfCharger listReservations listJobs listSecurityEvents listCommands getCommand getCommandBatch
    listSessions exportSessions getSession listMeterValuesOfCharger exportMeterValuesOfCharger listMeterValuesOfSession
    exportMeterValuesOfSession listMessagesOfCharger listMessagesOfSession listIdTokens getIdToken getMe listDeviations
    listTokenGroups getTokenGroup exportIdTokens listUnknownTokens listIssuedCertificates
"""
OPERATORS = """
    createCharger changeCharger removeCharger setChargerPassword sendCommand cancelCommand sendCommandToMany
    createIdToken changeIdToken removeIdToken createTokenGroup changeTokenGroup removeTokenGroup importIdTokens
"""
ADMINS = """
    listUsers createUser getUser changeUser removeUser listApiTokens createApiToken removeApiToken listChanges
    listDeadLetters getDeadLetter replayDeadLetter dropDeadLetter revokeCertificate listWebhooks
"""
FOREIGN: tuple[dict[str, str], ...] = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {},
)
EVIL_TEXTS = ("'", '"; DROP TABLE chargers; --', "' OR '1'='1", "%", "_", "\\", "x' UNION SELECT password_hash --")


def path_of(row: Operation, *, text: str = "x", number: str = "7") -> str:
    path = row.template
    for name, is_id in row.variables.items():
        path = path.replace(f"{{{name}}}", number if is_id else text)
    return path


class RolesTest(PeopleTestCase):
    async def test_every_operation_by_every_role_as_the_table_has_it(self) -> None:
        """The table is written down here by what each does, not made from the code that it checks."""
        table = {
            name: role
            for role, names in ((Role.VIEWER, VIEWERS), (Role.OPERATOR, OPERATORS), (Role.ADMIN, ADMINS))
            for name in names.split()
        }
        self.assertEqual(set(table), {row.name for row in OPERATIONS})
        cookies = {role: await self.signed_in_as(role) for role in Role}
        tokens = {role: (await self.new_token(await self.sign_in(), role.value))["token"] for role in Role}
        for row in OPERATIONS:
            if row.name == "signOut":
                continue
            for role in Role:
                by_cookie = {"Cookie": cookies[role], "Origin": self.url}
                for headers in (by_cookie, {"Authorization": f"Bearer {tokens[role]}"}):
                    answer = await self.ask(path_of(row), method=row.method, headers=headers)
                    refused = answer.status == 403
                    self.assertEqual(refused, not role.includes(table[row.name]), f"{row.name} by {role}")
                    self.assertNotEqual(answer.status, 401)


class ForeignPagesTest(PeopleTestCase):
    async def test_no_operation_that_changes_something_can_be_asked_for_by_a_foreign_page(self) -> None:
        cookie = await self.sign_in()
        before = await self.ask("/api/v1/audit", cookie=cookie)
        for row in OPERATIONS:
            if row.method == "GET":
                continue
            for headers in FOREIGN:
                for kind in ("text/plain", "application/x-www-form-urlencoded", row.takes):
                    answer = await self.ask(
                        path_of(row),
                        method=row.method,
                        cookie=cookie,
                        headers={"Content-Type": kind, **headers},
                        body=b"{}",
                    )
                    self.assertEqual(answer.status, 403, f"{row.name} {headers}")
        after = await self.ask("/api/v1/audit", cookie=cookie)
        self.assertEqual(after.json(), before.json())
        self.assertEqual((await self.ask("/api/v1/me", cookie=cookie)).status, 200)

    async def test_no_get_changes_anything_and_none_can_be_read_across_origins(self) -> None:
        cookie = await self.sign_in()
        for row in OPERATIONS:
            if row.method == "GET":
                answer = await self.ask(path_of(row), cookie=cookie, headers={"Origin": "https://evil.example"})
                self.assertEqual(answer.header("Access-Control-Allow-Origin"), "", row.name)
                self.assertEqual(answer.header("Cross-Origin-Resource-Policy"), "same-origin", row.name)
        self.assertEqual((await self.ask("/api/v1/audit", cookie=cookie)).json()["items"][0]["action"], "signIn")

    async def test_nothing_leads_to_another_site(self) -> None:
        link = await self.new_link()
        cookie = await self.sign_in()
        for path, method in (
            (f"{link}?next=https://evil.example/", "POST"),
            ("/sign-in?next=//evil.example/", "GET"),
            ("/?redirect=https://evil.example/", "GET"),
            ("/events?redirect=https://evil.example/&after=0", "GET"),
            ("//evil.example/", "GET"),
            ("/%5cevil.example/", "GET"),
            ("/api/v1/chargers/", "GET"),
            ("/api//v1/chargers", "GET"),
        ):
            answer = await self.ask(path, method=method, cookie=cookie, headers={"Origin": self.url})
            self.assertIn(answer.header("Location"), ("", "/"), path)
            self.assertNotIn(b"evil", answer.body, path)


class SessionTest(PeopleTestCase):
    async def test_a_cookie_that_somebody_else_chose_is_not_taken_over_by_a_sign_in(self) -> None:
        await self.with_user("ann")
        chosen = "A" * 43
        answer = await self.try_password("ann", Cookie=cookie_of(chosen))
        self.assertEqual(answer.status, 303)
        given = answer.header("Set-Cookie").partition(";")[0]
        self.assertNotIn(chosen, given)
        self.assertEqual((await self.ask("/api/v1/me", cookie=cookie_of(chosen))).status, 401)
        self.assertEqual((await self.ask("/api/v1/me", cookie=given)).status, 200)

    async def test_another_role_counts_at_once_and_closes_the_browsers(self) -> None:
        admin = await self.sign_in()
        for change in ({"role": "viewer"}, None):
            await self.with_user("ann", Role.OPERATOR)
            cookie = await self.cookie_of("ann")
            browser = await connect(self.service.port, origin=self.url, headers={"Cookie": cookie})
            self.assertEqual(browser.refusal, "")
            if change is None:
                await self.send("DELETE", "/api/v1/users/ann", None, admin)
            else:
                await self.send("PATCH", "/api/v1/users/ann", change, admin)
            self.assertEqual(await browser.gone, 4401)
            refused = await connect(self.service.port, origin=self.url, headers={"Cookie": cookie})
            self.assertNotEqual(refused.refusal, "")
            self.assertEqual((await self.ask("/api/v1/me", cookie=cookie)).status, 401)
            if change is not None:
                await self.send("DELETE", "/api/v1/users/ann", None, admin)

    async def test_the_end_of_a_token_closes_its_browsers(self) -> None:
        admin = await self.sign_in()
        made = await self.new_token(admin, "viewer")
        browser = await connect(self.service.port, headers={"Authorization": f"Bearer {made['token']}"})
        self.assertEqual(browser.refusal, "")
        await self.send("DELETE", f"/api/v1/api-tokens/{made['id']}", None, admin)
        self.assertEqual(await browser.gone, 4401)

    async def test_a_browser_can_ask_for_nothing_but_events(self) -> None:
        cookie = await self.signed_in_as(Role.VIEWER)
        browser = await connect(self.service.port, origin=self.url, headers={"Cookie": cookie})
        for said in (
            {"action": "sendCommand", "deviceId": "CP-1", "payload": {}},
            {"action": "subscribe", "role": "admin"},
            {"action": "publish", "type": "charging.started"},
            [2, "1", "Reset", {"type": "Hard"}],
        ):
            browser.sendMessage(msgspec.json.encode(said))
            self.assertEqual((await browser.frame())["event"], "error")
        self.assertEqual(self.published, [])
        await browser.leave()


class HttpsTest(PeopleTestCase):
    settings = HttpSettings(port=0, public_url="https://csms.example", trusted_proxies="127.0.0.1")

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        self.patch(tries, "ADDRESS_LIMIT", 8)  # each try takes some of the processor's time on purpose
        return super().setUp()

    async def test_the_cookie_is_bound_to_this_host_and_browsers_stay_with_https(self) -> None:
        answer = await self.ask(await self.new_link(), method="POST", headers={"Origin": "https://csms.example"})
        cookie = answer.header("Set-Cookie")
        self.assertTrue(cookie.startswith("__Host-csms_session="), cookie)
        for part in ("Path=/;", "HttpOnly", "SameSite=Lax", "Secure"):
            self.assertIn(part, cookie)
        self.assertNotIn("Domain", cookie)
        self.assertEqual(answer.header("Strict-Transport-Security"), "max-age=31536000")
        given = cookie.partition(";")[0]
        self.assertEqual((await self.ask("/api/v1/me", cookie=given)).status, 200)
        tossed = given.replace("__Host-", "")
        self.assertEqual((await self.ask("/api/v1/me", cookie=tossed)).status, 401)

    async def test_a_guesser_behind_the_proxy_keeps_nobody_else_out(self) -> None:
        await self.with_user("ann")
        for number in range(tries.ADDRESS_LIMIT + 1):
            last = await self.from_address("203.0.113.7", f"guess{number}", "wrong password")
        self.assertEqual(last, 429)
        for number in range(tries.PAIR_LIMIT + 1):
            last = await self.from_address("203.0.113.8", "ann", f"wrong password {number}")
        self.assertEqual(last, 429)
        self.assertEqual(await self.from_address("198.51.100.1", "ann", PASSWORD), 303)
        self.assertEqual(await self.from_address("203.0.113.8, 198.51.100.2", "ann", PASSWORD), 303)

    async def from_address(self, address: str, name: str, password: str) -> int:
        headers = {"Origin": "https://csms.example", "X-Forwarded-For": address}
        return (await self.post_form("/sign-in", {"name": name, "password": password}, headers)).status


class InjectionTest(PeopleTestCase):
    def wishes(self, row: Operation) -> Iterator[str]:
        """URLs with evil in each text of the path and of the query."""
        for text in EVIL_TEXTS:
            quoted = "".join(f"%{byte:02x}" for byte in text.encode())
            if not all(row.variables.values()):
                yield path_of(row, text=quoted)
            for field in msgspec.structs.fields(row.query):
                yield f"{path_of(row, text='CP-1', number='1')}?{field.encode_name}={quoted}"

    async def test_no_filter_sort_or_search_reaches_sql(self) -> None:
        def fill(uow: Any) -> None:
            for name in ("CP-1", "CP-2"):
                uow.chargers.add(Charger(device_id=name, registration=Registration.ACCEPTED, created_at=NOON))
            uow.id_tokens.add(IdToken(token="CARD", created_at=NOON))

        await self.database.transact(fill, name="test")
        cookie = await self.sign_in()
        asked = 0
        for row in OPERATIONS:
            if row.method != "GET":
                continue
            for url in self.wishes(row):
                answer = await self.ask(url, cookie=cookie)
                asked += 1
                self.assertIn(answer.status, (200, 400, 404, 422), url)
                if answer.status == 200 and "?" in url and row.answer is not bytes:
                    self.assertNotIn(b"password_hash", answer.body, url)
        self.assertGreater(asked, 300)
        found = await self.ask("/api/v1/chargers?q=%25", cookie=cookie)
        self.assertIn(found.status, (200, 400))
        self.assertEqual(len((await self.ask("/api/v1/chargers", cookie=cookie)).json()["items"]), 2)
        self.assertEqual(self.flushLoggedErrors(), [])


class HeadersEverywhereTest(PeopleTestCase):
    async def test_every_answer_of_every_port_has_the_headers(self) -> None:
        cookie = await self.sign_in()
        for row in OPERATIONS:
            if row.name == "signOut":
                continue
            for given in ("", cookie):
                answer = await self.ask(path_of(row), method=row.method, cookie=given, headers={"Origin": self.url})
                self.with_headers({name.decode(): answer.header(name.decode()) for name in SECURITY_HEADERS})
        upgrade = b"GET /events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: %s\r\nCookie: %s\r\n"
        begin = upgrade % (self.service.port, self.url.encode(), cookie.encode())
        key, version = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", b"Sec-WebSocket-Version: 13"
        upgrading = [b"Upgrade: websocket", b"Connection: Upgrade"]
        for rest in (
            [],
            upgrading,
            [*upgrading, version],
            [*upgrading, version, key, key],
            [*upgrading, version, key[:-2]],
            [*upgrading, key, b"Sec-WebSocket-Version: 99"],
            [upgrading[0], version, key],
        ):
            client = HeadReader(begin + b"\r\n".join([*rest, b"", b""]))
            await connectProtocol(HostnameEndpoint(reactor, "127.0.0.1", self.service.port), client)
            self.with_headers(headers_of(await client.answer))
        large = b"POST /sign-in/x HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n" + b"x" * 70000
        self.with_headers(headers_of(await raw(self.service.port, large)))

    async def test_a_workers_port_has_them_too(self) -> None:
        service = HealthService(0, readiness=dict, reactor=reactor)  # type: ignore[arg-type]
        await service.start()
        try:
            for path in (b"/health", b"/metrics", b"/nothing"):
                answer = await raw(service.port, b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path)
                self.with_headers(headers_of(answer))
        finally:
            await service.stop()

    def with_headers(self, found: dict[str, str]) -> None:
        lower = {name.lower(): value for name, value in found.items()}
        for name, value in SECURITY_HEADERS.items():
            self.assertEqual(lower.get(name.decode().lower()), value.decode(), name)


class HeadReader(RawClient):
    """Leaves when the head of the answer is there."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if b"\r\n\r\n" in self._received:
            self.transport.loseConnection()  # type: ignore[union-attr]


def headers_of(answer: bytes) -> dict[str, str]:
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
