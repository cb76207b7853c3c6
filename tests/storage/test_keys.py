"""Digests."""

from __future__ import annotations

import unittest

from csms.storage.keys import digest, folded


class KeyTests(unittest.TestCase):
    def test_a_digest_is_a_signed_64_bit_number_that_never_changes(self) -> None:
        # It is stored: another value for the same text would lose rows.
        self.assertEqual(digest("tx-1"), DIGEST_OF_TX_1)
        self.assertTrue(all(-(2**63) <= digest(str(n)) < 2**63 for n in range(1000)))

    def test_parts_do_not_run_into_each_other(self) -> None:
        self.assertEqual(
            len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("", "abc"), digest("abc", "")}), 5
        )

    def test_long_text_and_lone_surrogates_have_digests_too(self) -> None:
        self.assertEqual(len({digest("x" * 1_000_000), digest("x" * 1_000_001), digest("\ud800"), digest("")}), 4)

    def test_tokens_are_folded(self) -> None:
        self.assertEqual(folded("04AbÄẞ"), folded("04aBäSS"))


DIGEST_OF_TX_1 = 6713751405752477481
