"""What is read out of a charger's HTTP request."""

from __future__ import annotations

import base64
import unittest

from csms.gateway.handshake import basic_credentials, device_id_of


class DeviceIdTests(unittest.TestCase):
    def test_usable_identities(self) -> None:
        for uri, device_id in {
            "/ocpp/CP1": "CP1",
            "/ocpp/CP1?token=x": "CP1",
            "/ocpp/RDAM%7C123": "RDAM|123",
            "/ocpp/a%20b": "a b",
            "/ocpp/%C3%A4": "ä",
            "/ocpp/" + "ä".encode().decode("latin-1"): "ä",
            "/ocpp/" + "x" * 48: "x" * 48,
            "/ocpp/a;b=c": "a;b=c",
        }.items():
            self.assertEqual(device_id_of(uri), device_id, uri)

    def test_unusable_identities(self) -> None:
        for uri in (
            "/",
            "/ocpp",
            "/ocpp/",
            "/ocpp/?x",
            "/OCPP/CP1",
            "/other/CP1",
            "//ocpp/CP1",
            "http://host/ocpp/CP1",
            "/ocpp/a/b",
            "/ocpp/a%2Fb",
            "/ocpp/a%5Cb",
            "/ocpp/a%3Ab",
            "/ocpp/a:b",
            "/ocpp/%",
            "/ocpp/%4",
            "/ocpp/%zz",
            "/ocpp/%00",
            "/ocpp/a%0Ab",
            "/ocpp/%E2%80%A8",
            "/ocpp/%FF",
            "/ocpp/..",
            "/ocpp/%2E",
            "/ocpp/%20CP1",
            "/ocpp/" + "x" * 49,
            "/ocpp/" + "%C3%A4" * 49,
        ):
            self.assertIsNone(device_id_of(uri), uri)


class CredentialTests(unittest.TestCase):
    def basic(self, pair: bytes) -> tuple[bytes, bytes] | None:
        return basic_credentials("Basic " + base64.b64encode(pair).decode())

    def test_split_at_the_first_colon_and_kept_as_bytes(self) -> None:
        self.assertEqual(self.basic(b"CP1:pass:word"), (b"CP1", b"pass:word"))
        self.assertEqual(self.basic(b"CP1:\xff\x00:\xfe"), (b"CP1", b"\xff\x00:\xfe"))
        self.assertEqual(self.basic(b"CP1:"), (b"CP1", b""))

    def test_scheme_in_any_case_and_padding_left_out(self) -> None:
        self.assertEqual(basic_credentials("bAsIc  Q1AxOnB3 "), (b"CP1", b"pw"))
        self.assertEqual(basic_credentials("Basic Q1AxOnB3ZA"), (b"CP1", b"pwd"))

    def test_everything_else_is_none(self) -> None:
        for header in (
            "",
            "Basic",
            "Basic !!!",
            "Bearer Q1AxOnB3",
            "Basic Q1Ax",
            "Basic Q1AxOnB3, Basic Q1AxOnB3",
            "Basic \u00e4",
        ):
            self.assertIsNone(basic_credentials(header), header)
        self.assertIsNone(self.basic(b"x" * 2000 + b":y"))
