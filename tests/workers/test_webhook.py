"""One webhook post, over real HTTP to a receiver of the standard library."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from csms.config.settings import WebhookSettings
from csms.workers.egress import is_public
from csms.workers.webhook import DELIVERED, MAX_ANSWER_BYTES, Failed, HttpPoster, Refused, Verdict, check_url, judge
from tests.workers.receiver import Answer, Received, Receiver

BODY = b'{"type":"charging.started","eventId":"019a-1.0"}'


def answering(status: int, headers: dict[str, str]) -> Answer:
    """A receiver's answer that is always the same."""
    return lambda _: (status, headers, b"")


class PostTests(TestCase):
    def setUp(self) -> None:
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)

    def poster(self, url: str, *, secret: str = "", timeout_s: float = 5.0, allow_private: bool = True) -> HttpPoster:
        target = WebhookSettings(name="erp", url=url, secret=secret, timeout_s=timeout_s, allow_private=allow_private)
        return HttpPoster(target, reactor)

    async def post(self, poster: HttpPoster) -> Verdict:
        try:
            return await poster.post(BODY, event_id="019a-1.0", event_type="charging.started")
        finally:
            await poster.close()

    async def test_a_receiver_can_verify_who_sent_what_and_when(self) -> None:
        poster = self.poster(self.receiver.url("/hook?tenant=7"), secret="k€y")
        self.assertEqual(await self.post(poster), DELIVERED)
        [request] = self.receiver.requests
        self.assertEqual(request.path, "/hook?tenant=7")
        self.assertEqual(request.body, BODY)
        self.assertEqual(request.headers["content-type"], "application/json")
        self.assertEqual(request.headers["x-csms-event-id"], "019a-1.0")
        self.assertEqual(request.headers["x-csms-event-type"], "charging.started")
        parts = dict(part.split("=") for part in request.headers["x-csms-signature"].split(","))
        self.assertLess(abs(int(parts["t"]) - time.time()), 10)
        expected = hmac.new("k€y".encode(), parts["t"].encode() + b"." + request.body, hashlib.sha256)
        self.assertEqual(parts["v1"], expected.hexdigest())

    async def test_without_a_secret_there_is_no_signature(self) -> None:
        await self.post(self.poster(self.receiver.url()))
        self.assertNotIn("x-csms-signature", self.receiver.requests[0].headers)

    async def test_a_connection_serves_more_than_one_post(self) -> None:
        poster = self.poster(self.receiver.url())
        for _ in range(3):
            self.assertEqual(await poster.post(BODY, event_id="1", event_type="t"), DELIVERED)
        await poster.close()
        self.assertEqual((len(self.receiver.requests), self.receiver.connections), (3, 1))

    async def test_a_redirect_is_refused_and_not_followed(self) -> None:
        elsewhere = Receiver()
        self.addCleanup(elsewhere.close)
        for status in (301, 302, 303, 307, 308):
            self.receiver.answer = answering(status, {"Location": elsewhere.url()})
            self.assertEqual(await self.post(self.poster(self.receiver.url())), Refused(f"HTTP status {status}"))
        self.assertEqual(elsewhere.connections, 0)
        self.assertEqual(len(self.receiver.requests), 5)

    async def test_a_private_address_is_refused_before_any_connection(self) -> None:
        for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"):
            url = self.receiver.url().replace("127.0.0.1", host)
            verdict = await self.post(self.poster(url, allow_private=False))
            self.assertIsInstance(verdict, Refused, host)
            self.assertIn("not a public address", getattr(verdict, "reason", ""), host)
        self.assertEqual(self.receiver.connections, 0)

    async def test_a_receiver_that_is_busy_says_when_to_come_back(self) -> None:
        self.receiver.answer = lambda _: (503, {"Retry-After": "17"}, b"busy")
        self.assertEqual(await self.post(self.poster(self.receiver.url())), Failed("HTTP status 503", 17.0))

    async def test_nobody_there_may_pass(self) -> None:
        url = self.receiver.url().replace(self.receiver.url().split(":")[2].split("/")[0], "1")
        verdict = await self.post(self.poster(url))
        self.assertIsInstance(verdict, Failed)
        self.assertIn("refused", getattr(verdict, "reason", ""))

    async def test_a_name_that_is_not_known_may_pass(self) -> None:
        verdict = await self.post(self.poster("http://csms-test.invalid/"))
        self.assertIsInstance(verdict, Failed)

    async def test_no_answer_is_a_failure_after_the_timeout(self) -> None:
        answered = threading.Event()
        self.addCleanup(answered.set)

        def never(_: Received) -> tuple[int, dict[str, str], bytes]:
            answered.wait(30)
            return 200, {}, b""

        self.receiver.answer = never
        verdict = await self.post(self.poster(self.receiver.url(), timeout_s=0.2))
        self.assertEqual(verdict, Failed("no answer within 0.2 s"))
        answered.set()

    async def test_a_long_answer_is_not_read(self) -> None:
        self.receiver.answer = lambda _: (200, {}, bytes(MAX_ANSWER_BYTES * 100))
        self.assertEqual(await self.post(self.poster(self.receiver.url())), DELIVERED)

    async def test_a_long_head_is_not_kept(self) -> None:
        self.receiver.answer = answering(200, {f"X-{number}": "x" * 10_000 for number in range(200)})
        verdict = await self.post(self.poster(self.receiver.url(), timeout_s=20))
        self.assertIsInstance(verdict, Failed)
        self.assertNotIn("within", getattr(verdict, "reason", ""))

    async def test_an_answer_without_end_is_left_after_the_timeout(self) -> None:
        self.receiver.answer = lambda _: (200, {"Content-Length": "100"}, b"first")
        self.assertEqual(await self.post(self.poster(self.receiver.url(), timeout_s=0.2)), DELIVERED)


