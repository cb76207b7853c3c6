from __future__ import annotations

import json
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from csms.api import pages, requests
from csms.api.requests import MAX_BODY_BYTES
from csms.api.service import HealthService
from csms.config.settings import HttpSettings
from tests.api.site_case import SiteTestCase

reactor: Any = _reactor


class RawClient(Protocol):
    """Sends bytes as they are; ``answer`` fires with all that came when the connection has ended."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._received = b""
        self.answer: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._data)

    def dataReceived(self, data: bytes) -> None:
        self._received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.answer.callback(self._received)


async def raw(port: int, data: bytes) -> bytes:
    client = RawClient(data)
    await connectProtocol(HostnameEndpoint(reactor, "127.0.0.1", port), client)
    return await client.answer


class Crowd(SiteTestCase):
    async def connected(self) -> RawClient:
        client = RawClient(b"GET /health HTTP/1.1\r\nX: ")
        await connectProtocol(HostnameEndpoint(reactor, "127.0.0.1", self.service.port), client)
        return client

    async def test_a_request_that_is_not_whole_in_time_is_cut_however_it_drips(self) -> None:
        self.patch(requests, "REQUEST_TIMEOUT_S", 0.3)
        client = await self.connected()
        while not client.answer.called:
            assert client.transport is not None
            client.transport.write(b"x")
            await deferLater(reactor, 0.02)
        self.assertEqual(await client.answer, b"")

    async def test_the_next_request_on_a_connection_has_its_own_time(self) -> None:
        self.patch(requests, "REQUEST_TIMEOUT_S", 0.3)
        client = RawClient(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /health HTTP/1.1\r\nX: ")
        await connectProtocol(HostnameEndpoint(reactor, "127.0.0.1", self.service.port), client)
        self.assertEqual((await client.answer).count(b"HTTP/1.1 "), 1)

    async def test_sockets_that_say_nothing_keep_out_nobody(self) -> None:
        self.patch(requests, "MAX_WAITING", 5)
        idle = [await self.connected() for _ in range(5)]
        more = await self.connected()
        self.assertEqual(await idle[0].answer, b"")
        assert more.transport is not None
        more.transport.write(b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        self.assertIn(b"HTTP/1.1 ", await more.answer)
        for client in idle[1:]:
            assert client.transport is not None
            client.transport.loseConnection()
            await client.answer

    async def test_a_body_that_is_announced_too_long_is_not_waited_for(self) -> None:
        head = b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999999\r\n\r\n"
        self.assertIn(b" 413 ", await raw(self.service.port, head))


class HeadersTest(SiteTestCase):
    async def test_every_answer_has_the_headers_that_keep_scripts_out(self) -> None:
        cookie = await self.sign_in()
        for path, given in (
            ("/", ""),
            ("/", cookie),
            ("/health", ""),
            ("/sign-in/x", ""),
            ("/api/v1/overview", cookie),
            ("/api/v1/nothing", cookie),
            ("/events", cookie),
        ):
            answer = await self.ask(path, cookie=given)
            policy = answer.header("Content-Security-Policy")
            self.assertIn("default-src 'none'", policy, path)
            self.assertIn("script-src 'self'", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(answer.header("X-Content-Type-Options"), "nosniff")
            self.assertEqual(answer.header("Referrer-Policy"), "same-origin")
            self.assertEqual(answer.header("Server"), "csms")
            if path != "/health":
                self.assertIn("no-store", answer.header("Cache-Control"), path)

    async def test_our_own_pages_need_nothing_that_the_policy_forbids(self) -> None:
        for path in ("/sign-in/x", "/"):
            body = (await self.ask(path, headers={"Accept": "text/html"})).body
            for forbidden in (b"<script", b"<style", b"style=", b"onclick"):
                self.assertNotIn(forbidden, body)
            self.assertIn(b'href="/sign-in/style.css"', body)
        style = await self.ask("/sign-in/style.css")
        self.assertEqual((style.status, style.header("Content-Type")), (200, "text/css; charset=utf-8"))
        self.assertEqual(style.body.decode(), pages.STYLE)


class ConsoleTest(SiteTestCase):
    def build(self) -> None:
        (self.console / "assets").mkdir(parents=True)
        (self.console / "index.html").write_text("<!doctype html>console")
        (self.console / "icon.svg").write_text("<svg/>")
        (self.console / "assets" / "index-abc.js").write_text("run()")
        (self.console / "assets" / "odd.exe").write_text("MZ")
        (self.console.parent / "secret.txt").write_text("secret")

    async def test_before_it_is_built_a_page_says_how_and_afterwards_it_is_there(self) -> None:
        cookie = await self.sign_in()
        answer = await self.ask("/", cookie=cookie)
        self.assertEqual(answer.status, 503)
        self.assertIn(b"make console", answer.body)
        self.build()
        answer = await self.ask("/", cookie=cookie)
        self.assertEqual((answer.status, answer.body), (200, b"<!doctype html>console"))
        self.assertEqual(answer.header("Content-Type"), "text/html; charset=utf-8")
        self.assertEqual(answer.header("Cache-Control"), "private, no-cache")

    async def test_files_have_their_types_and_those_with_a_hash_are_kept_long(self) -> None:
        self.build()
        cookie = await self.sign_in()
        for path, kind, caching in (
            ("/icon.svg", "image/svg+xml", "no-cache"),
            ("/assets/index-abc.js", "text/javascript; charset=utf-8", "immutable"),
            ("/assets/odd.exe", "application/octet-stream", "immutable"),
        ):
            answer = await self.ask(path, cookie=cookie)
            self.assertEqual((answer.status, answer.header("Content-Type")), (200, kind))
            self.assertIn(caching, answer.header("Cache-Control"))

    async def test_what_has_not_changed_is_not_sent_again(self) -> None:
        self.build()
        cookie = await self.sign_in()
        etag = (await self.ask("/", cookie=cookie)).header("ETag")
        again = await self.ask("/", cookie=cookie, headers={"If-None-Match": etag})
        self.assertEqual((again.status, again.body), (304, b""))

    async def test_the_consoles_own_paths_show_the_console(self) -> None:
        self.build()
        cookie = await self.sign_in()
        for path in ("/chargers/CP-1", "/sessions", "/a/b/c", "/%C3%A4", "//x"):
            answer = await self.ask(path, cookie=cookie)
            self.assertEqual((answer.status, answer.body), (200, b"<!doctype html>console"), path)

    async def test_nothing_outside_of_the_console_is_served(self) -> None:
        self.build()
        cookie = await self.sign_in()
        for path in (
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/assets/../../secret.txt",
            "/assets%2f..%2f..%2fsecret.txt",
            "/%00.txt",
            "//etc/passwd.txt",
            "/assets/gone.js",
            "/assets/",
            "/" + "x" * 300 + ".txt",
        ):
            answer = await self.ask(path, cookie=cookie)
            self.assertEqual(answer.status, 404, path)
            self.assertNotIn(b"secret", answer.body)


class HealthTest(SiteTestCase):
    async def test_it_says_ready_or_why_not(self) -> None:
        self.assertEqual((await self.ask("/health")).json(), {"live": True, "ready": True})
        self.problems = {"broker": "connection refused", "database": "away"}
        for path in ("/health", "/health/ready"):
            answer = await self.ask(path)
            self.assertEqual(answer.status, 503)
            self.assertEqual(
                answer.json(),
                {
                    "live": True,
                    "ready": False,
                    "reason": "broker: connection refused; database: away",
                    "reasons": {"broker": "connection refused", "database": "away"},
                },
            )
        self.assertEqual((await self.ask("/health/live")).status, 200)

    async def test_metrics_are_for_loopback_and_those_who_are_signed_in(self) -> None:
        answer = await self.ask("/metrics")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.header("Content-Type").startswith("text/plain; version="))
        self.assertIn(b"csms_browsers ", answer.body)
        proxied = {"X-Forwarded-For": "203.0.113.9"}
        self.assertEqual((await self.ask("/metrics", headers=proxied)).status, 401)
        cookie = await self.sign_in()
        self.assertEqual((await self.ask("/metrics", headers=proxied, cookie=cookie)).status, 200)


class OpenMetricsTest(SiteTestCase):
    settings = HttpSettings(port=0, metrics_need_sign_in=False)

    async def test_a_setting_opens_them_to_everybody(self) -> None:
        self.assertEqual((await self.ask("/metrics", headers={"Forwarded": "for=203.0.113.9"})).status, 200)


class LimitsTest(SiteTestCase):
    async def test_a_long_body_is_refused_before_it_is_read(self) -> None:
        head = b"POST /sign-in/x HTTP/1.1\r\nHost: x\r\n"
        sized = head + b"Content-Length: %d\r\n\r\n" % 10**9 + b"x" * (MAX_BODY_BYTES + 1)
        chunk = b"%x\r\n" % (MAX_BODY_BYTES + 1) + b"x" * (MAX_BODY_BYTES + 1) + b"\r\n"
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3 + b"0\r\n\r\n"
        for data in (sized, chunked):
            answer = await raw(self.service.port, data)
            self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)
            self.assertEqual(answer.count(b"HTTP/1.1"), 1)
            head, _, body = answer.partition(b"\r\n\r\n")
            self.assertIn(b"\r\nContent-Type: application/problem+json\r\n", head)
            self.assertEqual(json.loads(body)["status"], 413)

    async def test_a_url_that_is_no_utf_8_is_a_bad_request(self) -> None:
        cookie = (await self.sign_in()).encode()
        for line, host in ((b"/api/v1/%ff", b"x"), (b"/%ff", b"x"), (b"/", b"\xff")):
            head = b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nCookie: %s\r\n\r\n" % (line, host, cookie)
            self.assertTrue((await raw(self.service.port, head)).startswith(b"HTTP/1.1 400 "), line)


class StopTest(SiteTestCase):
    async def test_a_request_in_hand_is_answered_and_an_idle_connection_is_closed(self) -> None:
        idle = RawClient(b"")
        await connectProtocol(HostnameEndpoint(reactor, "127.0.0.1", self.service.port), idle)
        asked = Deferred.fromCoroutine(self.ask(await self.new_link(), method="POST"))
        read = self.database.transact
        begun: Deferred[None] = Deferred()

        async def telling(work: Any, *, name: str) -> Any:
            begun.callback(None)
            return await read(work, name=name)

        self.patch(self.database, "transact", telling)
        await begun
        await self.service.stop()
        self.assertEqual((await asked).status, 303)
        self.assertEqual(await idle.answer, b"")

    async def test_a_stop_does_not_wait_for_ever(self) -> None:
        never: Deferred[None] = Deferred()
        begun: Deferred[None] = Deferred()

        async def waiting(_work: Any, *, name: str) -> Any:
            begun.callback(None)
            await never

        cookie = await self.sign_in()
        self.patch(self.database, "read", waiting)
        client = RawClient(b"GET / HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n" % cookie.encode())
        await connectProtocol(HostnameEndpoint(reactor, "127.0.0.1", self.service.port), client)
        await begun
        await self.service.stop()
        self.assertEqual(await client.answer, b"")
        never.callback(None)


class HealthServiceTest(TestCase):
    """The little site of a worker."""

    async def test_it_has_health_and_metrics_and_nothing_else(self) -> None:
        problems: dict[str, str] = {"database": "away"}
        service = HealthService(0, readiness=lambda: problems, reactor=reactor)
        await service.start()
        agent = Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False))
        for path, status in (("/health", 503), ("/health/live", 200), ("/metrics", 200), ("/", 404), ("/api/v1", 404)):
            response = await agent.request(b"GET", f"http://127.0.0.1:{service.port}{path}".encode())
            self.assertEqual(response.code, status, path)
        await service.stop()

    async def test_a_service_that_never_started_can_be_stopped(self) -> None:
        await HealthService(0, readiness=dict, reactor=reactor).stop()
