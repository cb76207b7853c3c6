"""Who may send what."""

from __future__ import annotations

import unittest

from csms.ocpp import schemas
from csms.ocpp.directions import DIRECTIONS, Direction, direction
from csms.ocpp.versions import Version


class DirectionTests(unittest.TestCase):
    def test_the_table_has_exactly_the_actions_that_have_schemas(self) -> None:
        for version in Version:
            self.assertEqual(set(DIRECTIONS[version]), schemas.actions(version))

    def test_every_action_but_the_send_has_a_response_schema(self) -> None:
        for version in Version:
            for action, sender in DIRECTIONS[version].items():
                if sender is Direction.SEND_FROM_CHARGER:
                    with self.assertRaises(KeyError):
                        schemas.check_response(version, action, {})
                else:
                    schemas.check_response(version, action, {})

    def test_only_data_transfer_goes_both_ways(self) -> None:
        for version in Version:
            both = {action for action, sender in DIRECTIONS[version].items() if sender is Direction.BOTH}
            self.assertEqual(both, {"DataTransfer"})

    def test_only_21_has_a_send(self) -> None:
        for version in Version:
            sends = {a for a, sender in DIRECTIONS[version].items() if sender is Direction.SEND_FROM_CHARGER}
            self.assertEqual(sends, {"NotifyPeriodicEventStream"} if version is Version.V21 else set())

    def test_notifications_come_from_chargers_and_orders_go_to_them(self) -> None:
        to_charger = {"NotifyAllowedEnergyTransfer", "NotifyWebPaymentStarted"}
        orders = ("Set", "ClearC", "ClearD", "ClearT", "ClearV", "Reserve", "Remote", "Request", "Install", "Change")
        for version in Version:
            for action, sender in DIRECTIONS[version].items():
                if action in to_charger:
                    self.assertIs(sender, Direction.TO_CHARGER)
                elif action.endswith("Notification") or action.startswith(("Notify", "Report")):
                    self.assertFalse(sender.csms_calls, action)
                elif action.startswith(orders):
                    self.assertFalse(sender.charger_calls, action)

    def test_numbers_of_actions_per_version(self) -> None:
        counts = {
            version: (
                sum(sender.charger_calls for sender in DIRECTIONS[version].values()),
                sum(sender.csms_calls for sender in DIRECTIONS[version].values()),
            )
            for version in Version
        }
        self.assertEqual(counts, {Version.V16: (14, 26), Version.V201: (25, 40), Version.V21: (36, 55)})

    def test_an_action_of_another_version_is_unknown(self) -> None:
        self.assertIsNone(direction(Version.V16, "TransactionEvent"))
        self.assertIsNone(direction(Version.V201, "StartTransaction"))
        self.assertIsNone(direction(Version.V201, "BatterySwap"))
        self.assertIsNone(direction(Version.V21, "heartbeat"))
