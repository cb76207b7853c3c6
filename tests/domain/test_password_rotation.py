"""A new password on its way to the charger: which ones open the door, whatever becomes of the command."""

from __future__ import annotations

import unittest

from csms.domain.credentials import generate_password, hash_password, verify
from csms.domain.model import Charger
from csms.domain.password_rotation import MAX_ON_THE_WAY, TooManyPasswords, arrived, confirm, offer, withdraw

OLD, NEW, NEWER = (generate_password() for _ in range(3))


def charger() -> Charger:
    return Charger(device_id="CP1", password_hash=hash_password(OLD))


def opens(charger: Charger) -> set[str]:
    """Which of the three passwords open the door."""
    return {
        password
        for password in (OLD, NEW, NEWER)
        if verify(charger.password_hash, password) or arrived(charger.next_passwords, password.encode())
    }


class RotationTests(unittest.TestCase):
    def test_old_and_new_open_until_the_answer(self) -> None:
        one = charger()
        offer(one, "c1", NEW)
        self.assertEqual(opens(one), {OLD, NEW})
        self.assertNotIn(NEW, repr(one))

    def test_accepted_the_old_one_is_refused(self) -> None:
        one = charger()
        offer(one, "c1", NEW)
        confirm(one, "c1")
        self.assertEqual((opens(one), one.next_passwords), ({NEW}, {}))

    def test_rejected_the_new_one_is_forgotten(self) -> None:
        one = charger()
        offer(one, "c1", NEW)
        withdraw(one, "c1")
        self.assertEqual((opens(one), one.next_passwords), ({OLD}, {}))

    def test_the_new_one_is_recognised_in_hex_and_raw(self) -> None:
        one = charger()
        offer(one, "c1", NEW)
        for presented in (NEW.encode(), NEW.upper().encode(), bytes.fromhex(NEW)):
            self.assertEqual(arrived(one.next_passwords, presented), "c1")
        self.assertIsNone(arrived(one.next_passwords, OLD.encode()))

    def test_a_later_one_settles_the_earlier_ones_and_no_late_answer_brings_them_back(self) -> None:
        one = charger()
        offer(one, "c1", NEW)
        offer(one, "c2", NEWER)
        self.assertEqual(opens(one), {OLD, NEW, NEWER})
        confirm(one, "c2")
        self.assertEqual(opens(one), {NEWER})
        confirm(one, "c1")
        self.assertEqual(opens(one), {NEWER})

    def test_an_earlier_one_that_arrives_leaves_the_later_on_its_way(self) -> None:
        one = charger()
        offer(one, "c1", NEW)
        offer(one, "c2", NEWER)
        confirm(one, "c1")
        self.assertEqual(opens(one), {NEW, NEWER})
        withdraw(one, "c2")
        self.assertEqual(opens(one), {NEW})

    def test_none_is_forgotten_to_make_room(self) -> None:
        one = charger()
        for number in range(MAX_ON_THE_WAY):
            offer(one, str(number), NEW)
        with self.assertRaises(TooManyPasswords):
            offer(one, "more", NEWER)
        self.assertEqual(len(one.next_passwords), MAX_ON_THE_WAY)