class JudgeTests(SynchronousTestCase):
    def test_every_status_has_its_meaning(self) -> None:
        for code in (200, 201, 202, 204, 299):
            self.assertEqual(judge(code, [], 0), DELIVERED)
        for code in (408, 425, 429, 500, 502, 503, 504, 599):
            self.assertEqual(judge(code, [], 0), Failed(f"HTTP status {code}"))
        for code in (300, 304, 400, 401, 403, 404, 405, 410, 413, 422):
            self.assertEqual(judge(code, [], 0), Refused(f"HTTP status {code}"))

    def test_retry_after_is_seconds_or_a_date_or_nothing(self) -> None:
        for text, seconds in (
            ("120", 120.0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 60.0),
            ("Sun, 06 Nov 1994 08:40:37 GMT", 0.0),
            ("soon", 0.0),
            ("-5", 0.0),
            ("٣", 0.0),
            ("9" * 5000, 999999999.0),
        ):
            self.assertEqual(judge(429, [text], 784111717.0), Failed("HTTP status 429", seconds), text)

    def test_only_plain_http_urls_are_taken(self) -> None:
        for url in (
            "ftp://a/",
            "file:///etc/passwd",
            "//a/",
            "http://",
            "",
            "http://u:p@a/",
            "http://ä/",
            "gopher://a",
        ):
            with self.assertRaisesRegex(ValueError, "webhook erp"):
                check_url("erp", url)
        self.assertEqual(check_url("erp", "https://a.example:8443/x?y=1#z"), b"https://a.example:8443/x?y=1")


class AddressTests(SynchronousTestCase):
    def test_no_address_of_our_own_networks_is_public(self) -> None:
        for address in (
            "127.0.0.1",
            "127.8.9.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::",
            "::1",
            "fe80::1",
            "fe80::1%eth0",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001:db8::1",
            "192.0.0.192",
            "192.88.99.1",
            "168.63.129.16",
            "fd00:ec2::254",
            "fec0::1",
            "64:ff9b:1::7f00:1",
            "::7f00:1",
            "::ffff:0:a00:1",
            "3fff::1",
            "5f00::1",
            "100::1",
        ):
            self.assertFalse(is_public(address), address)

    def test_public_addresses_are_public(self) -> None:
        for address in ("1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"):
            self.assertTrue(is_public(address), address)
