from __future__ import annotations

import unittest

from csms.api.origins import Origins, is_loopback, own_url
from csms.config.settings import HttpSettings


class OriginsTest(unittest.TestCase):
    def test_our_own_url_is_allowed_and_nothing_like_it(self) -> None:
        origins = Origins(HttpSettings(public_url="https://csms.example"))
        for origin in ("https://csms.example", "https://csms.example:443", "HTTPS://CSMS.example"):
            self.assertTrue(origins.allows(origin, "csms.example"), origin)
        self.assertFalse(origins.allows(None, "csms.example"))
        for origin in (
            "",
            "null",
            "file://",
            "http://csms.example",
            "https://csms.example:8443",
            "https://csms.example.evil.example",
            "https://evil.example/https://csms.example",
            "https://csms.example@evil.example",
            "https://evilcsms.example",
            "https://csms.example,https://evil.example",
            "https://csms.example:x",
            "https://[",
            "csms.example",
        ):
            self.assertFalse(origins.allows(origin, "csms.example"), origin)

    def test_the_host_header_lets_nobody_in(self) -> None:
        origins = Origins(HttpSettings(public_url="https://csms.example"))
        self.assertFalse(origins.allows("http://evil.example", "evil.example"))
        self.assertFalse(origins.allows("http://rebound.example:8080", "rebound.example:8080"))

    def test_on_loopback_every_name_of_it_is_ours(self) -> None:
        origins = Origins(HttpSettings())
        for host in ("localhost:8080", "127.0.0.1:8080", "[::1]:8080", "csms.localhost:8080", "localhost:9999"):
            self.assertTrue(origins.allows(f"http://{host}", host), host)
        self.assertFalse(origins.allows("http://localhost:3000", "localhost:8080"), "another server of this machine")
        self.assertFalse(origins.allows("http://localhost.evil.example", "localhost.evil.example"))

    def test_listed_origins_are_allowed(self) -> None:
        origins = Origins(HttpSettings(allowed_origins="https://a.example http://b.example:81/"))
        self.assertTrue(origins.allows("https://a.example", "csms.example"))
        self.assertTrue(origins.allows("http://b.example:81", None))
        self.assertFalse(origins.allows("http://a.example", None))

    def test_the_address_that_it_listens_on_is_ours(self) -> None:
        self.assertTrue(Origins(HttpSettings(listen="192.0.2.7", port=80)).allows("http://192.0.2.7", "192.0.2.7"))


class OwnUrlTest(unittest.TestCase):
    def test_it_is_one_that_can_be_opened(self) -> None:
        for settings, url in (
            (HttpSettings(), "http://127.0.0.1:8080"),
            (HttpSettings(listen="0.0.0.0", port=81), "http://127.0.0.1:81"),
            (HttpSettings(listen="::", port=81), "http://[::1]:81"),
            (HttpSettings(public_url="https://csms.example/"), "https://csms.example"),
        ):
            self.assertEqual(own_url(settings), url)

    def test_loopback_is_told_from_the_rest(self) -> None:
        self.assertTrue(all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"))))
        self.assertFalse(any(map(is_loopback, ("", "0.0.0.0", "10.0.0.1", "localhost.example", "127.0.0.1.example"))))
