"""Which charging profiles a charger has."""

from __future__ import annotations

import unittest
from datetime import timedelta
from typing import Any

from csms.domain.composite import MAX_PROFILE, TX, TX_DEFAULT
from csms.domain.device_records import ChargingProfile, Comparison, CompositeSchedule, Period
from csms.domain.messages import NotificationType
from tests.domain.commanding import ACCEPTED, CommandedStation
from tests.domain.station import NOON, iso

CHANGED = NotificationType.PROFILES_CHANGED


def profile(purpose: str = TX_DEFAULT, profile_id: int = 1, level: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "chargingProfileId": profile_id,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "startSchedule": iso(NOON),
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 600, "limit": 10.5}],
        },
    } | fields


class SmartChargingCase(unittest.TestCase):
    def setUp(self) -> None:
        self.station = CommandedStation()

    def set(self, given: dict[str, Any], connector: int = 1, answer: str = "Accepted") -> None:
        request = {"connectorId": connector, "csChargingProfiles": given}
        self.station.command("SetChargingProfile", request, {"status": answer})

    def clear(self, answer: str = "Accepted", **request: Any) -> None:
        self.station.command("ClearChargingProfile", request, {"status": answer})

    @property
    def profiles(self) -> list[ChargingProfile]:
        return list(self.station.devices.charging_profiles.of(self.station.charger.id))

    def ids(self) -> list[int]:
        return sorted(one.profile_id for one in self.profiles)


class Setting(SmartChargingCase):
    def test_every_field_is_kept(self) -> None:
        given = profile(
            level=2,
            validFrom="2026-06-01T00:00:00Z",
            validTo="2026-07-01T00:00:00Z",
            chargingProfileKind="Recurring",
            recurrencyKind="Daily",
        )
        given["chargingSchedule"] |= {"duration": 3600, "minChargingRate": 6.0}
        given["chargingSchedule"]["chargingSchedulePeriod"][1]["numberPhases"] = 1
        self.set(given)
        (kept,) = self.profiles
        self.assertEqual((kept.evse_id, kept.profile_id, kept.stack_level, kept.purpose), (1, 1, 2, TX_DEFAULT))
        self.assertEqual((kept.kind, kept.recurrency, kept.unit), ("Recurring", "Daily", "A"))
        self.assertEqual((kept.start_schedule, kept.duration_s, kept.min_rate), (NOON, 3600, 6.0))
        self.assertEqual((kept.valid_from, kept.valid_to), (NOON.replace(hour=0), NOON.replace(month=7, hour=0)))
        self.assertEqual(kept.periods, (Period(0.0, 16.0), Period(600.0, 10.5, 1)))
        self.assertEqual((kept.command_id, kept.set_at), ("command-1", NOON + timedelta(seconds=1)))
        told = {"change": "set", "evseId": 1, "profileId": 1, "purpose": TX_DEFAULT, "stackLevel": 2}
        self.assertEqual(self.station.last(CHANGED), told)

    def test_a_refused_one_changes_nothing(self) -> None:
        self.set(profile())
        for answer in ("Rejected", "NotSupported"):
            self.set(profile(profile_id=2), answer=answer)
        self.assertEqual(self.ids(), [1])

    def test_the_same_id_replaces_wherever_it_was(self) -> None:
        self.set(profile(level=1))
        self.set(profile(level=2), connector=2)
        self.assertEqual([(one.evse_id, one.stack_level) for one in self.profiles], [(2, 2)])

    def test_the_same_place_purpose_and_level_replaces(self) -> None:
        self.set(profile(profile_id=1, level=1))
        self.set(profile(profile_id=2, level=1))
        self.set(profile(profile_id=3, level=2))
        self.set(profile(profile_id=4, level=1), connector=2)
        self.set(profile(MAX_PROFILE, profile_id=5, level=1), connector=0)
        self.assertEqual(self.ids(), [2, 3, 4, 5])


class Clearing(SmartChargingCase):
    def setUp(self) -> None:
        super().setUp()
        self.set(profile(profile_id=1, level=1))
        self.set(profile(profile_id=2, level=2))
        self.set(profile(profile_id=3, level=1), connector=2)
        self.set(profile(MAX_PROFILE, profile_id=4, level=1), connector=0)

    def test_by_id_whatever_else_is_said(self) -> None:
        self.clear(id=2, connectorId=9)
        self.assertEqual(self.ids(), [1, 3, 4])

    def test_by_filters_that_all_have_to_match(self) -> None:
        self.clear(connectorId=1, stackLevel=1, chargingProfilePurpose=TX_DEFAULT)
        self.assertEqual(self.ids(), [2, 3, 4])
        self.clear(stackLevel=1)
        self.assertEqual(self.ids(), [2])

    def test_connector_0_is_the_charger_and_not_all_connectors(self) -> None:
        self.clear(connectorId=0)
        self.assertEqual(self.ids(), [1, 2, 3])

    def test_without_filters_everything(self) -> None:
        self.clear()
        self.assertEqual(self.ids(), [])
        self.assertEqual([one.data["change"] for one in self.station.told[-4:]], ["cleared"] * 4)

    def test_what_a_charger_does_not_know_it_does_not_have(self) -> None:
        self.clear("Unknown", id=1)
        self.assertEqual(self.ids(), [2, 3, 4])


