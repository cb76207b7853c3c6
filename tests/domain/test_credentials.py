"""Passwords of chargers: kept as hashes, both forms of a 1.6 key accepted, weak ones named."""

from __future__ import annotations

import unittest

from hypothesis import given
from hypothesis import strategies as st

from csms.domain.credentials import generate_password, hash_password, objection, verify

KEY = "00112233445566778899AABBCCDDEEFF01234567"


class Hashes(unittest.TestCase):
    def test_the_right_password_passes_and_others_do_not(self) -> None:
        stored = hash_password("correct.horse.battery")
        self.assertTrue(verify(stored, b"correct.horse.battery"))
        self.assertFalse(verify(stored, b"correct.horse.batterY"))
        self.assertFalse(verify(stored, b""))

    def test_the_same_password_is_stored_differently_each_time(self) -> None:
        self.assertNotEqual(hash_password(KEY), hash_password(KEY))
        self.assertNotIn(KEY, hash_password(KEY))

    def test_a_key_passes_as_digits_of_either_case_and_as_bytes(self) -> None:
        for known in (KEY, KEY.lower(), bytes.fromhex(KEY)):
            stored = hash_password(known)
            for presented in (KEY.encode(), KEY.lower().encode(), bytes.fromhex(KEY)):
                self.assertTrue(verify(stored, presented))

    def test_no_stored_hash_lets_nobody_in(self) -> None:
        digest = hash_password("")
        for stored in ("", "$$", "sha256-1$$", "sha256-1$zz$zz", "plain", "scrypt" + digest[digest.index("$") :]):
            self.assertFalse(verify(stored, b""))

    @given(st.text(), st.binary())
    def test_no_input_raises(self, stored: str, presented: bytes) -> None:
        self.assertFalse(verify(stored, presented))

    @given(st.binary(), st.binary())
    def test_only_equal_passwords_match(self, one: bytes, other: bytes) -> None:
        self.assertTrue(verify(hash_password(one), one))
        if one != other:
            self.assertFalse(verify(hash_password(one), other))


class NewPasswords(unittest.TestCase):
    def test_generated_ones_are_good_for_every_version(self) -> None:
        password = generate_password()
        self.assertRegex(password, "^[0-9a-f]{40}$")
        self.assertEqual(objection(password), "")
        self.assertNotEqual(password, generate_password())

    def test_weak_ones_are_named(self) -> None:
        weak = {
            "short": "characters",
            "x" * 41: "characters",
            "with blanks in it 1": "blanks",
            "über-lang-und-bunt-gemischt": "ASCII",
            "aaaaaaaaaaaaaaaa": "repeats",
            "password12password12": "repeats",
            "0123456789:;<=>?": "sequence",
            "": "characters",
        }
        for password, reason in weak.items():
            self.assertIn(reason, objection(password))

    def test_random_ones_of_all_allowed_lengths_pass(self) -> None:
        for length in (16, 32, 40):
            self.assertEqual(objection("Zk3_p9Qv.7Lr-2Wx8Tb*Ym4Ns+6Gd1Hc5Jf0Ea=U"[:length]), "")
