from __future__ import annotations

from unittest import TestCase

from csms.api.tries import ADDRESS_LIMIT, NAME_LIMIT, PAIR_LIMIT, WINDOW_S, Tries


class TriesTest(TestCase):
    def setUp(self) -> None:
        self.tries = Tries()

    def fail(self, name: str, address: str, times: int) -> None:  # type: ignore[override]
        for _ in range(times):
            self.tries.failed(name, address, 0.0)

    def blocked(self, name: str, address: str, now: float = 1.0) -> bool:
        return self.tries.blocked_for_s(name, address, now) > 0

    def test_a_name_at_an_address_may_fail_a_few_times(self) -> None:
        self.fail("ann", "192.0.2.1", PAIR_LIMIT - 1)
        self.assertFalse(self.blocked("ann", "192.0.2.1"))
        self.fail("ANN", "192.0.2.1", 1)
        self.assertTrue(self.blocked("ann", "192.0.2.1"))
        self.assertFalse(self.blocked("ann", "192.0.2.2"))
        self.assertFalse(self.blocked("bob", "192.0.2.1"))
        self.assertFalse(self.blocked("ann", "192.0.2.1", WINDOW_S + 1))

    def test_an_address_that_guesses_names_is_blocked_but_not_for_those_known_there(self) -> None:
        self.tries.failed("ann", "192.0.2.1", 0.0)
        self.tries.succeeded("ann", "192.0.2.1")
        for number in range(ADDRESS_LIMIT):
            self.fail(f"guess{number}", "192.0.2.1", 1)
        self.assertTrue(self.blocked("bob", "192.0.2.1"))
        self.assertFalse(self.blocked("ann", "192.0.2.1"))

    def test_a_name_that_is_guessed_from_everywhere_is_blocked_but_not_where_it_is_known(self) -> None:
        self.tries.failed("ann", "198.51.100.9", 0.0)
        self.tries.succeeded("ann", "198.51.100.9")
        for number in range(NAME_LIMIT):
            self.fail("ann", f"192.0.2.{number}", 1)
        self.assertTrue(self.blocked("ann", "203.0.113.1"))
        self.assertFalse(self.blocked("ann", "198.51.100.9"))

    def test_many_who_sign_in_behind_one_address_do_not_block_it(self) -> None:
        for number in range(3 * ADDRESS_LIMIT):
            self.tries.failed(f"user{number}", "192.0.2.1", 0.0)
            self.tries.succeeded(f"user{number}", "192.0.2.1")
        self.assertFalse(self.blocked("new", "192.0.2.1"))

    def test_all_addresses_of_a_customer_of_ipv6_count_as_one(self) -> None:
        for number in range(PAIR_LIMIT):
            self.fail("ann", f"2001:db8::{number:x}", 1)
        self.assertTrue(self.blocked("ann", "2001:db8::ffff"))
        self.assertFalse(self.blocked("ann", "2001:db8:0:1::1"))