class Transactions(SmartChargingCase):
    def test_a_tx_profile_ends_with_its_transaction_only(self) -> None:
        first, second = self.station.start(), self.station.start(connectorId=2, meterStart=1)
        self.set(profile(TX, profile_id=1))
        self.set(profile(TX, profile_id=2, transactionId=second), connector=2)
        self.set(profile(TX_DEFAULT, profile_id=3))
        self.station.stop(first)
        self.assertEqual(self.ids(), [2, 3])
        self.assertEqual(self.station.last(CHANGED)["change"], "ended")
        self.station.stop(second)
        self.assertEqual(self.ids(), [3])

    def test_it_ends_with_a_transaction_that_is_superseded(self) -> None:
        self.station.start()
        self.set(profile(TX))
        self.station.wait(minutes=1)
        self.station.start(idTag="OTHER")
        self.assertEqual(self.ids(), [])

    def test_the_profile_of_a_remote_start_belongs_to_the_transaction_that_begins(self) -> None:
        for connector in ({"connectorId": 1}, {}):
            request = {"idTag": "CARD", "chargingProfile": profile(TX)} | connector
            self.station.command("RemoteStartTransaction", request, {"status": "Rejected"})
            self.assertEqual(self.ids(), [])
            self.station.command("RemoteStartTransaction", request)
            transaction = self.station.start()
            (kept,) = self.profiles
            self.assertEqual((kept.evse_id, kept.transaction_id), (1, str(transaction)))
            self.station.stop(transaction)
            self.assertEqual(self.ids(), [])
            self.station.wait(minutes=5)

    def test_a_remote_start_that_never_began_leaves_no_profile_to_others(self) -> None:
        self.station.command(
            "RemoteStartTransaction", {"idTag": "CARD", "connectorId": 1, "chargingProfile": profile(TX)}
        )
        self.station.wait(hours=2)
        self.station.start(idTag="OTHER")
        self.assertEqual(self.ids(), [])


class Composite(SmartChargingCase):
    def asked(self, *periods: tuple[int, float], connector: int = 1, **schedule: Any) -> CompositeSchedule:
        listed = [{"startPeriod": start, "limit": limit} for start, limit in periods]
        response = {
            "status": "Accepted",
            "connectorId": connector,
            "scheduleStart": iso(NOON),
            "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": listed} | schedule,
        }
        self.station.command("GetCompositeSchedule", {"connectorId": connector, "duration": 3600}, response)
        return self.station.devices.composite_schedules.of(self.station.charger.id)[-1]

    def test_the_answer_is_kept_beside_what_we_expect(self) -> None:
        self.set(profile())
        kept = self.asked((0, 16.0), (600, 10.5))
        self.assertEqual(kept.reported, (Period(0.0, 16.0), Period(600.0, 10.5)))
        self.assertEqual((kept.expected, kept.comparison), (kept.reported, Comparison.EQUAL))
        self.assertEqual((kept.starts_at, kept.duration_s, kept.unit), (NOON, 3600, "A"))
        told = self.station.last(NotificationType.COMPOSITE_SCHEDULE_REPORTED)
        self.assertEqual((told["evseId"], told["comparison"]), (1, "equal"))

    def test_the_newest_answer_of_a_connector_replaces_the_one_before(self) -> None:
        self.set(profile())
        self.asked((0, 16.0))
        kept = self.asked((0, 6.0))
        self.assertEqual(len(self.station.devices.composite_schedules.rows), 1)
        self.assertIs(kept.comparison, Comparison.LOWER)
        self.asked((0, 6.0), connector=2)
        self.assertEqual(len(self.station.devices.composite_schedules.rows), 2)

    def test_the_running_transaction_counts(self) -> None:
        self.set(profile(TX_DEFAULT, profile_id=1))
        self.station.start()
        given = profile(TX, profile_id=2)
        given["chargingSchedule"]["chargingSchedulePeriod"] = [{"startPeriod": 0, "limit": 32.0}]
        self.set(given)
        self.assertIs(self.asked((0, 32.0)).comparison, Comparison.EQUAL)

    def test_a_charger_that_allows_more_is_noticed(self) -> None:
        self.set(profile(MAX_PROFILE), connector=0)
        self.assertIs(self.asked((0, 32.0)).comparison, Comparison.HIGHER)

    def test_a_refusal_keeps_nothing(self) -> None:
        self.station.command("GetCompositeSchedule", {"connectorId": 1, "duration": 60}, {"status": "Rejected"})
        self.station.command("GetCompositeSchedule", {"connectorId": 1, "duration": 60}, ACCEPTED)
        self.assertEqual(self.station.devices.composite_schedules.rows, {})
