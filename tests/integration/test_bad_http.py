"""Bad requests to the HTTP port and bad frames on /events, over real sockets: what docs/bad-input.rst says."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.bad_input_case import BadInputCase
from tests.integration.people import sign_in
from tests.integration.raw_peer import BINARY, CONTINUATION, RawPeer, frame

OK_OR_CLOSED = {0, 400, 404, 405, 408, 411, 413, 415, 422, 431, 501, 505}
"""Anything that says whose fault it is; 0: the socket was closed without a word."""
HOST = b"Host: 127.0.0.1\r\n"
SMUGGLED = [
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
    b"Content-Length: +5\r\n\r\n12345",
    b"Content-Length: 5, 5\r\n\r\n12345",
    b"Content-Length: -1\r\n\r\n",
    b"Content-Length: 99999999999999999999999\r\n\r\n",
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n" + b"x" * 100_000,
    b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 100_000 + b"\r\na\r\n0\r\n\r\n",
    b" folded: header\r\n\r\n",
]
REQUESTS = [
    b"nonsense\r\n\r\n",
    b"GET\r\n\r\n",
    b"G\xcbT / HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
]
HOSTS = [
    b"",
    b"a b",
    b"\xff\xfe",
    b"[::1",
    b"a:b:c",
    b"x" * 5000,
    b"..",
    b"a..b",
    b"xn--\xc3\xa4",
    b"127.0.0.1:99999999",
]
PATHS = [
    b"/../../etc/passwd",
    b"/assets/..%2f..%2f..%2fetc/passwd",
    b"/assets/%2e%2e/%2e%2e/etc/passwd",
    b"//etc/passwd",
    b"/%00",
    b"/api/v1/chargers/%00",
    b"/api/v1/chargers/%ff",
    b"/api/v1/chargers/..%2f..",
    b"/api/v1/chargers/" + b"x" * 10_000,
    b"/api/v1/sessions/99999999999999999999999",
    b"/api/v1/chargers?limit=" + b"9" * 5000,
    b"/api/v1/chargers?" + b"a=b&" * 3000,
    b"/api/v1/chargers?limit=%00",
    b"/sign-in/" + b"x" * 10_000,
    b"/sign-in/%00",
    b"http://[/",
    b"http://elsewhere/api/v1/chargers",
    b"*",
    b"?",
]
METHODS = [b"TRACE", b"CONNECT", b"PUT", b"PATCH", b"DELETE", b"PROPFIND", b"x", b"get", b"OPTIONS", b"X" * 1000]
BODIES: list[tuple[str, bytes, set[int]]] = [
    ("application/json", b"", {400}),
    ("application/json", b"nonsense", {400}),
    ("application/json", b"[]", {422}),
    ("application/json", b'{"deviceId": ' * 5000, {400, 422}),
    ("application/json", b"[" * 60_000, {400, 422}),
    ("application/json", b'{"deviceId": ' + b"9" * 5000 + b"}", {400, 422}),
    ("application/json", b'{"deviceId": NaN}', {400}),
    ("application/json", b'{"deviceId": "\\ud800"}', {400}),
    ("application/json", b'{"deviceId": "\\u0000"}', {422}),
    ("application/json", b'{"deviceId": "\xff"}', {400}),
    ("application/json", b'{"deviceId": "a", "deviceId": 5}', {422}),
    ("application/json", b'{"deviceId": "' + b"x" * 60_000 + b'"}', {422}),
    ("application/json", b" " * 200_000, {413}),
    ("text/plain", b'{"deviceId": "a"}', {415}),
    ("application/x-www-form-urlencoded", b"a=b&" * 10_000, {400, 415}),
    ("multipart/form-data; boundary=x", b"--x\r\nnonsense", {400, 415}),
    ("multipart/form-data", b"--x\r\nnonsense", {400, 415}),
    ("application/json; charset=utf-16", '{"deviceId": "a"}'.encode("utf-16"), {400, 415}),
    ("\xff", b"{}", {400, 415}),
]
BAD_EVENTS: list[bytes | str] = [
    "",
    "nonsense",
    "[]",
    "null",
    '{"action": "dance"}',
    '{"action": "subscribe", "chargers": 5}',
    '{"action": "subscribe", "chargers": [1]}',
    '{"action": "subscribe", "chargers": ["' + "x" * 300 + '"]}',
    json.dumps({"action": "subscribe", "chargers": ["x"] * 2001}),
    '{"action": "subscribe", "unheard": 1}',
    '{"action": "resume"}',
    '{"action": "resume", "id": 5}',
    '{"action": "resume", "id": "' + "x" * 300 + '"}',
    "[" * 100_000,
    '{"action": "subscribe", "types": ["\\ud800"]}',
]


class BadHttp(BadInputCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.cookie = sign_in(cls.service.sign_in_link())

    cookie: str

    def status(self, data: bytes) -> int:
        """Of the answer on the HTTP port."""
        peer = RawPeer(self.service.http_port)
        peer.send(data)
        status, _ = peer.response()
        peer.close()
        return status

    def request(self, method: bytes, path: bytes, headers: bytes = b"", body: bytes = b"") -> bytes:
        """A request of somebody who is signed in."""
        origin = f"Origin: http://127.0.0.1:{self.service.http_port}\r\n".encode()
        own = f"Host: 127.0.0.1:{self.service.http_port}\r\nCookie: {self.cookie}\r\n".encode()
        return method + b" " + path + b" HTTP/1.1\r\n" + own + origin + headers + b"\r\n" + body

    def test_requests_that_are_none_and_forms_of_smuggling(self) -> None:
        smuggled = [b"POST /api/v1/chargers HTTP/1.1\r\n" + HOST + rest for rest in SMUGGLED]
        found = {data[-60:]: self.status(data) for data in REQUESTS + smuggled}
        allowed = OK_OR_CLOSED | {401}
        self.assertEqual({data: status for data, status in found.items() if status not in allowed}, {})

    def test_no_second_answer_is_smuggled(self) -> None:
        hidden = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
        for headers in (
            b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            b"Content-Length: 0\r\nContent-Length: 5\r\n",
        ):
            peer = RawPeer(self.service.http_port)
            peer.send(b"POST /sign-in HTTP/1.1\r\n" + HOST + headers + b"\r\n" + hidden)
            self.assertEqual(peer.response()[0], 400)
            self.assertTrue(peer.gone())
            peer.close()

    def test_odd_hosts_paths_and_methods(self) -> None:
        found: dict[bytes, int] = {}
        for host in HOSTS:
            own = (
                b"GET /api/v1/chargers HTTP/1.1\r\nHost: " + host + b"\r\nCookie: " + self.cookie.encode() + b"\r\n\r\n"
            )
            found[b"host " + host[:30]] = self.status(own)
        for path in PATHS:
            found[path[:40]] = self.status(self.request(b"GET", path))
        for method in METHODS:
            found[method[:20]] = self.status(self.request(method, b"/api/v1/chargers"))
        allowed = OK_OR_CLOSED | {200, 204, 303, 308, 401, 403}
        self.assertEqual({data: status for data, status in found.items() if status not in allowed}, {})

    def test_bodies(self) -> None:
        wrong = {}
        for kind, body, allowed in BODIES:
            length = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n".encode("latin-1")
            status = self.status(self.request(b"POST", b"/api/v1/chargers", length, body))
            if status not in allowed:
                wrong[kind, body[:40]] = status
        self.assertEqual(wrong, {})

    def browser(self) -> RawPeer:
        """An open /events."""
        peer = RawPeer(self.service.http_port)
        self.addCleanup(peer.close)
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        upgrade += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        peer.send(self.request(b"GET", b"/events", upgrade.encode()))
        self.assertEqual(peer.response()[0], 101)
        self.assertEqual(self.answer(peer)["event"], "welcome")
        peer.send(frame('{"action": "subscribe", "chargers": []}'))
        self.assertEqual(self.answer(peer), {"event": "subscribed"})
        return peer

    def answer(self, peer: RawPeer) -> Any:
        """The next that is no event of a charger."""
        while isinstance(message := peer.message(), dict) and "deviceId" in message:
            pass
        return message

    def test_bad_frames_of_a_browser_are_answered_and_too_many_close(self) -> None:
        peer = self.browser()
        with self.counting("csms_browser_bad_frames_total", len(BAD_EVENTS)):
            for text in BAD_EVENTS:
                peer.send(frame(text))
                self.assertEqual(self.answer(peer)["event"], "error")
        for _ in range(20):
            peer.send(frame(b"\xff", BINARY))
        codes = [answer for _ in range(20) if isinstance(answer := self.answer(peer), int)]
        self.assertEqual(codes[:1], [1008])

    def test_floods_of_a_browser_are_bounded(self) -> None:
        peer = self.browser()
        for _ in range(2000):
            peer.send(frame('{"action": "subscribe", "types": []}'))
        for _ in range(2000):
            self.assertEqual(self.answer(peer), {"event": "subscribed"})
        peer.send(frame('{"action"', fin=False))
        for _ in range(100):
            peer.send(frame(b"", CONTINUATION, fin=False) * 1000)
        peer.send(frame(': "subscribe", "types": []}', CONTINUATION))
        self.assertEqual(self.answer(peer), {"event": "subscribed"})
        for _ in range(30):
            peer.send(frame('{"action": "resume", "id": "unheard"}'))
        answers = [self.answer(peer) for _ in range(21)]
        self.assertEqual(answers, [{"event": "reset"}] * 20 + [1008])

    def test_a_frame_that_is_too_large_closes(self) -> None:
        peer = self.browser()
        peer.send(frame(b" " * 300_000))
        self.assertIsNone(self.answer(peer))
