"""The choice among the subprotocols that a client offers."""

from __future__ import annotations

import unittest

from csms.ocpp.versions import Version, choose_version


class ChooseVersionTests(unittest.TestCase):
    def test_the_first_known_offer_wins(self) -> None:
        self.assertIs(choose_version(["ocpp1.6", "ocpp2.0.1"], False), Version.V16)
        self.assertIs(choose_version(["ocpp2.1", "ocpp2.0.1", "ocpp1.6"], False), Version.V21)

    def test_unknown_offers_are_passed_over(self) -> None:
        self.assertIs(choose_version(["ocpp2.0", "soap", "ocpp2.0.1"], False), Version.V201)

    def test_no_common_subprotocol_is_none_even_when_missing_ones_are_taken_as_16(self) -> None:
        self.assertIsNone(choose_version(["ocpp1.5"], True))
        self.assertIsNone(choose_version(["OCPP1.6"], True))

    def test_no_offer_at_all_is_16_only_when_allowed(self) -> None:
        self.assertIsNone(choose_version([], False))
        self.assertIs(choose_version([], True), Version.V16)

    def test_each_version_is_chosen_by_its_own_subprotocol(self) -> None:
        names = {version: version.subprotocol for version in Version}
        self.assertEqual(names, {Version.V16: "ocpp1.6", Version.V201: "ocpp2.0.1", Version.V21: "ocpp2.1"})
        for version, name in names.items():
            self.assertIs(choose_version([name], False), version)
