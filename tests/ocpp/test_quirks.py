"""Odd chargers: what is tolerated from whom, what is recorded of it, and that all else is refused as ever."""

from __future__ import annotations

import unittest
from typing import Any

from csms.ocpp.connection import Connection
from csms.ocpp.events import CallReceived, Refused
from csms.ocpp.quirks import Kind, Profile, Quirks, QuirksError, Station, parse, shipped
from csms.ocpp.repair import repair
from csms.ocpp.versions import Version
from tests.ocpp.exchange import call, of_kind, only, sent

NOON = "2026-06-01T12:00:00Z"
NAMED = {"chargePointVendor": "V", "chargePointModel": "M"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
HUAWEI, SCHNEIDER = Station("Huawei", "SCharger-22KT-S0"), Station("Schneider Electric", "EVlink Smart Wallbox")
NAMELESS = Station("", "EVSE")


def measured(**sampled: Any) -> dict[str, Any]:
    return {"connectorId": 1, "meterValue": [{"timestamp": NOON, "sampledValue": [{"value": "1"} | sampled]}]}


def status(**fields: Any) -> dict[str, Any]:
    return STATUS | fields


LONE = {"connectorId": 1, "meterValue": measured()["meterValue"][0]}
V16, V201 = Version.V16, Version.V201
# For each entry of the shipped file: who sends what, and where the deviation is.
CASES: dict[tuple[str, str], tuple[Version, Station, str, dict[str, Any], str]] = {
    ("every charger", "empty-name"): (
        V16,
        Station("V"),
        "BootNotification",
        NAMED | {"chargePointVendor": " "},
        "$.chargePointVendor",
    ),
    ("every charger", "unit Celcius"): (V16, Station("V"), "MeterValues", measured(unit="Celcius"), "$..unit"),
    ("chargers that do not name their vendor", "number-as-text"): (
        V16,
        NAMELESS,
        "StatusNotification",
        status(connectorId="1"),
        "$.connectorId",
    ),
    ("chargers that do not name their vendor", "text-as-number"): (
        V16,
        NAMELESS,
        "MeterValues",
        measured(value=12.5),
        "$.meterValue[*].sampledValue[*].value",
    ),
    ("chargers that do not name their vendor", "null"): (
        V16,
        NAMELESS,
        "StatusNotification",
        status(info=None),
        "$.info",
    ),
    ("chargers that do not name their vendor", "extra-member"): (
        V16,
        NAMELESS,
        "StatusNotification",
        status(rssi=-70),
        "$",
    ),
    ("chargers that do not name their vendor", "enum-case"): (
        V16,
        NAMELESS,
        "StatusNotification",
        status(status="suspended_ev"),
        "$.status",
    ),
    ("chargers that do not name their vendor", "long-text"): (
        V16,
        NAMELESS,
        "StatusNotification",
        status(info="i" * 51),
        "$.info",
    ),
    ("chargers that do not name their vendor", "lone-object"): (V16, NAMELESS, "MeterValues", LONE, "$.meterValue"),
    ("chargers that do not name their vendor", "BootNotification.chargePointVendor"): (
        V16,
        NAMELESS,
        "BootNotification",
        {"chargePointModel": "M"},
        "$.chargePointVendor",
    ),
    ("chargers that do not name their vendor", "BootNotification.chargePointModel"): (
        V16,
        NAMELESS,
        "BootNotification",
        {"chargePointVendor": ""},
        "$.chargePointModel",
    ),
    ("chargers that do not name their vendor", "BootNotification.chargingStation.vendorName"): (
        V201,
        NAMELESS,
        "BootNotification",
        {"reason": "PowerUp", "chargingStation": {"model": "M"}},
        "$.chargingStation.vendorName",
    ),
    ("chargers that do not name their vendor", "BootNotification.chargingStation.model"): (
        V201,
        NAMELESS,
        "BootNotification",
        {"reason": "PowerUp", "chargingStation": {"vendorName": ""}},
        "$.chargingStation.model",
    ),
    ("chargers that do not name their vendor", "StatusNotification.errorCode"): (
        V16,
        NAMELESS,
        "StatusNotification",
        {"connectorId": 1, "status": "Available"},
        "$.errorCode",
    ),
    ("Huawei SmartCharger", "lone-object"): (V16, HUAWEI, "MeterValues", LONE, "$.meterValue"),
    ("Schneider Electric EVlink", "long-text"): (
        V16,
        SCHNEIDER,
        "BootNotification",
        {
            "chargePointVendor": "Schneider Electric",
            "chargePointModel": "EVlink Smart Wallbox",
            "chargePointSerialNumber": "3N" + "1" * 24,
        },
        "$.chargePointSerialNumber",
    ),
    ("OpenEVSE", "text-as-number"): (
        V16,
        Station("OpenEVSE"),
        "MeterValues",
        measured(value=604.213, unit="Wh"),
        "$.meterValue[*].sampledValue[*].value",
    ),
    ("OpenEVSE", "unit C"): (V16, Station("OpenEVSE"), "MeterValues", measured(unit="C"), "$..unit"),
    ("Legrand Green'Up", "errorCode Error"): (
        V16,
        Station("Legrand"),
        "StatusNotification",
        status(errorCode="Error", status="Faulted"),
        "$..errorCode",
    ),
}


def entries(profile: Profile) -> set[tuple[str, str]]:
    spelled = {f"{member} {word}" for member, words in profile.spelling.items() for word in words}
    return {(profile.name, entry) for entry in {*map(str, profile.tolerate), *profile.fill, *spelled}}


class ShippedFile(unittest.TestCase):
    def test_every_entry_is_used_and_leaves_a_payload_without_a_fault(self) -> None:
        by_name = {profile.name: profile for profile in shipped()}
        self.assertEqual(set(CASES), set().union(*map(entries, shipped())))
        for (name, entry), (version, station, action, payload, path) in CASES.items():
            with self.subTest(name, entry=entry):
                profile = by_name[name]
                self.assertTrue(profile.fits(version, station))
                tolerance = Quirks([profile]).tolerance(version, station)
                assert tolerance is not None
                outcome = repair(version, action, payload, tolerance)
                self.assertIn(path, [one.path for one in outcome.deviations])
                long_text = entry == Kind.LONG_TEXT
                self.assertIsNone(outcome.fault)
                self.assertEqual(outcome.payload == payload, long_text or entry == Kind.EMPTY_NAME)

    def test_names_are_unique_and_everything_is_explained(self) -> None:
        self.assertEqual(len({profile.name for profile in shipped()}), len(shipped()))
        self.assertTrue(all(profile.about for profile in shipped()))


class Matching(unittest.TestCase):
    def test_patterns_take_either_case_and_hold_for_the_whole_name(self) -> None:
        profile = Profile(name="p", vendor="Acme*", model="AC?", firmware="1.*")
        self.assertTrue(profile.fits(V16, Station("ACME Inc.", "ac7", "1.2")))
        for station in (
            Station("The Acme", "AC7", "1.2"),
            Station("Acme", "AC77", "1.2"),
            Station("Acme", "AC7", "2.1"),
        ):
            self.assertFalse(profile.fits(V16, station))

    def test_a_profile_may_be_for_some_versions_only(self) -> None:
        profile = Profile(name="p", versions=(V201,))
        self.assertEqual([profile.fits(version, Station()) for version in Version], [False, True, False])

    def test_all_profiles_that_fit_hold_together(self) -> None:
        quirks = Quirks(
            [
                Profile(name="a", tolerate=frozenset({Kind.NULL})),
                Profile(name="b", vendor="V", spelling={"unit": {"C": "Celsius"}}),
                Profile(name="c", vendor="W", tolerate=frozenset({Kind.EXTRA_MEMBER})),
            ]
        )
        tolerance = quirks.tolerance(V16, Station("V"))
        assert tolerance is not None
        self.assertEqual((tolerance.kinds, tolerance.marks), ({Kind.NULL}, ('"C"',)))
        self.assertIsNone(Quirks(quirks.profiles[1:]).tolerance(V16, Station("X")))

    def test_what_chargers_call_themselves_does_not_fill_the_memory(self) -> None:
        quirks = Quirks(shipped())
        for number in range(3000):
            quirks.tolerance(V16, Station(f"V{number}"))
        self.assertLess(len(quirks._remembered), 2000)


class ReadingTheFile(unittest.TestCase):
    def test_mistakes_are_named_with_their_place(self) -> None:
        entry = '[[profile]]\nname = "x"\n'
        for text, told in (
            ("[[profile]", "own.toml: .*line 1"),
            ("vendor = 'x'", "nothing called 'vendor'"),
            ("[profile]\nname = 'x'", "double brackets"),
            ("[[profile]]\nvendor = 'x'", "profile 1 has no name"),
            (entry, r"profile 1 \(x\) tolerates nothing"),
            (entry + "tolerate = ['everything']", "'everything' is none of the kinds empty-name, enum-case"),
            (entry + "tolerate = 'null'", "tolerate must be a list"),
            (entry + "vendor = 1", "vendor must be a text"),
            (entry + "versions = ['1.5']\ntolerate = ['null']", "'1.5' is none of the versions 1.6, 2.0.1, 2.1"),
            (entry + "fill = 1", "fill must be a table"),
            (entry + "[profile.spelling.unit]\nC = 1", "spelling.unit.C must be a text"),
            (entry + "tolerate = ['null']\nvendr = 'x'", "nothing called 'vendr'"),
        ):
            with self.subTest(text), self.assertRaisesRegex(QuirksError, told):
                parse(text, "own.toml")


class OverAConnection(unittest.TestCase):
    def connection(self, station: Station = NAMELESS, version: Version = V16) -> Connection:
        return Connection(version, quirks=Quirks(shipped()), station=station)

    def test_the_payload_is_put_right_and_the_frame_kept_as_it_came(self) -> None:
        text = call("1", "StatusNotification", status(connectorId="2", x={"y": 1}))
        received = only(self.connection().receive(text), CallReceived)
        self.assertEqual((received.payload, received.raw, received.fault), (status(connectorId=2), text, None))
        found = [(one.kind, one.path, one.example) for one in received.deviations]
        self.assertEqual(
            sorted(found), [("extra-member", "$", '{"x":{"y":1}}'), ("number-as-text", "$.connectorId", '"2"')]
        )

    def test_a_good_message_is_untouched_and_has_no_deviations(self) -> None:
        received = only(self.connection().receive(call("1", "StatusNotification", STATUS)), CallReceived)
        self.assertEqual((received.payload, received.deviations), (STATUS, ()))

    def test_what_is_not_tolerated_is_refused_with_the_code_of_its_fault(self) -> None:
        stranger = Station("Stranger")
        for station, fields, code in (
            (stranger, {"connectorId": "1"}, "TypeConstraintViolation"),
            (stranger, {"rssi": 1}, "FormationViolation"),
            (stranger, {"status": "available"}, "PropertyConstraintViolation"),
            (stranger, {"info": "i" * 51}, "PropertyConstraintViolation"),
            (NAMELESS, {"connectorId": "one"}, "TypeConstraintViolation"),
            (NAMELESS, {"connectorId": "1.5"}, "TypeConstraintViolation"),
            (NAMELESS, {"connectorId": None}, "OccurenceConstraintViolation"),
            (NAMELESS, {"connectorId": True}, "TypeConstraintViolation"),
            (NAMELESS, {"status": "Plugged"}, "PropertyConstraintViolation"),
            (NAMELESS, {"timestamp": "yesterday"}, "PropertyConstraintViolation"),
        ):
            with self.subTest(fields, station=station):
                events = self.connection(station).receive(call("1", "StatusNotification", status(**fields)))
                self.assertEqual(sent(events)[0][:3], [4, "1", code])

    def test_of_several_deviations_the_one_that_is_not_tolerated_is_told(self) -> None:
        events = self.connection().receive(call("1", "StatusNotification", status(connectorId="1", status="Plugged")))
        (refused,) = of_kind(events, Refused)
        self.assertIn("$.status", refused.description)

    def test_a_boot_notification_is_judged_by_what_it_says_itself_and_holds_from_then_on(self) -> None:
        connection = self.connection(Station())
        boot = {"chargePointVendor": "Schneider Electric", "chargePointModel": "EVlink", "firmwareVersion": "3"}
        serial = {"chargePointSerialNumber": "3" * 26}
        received = only(connection.receive(call("1", "BootNotification", boot | serial)), CallReceived)
        self.assertEqual(received.payload["chargePointSerialNumber"], "3" * 26)
        connection.answer("1", {"status": "Accepted", "currentTime": NOON, "interval": 1})
        events = connection.receive(call("2", "StatusNotification", status(connectorId="1")))
        self.assertEqual(sent(events)[0][2], "TypeConstraintViolation", "it is nameless no more")

    def test_a_session_message_that_stays_broken_comes_repaired_as_far_as_possible_with_its_fault(self) -> None:
        text = call("1", "MeterValues", measured() | {"connectorId": "1", "transactionId": {}})
        received = only(self.connection().receive(text), CallReceived)
        self.assertEqual(received.payload["connectorId"], 1)
        assert received.fault is not None
        self.assertEqual(received.fault.path, "$.transactionId")

    def test_session_messages_are_repaired_without_the_flag_of_a_fault(self) -> None:
        received = only(self.connection(HUAWEI).receive(call("1", "MeterValues", LONE)), CallReceived)
        self.assertEqual((received.payload, received.fault), (measured(), None))

    def test_members_of_the_chargers_own_making_make_no_paths(self) -> None:
        names = [f"n{number}" for number in range(50)]
        hostile = status(**{name: {"unit": "Celcius"} for name in names})
        received = only(self.connection().receive(call("1", "StatusNotification", hostile)), CallReceived)
        self.assertEqual({one.path for one in received.deviations}, {"$", "$..unit"})
        self.assertLessEqual(max(len(one.example) for one in received.deviations), 120)

    def test_a_nested_member_of_2x_is_repaired_in_its_place(self) -> None:
        payload = {
            "timestamp": NOON,
            "connectorStatus": "available",
            "evseId": "1",
            "connectorId": 1,
            "customData": {"vendorId": "x", "unit": 5, "more": None},
        }
        received = only(self.connection(version=V201).receive(call("1", "StatusNotification", payload)), CallReceived)
        self.assertEqual(received.payload, payload | {"connectorStatus": "Available", "evseId": 1})

    def test_without_profiles_nothing_is_tolerated(self) -> None:
        events = Connection(V16).receive(call("1", "StatusNotification", status(rssi=1)))
        self.assertEqual(sent(events)[0][2], "FormationViolation")
