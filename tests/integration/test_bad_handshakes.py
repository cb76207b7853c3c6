"""Bad handshakes on the chargers' port, over real sockets: what docs/bad-input.rst says."""

from __future__ import annotations

import time
from typing import ClassVar

from tests.integration.bad_input_case import BadInputCase
from tests.integration.raw_peer import RawPeer, frame, request

MAX_HANDSHAKES = 100
LONG = "x" * 20_000

TARGETS = {
    "/ocpp/a%2Fb": 404,
    "/ocpp/a%5Cb": 404,
    "/ocpp/..": 404,
    "/ocpp/%2e%2e": 404,
    "/ocpp/../ocpp/ODD": 404,
    "/ocpp/%00": 404,
    "/ocpp/a%00b": 404,
    "/ocpp/a%0d%0ab": 404,
    "/ocpp/a:b": 404,
    "/ocpp/a%3Ab": 404,
    "/ocpp/" + "x" * 49: 404,
    "/ocpp/" + "x" * 10_000: 404,
    "/ocpp/%FF": 404,
    "/ocpp/%C3": 404,
    "/ocpp/%zz": 404,
    "/ocpp/\udcff": 404,
    "/ocpp/": 404,
    "/": 404,
    "/events": 404,
    "//ocpp/ODD": 404,
    "/ocpp//ODD": 404,
    "/OCPP/ODD": 404,
    "http://[/ocpp/ODD": 400,
    "http://elsewhere/ocpp/ODD": 404,
    "*": 404,
    "/ocpp/ODD#fragment": 400,
    "/ocpp/%E4%BD%A0": 101,
    "/ocpp/\u00e4": 101,
    "/ocpp/ODD?redirect=http://elsewhere/": 101,
    "/ocpp/a%20b": 101,
}
HEADERS = {
    "Sec-WebSocket-Protocol: ocpp2.0.1\r\n": 101,
    "Authorization: Basic !!!\r\n": 401,
    "Authorization: Basic T0RE\r\n": 401,
    "Authorization: Basic Tm9ib2R5OnBhc3N3b3JkLXBhc3N3b3Jk\r\n": 401,
    "Authorization: Bearer x\r\n": 401,
    "Authorization: Basic " + "A" * 5000 + "\r\n": 401,
    "Host: again\r\n": 400,
    "Upgrade: h2c\r\n": 101,
    "Sec-WebSocket-Version: 8\r\n": 400,
    "Sec-WebSocket-Key: BBBBBBBBBBBBBBBBBBBBBB==\r\n": 400,
    "X: " + LONG + "\r\n": 431,
    "X: y\r\n" * 4000: 431,
    "Origin: null\r\n": 101,
    "Origin: http://[evil\r\n": 101,
    "X: " + "\udcff" * 100 + "\r\n": 101,
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n": 101,
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99\r\n": 400,
    "Sec-WebSocket-Extensions: ;;;,,,===\r\n": 101,
}
REQUESTS = {
    b"\r\n\r\n": 400,
    b"nonsense\r\n\r\n": 400,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n": 400,
    b"GET /ocpp/ODD HTTP/1.1\r\n\r\n": 400,
    b"GET  HTTP/1.1\r\n\r\n": 400,
    b"GET /ocpp/ODD HTTP/9.9\r\nHost: x\r\n\r\n": 505,
    b"GET /ocpp/ODD HTTP/1.1\r\nHost: x:y\r\n\r\n": 400,
    b"GET /ocpp/ODD HTTP/1.1\r\nHost: x:99999999999999999999\r\n\r\n": 426,
    b"GET /ocpp/ODD HTTP/1.1\r\nno colon\r\n\r\n": 400,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": 405,
    request("/ocpp/ODD", method="POST"): 405,
    request("/ocpp/ODD", method="OPTIONS"): 405,
    request("/ocpp/ODD").replace(b"Version: 13", b"Version: 12"): 400,
    request("/ocpp/ODD").replace(b"Version: 13", b"Version: " + b"9" * 5000): 400,
    request("/ocpp/ODD").replace(b"AAAAAAAAAAAAAAAAAAAAAA==", b"short"): 400,
    request("/ocpp/ODD").replace(b"AAAAAAAAAAAAAAAAAAAAAA==", b"\xff" * 24): 400,
    request("/ocpp/ODD").replace(b"Upgrade: websocket", b"Upgrade: nothing"): 400,
    request("/ocpp/ODD").replace(b"Connection: Upgrade", b"Connection: close"): 400,
}


