from __future__ import annotations

from unittest import TestCase

from csms.addresses import MAX_HOPS, TrustedProxies, network_of


class NetworkTest(TestCase):
    def test_an_ipv4_address_is_one_and_a_customers_ipv6_addresses_are_one(self) -> None:
        for address, network in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8::ffff:1", "2001:db8::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("somewhere", "somewhere"),
        ):
            self.assertEqual(network_of(address), network)


class TrustedProxiesTest(TestCase):
    def test_without_any_nothing_is_believed(self) -> None:
        self.assertEqual(TrustedProxies("").client("192.0.2.1", "203.0.113.1"), "192.0.2.1")

    def test_the_last_address_that_is_no_proxy_counts(self) -> None:
        proxies = TrustedProxies("192.0.2.1 10.0.0.0/8 2001:db8::/32")
        for peer, forwarded, client in (
            ("192.0.2.1", None, "192.0.2.1"),
            ("192.0.2.1", "", "192.0.2.1"),
            ("192.0.2.1", "203.0.113.1", "203.0.113.1"),
            ("::ffff:192.0.2.1", "203.0.113.1", "203.0.113.1"),
            ("192.0.2.1", "1.1.1.1, 203.0.113.1", "203.0.113.1"),
            ("192.0.2.1", "203.0.113.1,10.1.2.3", "203.0.113.1"),
            ("192.0.2.1", "10.1.2.4,10.1.2.3", "10.1.2.4"),
            ("192.0.2.1", "203.0.113.1:4711", "203.0.113.1"),
            ("2001:db8::1", "[2002:db8::7]:443", "2002:db8::7"),
            ("192.0.2.1", "203.0.113.1, rubbish", "192.0.2.1"),
            ("192.0.2.1", "203.0.113.1, rubbish, 10.0.0.1", "10.0.0.1"),
            ("192.0.2.2", "203.0.113.1", "192.0.2.2"),
            ("", "203.0.113.1", ""),
        ):
            self.assertEqual(proxies.client(peer, forwarded), client, (peer, forwarded))

    def test_a_long_header_costs_no_more_than_its_end(self) -> None:
        proxies = TrustedProxies("192.0.2.1 10.0.0.0/8")
        self.assertEqual(proxies.client("192.0.2.1", "9.9.9.9," + "10.0.0.1," * 5000 + "10.0.0.2"), "10.0.0.1")
        self.assertGreater(MAX_HOPS, 5)

    def test_what_is_no_network_is_refused(self) -> None:
        for text in ("proxy.example", "192.0.2.1/8", "10.0.0.0/33"):
            with self.assertRaises(ValueError):
                TrustedProxies(text)