class BadHandshakes(BadInputCase):
    settings: ClassVar[dict[str, str]] = {
        "CSMS_GATEWAY_HANDSHAKE_TIMEOUT_S": "1",
        "CSMS_GATEWAY_MAX_HANDSHAKES": str(MAX_HANDSHAKES),
    }

    def status(self, data: bytes) -> int:
        """Of the answer to a request."""
        peer = RawPeer(self.port)
        peer.send(data)
        status, _ = peer.response()
        peer.close()
        return status

    def test_tricks_with_the_path(self) -> None:
        found = {target: self.status(request(target)) for target in TARGETS}
        self.assertEqual({key: (status, TARGETS[key]) for key, status in found.items() if status != TARGETS[key]}, {})

    def test_tricks_with_headers(self) -> None:
        found = {headers: self.status(request("/ocpp/ODD", headers=headers)) for headers in HEADERS}
        self.assertEqual({key: (status, HEADERS[key]) for key, status in found.items() if status != HEADERS[key]}, {})

    def test_requests_that_are_no_handshake(self) -> None:
        found = {data: self.status(data) for data in REQUESTS}
        self.assertEqual({key: (status, REQUESTS[key]) for key, status in found.items() if status != REQUESTS[key]}, {})

    def test_subprotocols(self) -> None:
        many = ", ".join(f"p{number}" for number in range(500))
        for offered, chosen in {
            f"{many}, ocpp2.0.1": "ocpp2.0.1",
            "ocpp2.1,ocpp1.6,ocpp2.0.1": "ocpp2.1",
            "OCPP1.6": "",
            "soap": "",
            "": "",
        }.items():
            with self.subTest(offered[:40]):
                peer = self.peer()
                head = peer.open("ODD", subprotocol=offered)
                lines = [
                    line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Prot")
                ]
                if chosen:
                    self.assertEqual((lines, peer.until_heartbeat()), ([chosen], []))
                else:
                    self.assertEqual((lines, peer.message()), ([], 1002))

    def test_idle_and_dripping_sockets_are_cut_and_keep_nobody_out(self) -> None:
        with self.counting('csms_charger_handshakes_total{status="displaced"}', MAX_HANDSHAKES):
            idle = [self.peer() for _ in range(2 * MAX_HANDSHAKES)]
            for peer in idle[::2]:
                peer.send(b"GET /ocpp/ODD HTTP/1.1\r\nX: ")
            self.charger()
        with self.counting('csms_charger_handshakes_total{status="timeout"}'):
            dripping = self.peer()
            limit = time.monotonic() + 20
            while not dripping.closed():
                dripping.send(b"x")
                self.assertLess(time.monotonic(), limit)
        for peer in idle:
            self.assertTrue(peer.gone())

    def test_a_header_without_end_is_cut(self) -> None:
        with self.counting('csms_charger_handshakes_total{status="431"}'):
            peer = self.peer()
            for _ in range(100):
                peer.send(b"X-Header: " + b"x" * 10_000)
            peer.gone()

    def test_a_second_request_in_the_same_breath_is_no_second_handshake(self) -> None:
        peer = self.peer()
        peer.send(request("/ocpp/ODD") * 3)
        self.assertEqual(peer.response()[0], 101)
        self.assertEqual(peer.message(), 1002)

    def test_peers_that_leave_while_they_are_let_in_leave_nothing_behind(self) -> None:
        gauge = 'csms_charger_connections{ocpp_version="2.1"}'
        before = self.sample(gauge)
        for number in range(200):
            peer = RawPeer(self.port)
            peer.send(request(f"/ocpp/LEFT-{number % 20}", subprotocol="ocpp2.1") + frame("[2"))
            peer.close()
        limit = time.monotonic() + 20
        while self.sample(gauge) != before:
            self.assertLess(time.monotonic(), limit)
            time.sleep(0.05)
