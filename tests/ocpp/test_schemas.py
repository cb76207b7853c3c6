"""Payloads against the schemas of their version."""

from __future__ import annotations

import subprocess
import sys
import unittest
from typing import Any

from csms.ocpp import schemas
from csms.ocpp.errors import ErrorCode
from csms.ocpp.schemas import Fault
from csms.ocpp.versions import Version

IN_2X = (Version.V201, Version.V21)


def meter_values(**changes: Any) -> dict[str, Any]:
    """A MeterValues of 1.6 with one sampled value; ``changes`` are made to that one."""
    sampled = {"value": "1.5", "measurand": "Voltage", "unit": "V"} | changes
    return {
        "connectorId": 1,
        "transactionId": 7,
        "meterValue": [{"timestamp": "2024-01-01T00:00:00Z", "sampledValue": [sampled]}],
    }


def profile_16(limit: float) -> dict[str, Any]:
    """A SetChargingProfile of 1.6 with one period."""
    return {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
            },
        },
    }


class SchemaTests(unittest.TestCase):
    def assert_fault(self, fault: Fault | None, code: ErrorCode, path: str) -> Fault:
        assert fault is not None
        self.assertIs(fault.code, code)
        self.assertEqual(fault.path, path)
        return fault

    def check_16(self, payload: object) -> Fault | None:
        return schemas.check_request(Version.V16, "MeterValues", payload)

    def test_all_schemas_of_all_versions_compile(self) -> None:
        for version, number in ((Version.V16, 39), (Version.V201, 64), (Version.V21, 91)):
            self.assertEqual(len(schemas.actions(version)), number)
            for action in schemas.actions(version):
                schemas.check_request(version, action, {})
            for action in schemas.actions(version) - {"NotifyPeriodicEventStream"}:
                schemas.check_response(version, action, {})

    def test_a_right_payload_has_no_fault(self) -> None:
        self.assertIsNone(self.check_16(meter_values()))
        self.assertIsNone(schemas.check_response(Version.V16, "MeterValues", {}))

    def test_an_unknown_action_is_a_key_error(self) -> None:
        for action in ("Nonsense", "../schemas/Heartbeat", "HeartbeatResponse", "", "MeterValuesRequest"):
            for check in (schemas.check_request, schemas.check_response):
                with self.assertRaises(KeyError):
                    check(Version.V201, action, {})

    def test_a_wrong_type_names_the_path(self) -> None:
        fault = self.assert_fault(
            self.check_16(meter_values(value=1.5)),
            ErrorCode.TYPE_VIOLATION,
            "$.meterValue[0].sampledValue[0].value",
        )
        self.assertEqual(str(fault), '$.meterValue[0].sampledValue[0].value: the value is not of type "string"')

    def test_a_missing_member_violates_occurrence(self) -> None:
        fault = self.assert_fault(
            self.check_16({"connectorId": 1, "meterValue": []}), ErrorCode.OCCURRENCE_VIOLATION, "$.meterValue"
        )
        self.assertIn("less than 1 item", fault.message)
        payload = meter_values()
        del payload["connectorId"]
        fault = self.assert_fault(self.check_16(payload), ErrorCode.OCCURRENCE_VIOLATION, "$")
        self.assertIn("connectorId", fault.message)

    def test_a_value_outside_its_list_or_length_violates_a_property(self) -> None:
        self.assert_fault(
            self.check_16(meter_values(unit="furlong")),
            ErrorCode.PROPERTY_VIOLATION,
            "$.meterValue[0].sampledValue[0].unit",
        )
        authorize = {"idTag": "x" * 21}
        self.assert_fault(
            schemas.check_request(Version.V16, "Authorize", authorize), ErrorCode.PROPERTY_VIOLATION, "$.idTag"
        )

    def test_an_additional_member_and_a_payload_that_is_no_object_break_the_structure(self) -> None:
        for version, code in (
            (Version.V16, ErrorCode.FORMAT_VIOLATION),
            (Version.V201, ErrorCode.PROTOCOL_ERROR),
            (Version.V21, ErrorCode.PROTOCOL_ERROR),
        ):
            self.assert_fault(schemas.check_request(version, "Heartbeat", {"extra": 1}), code, "$")
            no_objects: tuple[object, ...] = ([], "x", None, 5)
            for payload in no_objects:
                self.assert_fault(schemas.check_request(version, "Heartbeat", payload), code, "$")

    def test_texts_of_a_charger_are_not_echoed_at_length(self) -> None:
        long = "y" * 60_000
        for payload in (meter_values(unit=long), meter_values(**{long: 1}), {long: {long: long}}, long):
            fault = self.check_16(payload)
            assert fault is not None
            self.assertLessEqual(len(str(fault)), 402)
        self.assertNotIn("yyy", str(self.check_16(meter_values(unit=long))))

    def test_multiples_of_a_tenth_are_exact(self) -> None:
        for tenths in range(2_000):
            self.assertIsNone(schemas.check_request(Version.V16, "SetChargingProfile", profile_16(tenths / 10)), tenths)
        self.assert_fault(
            schemas.check_request(Version.V16, "SetChargingProfile", profile_16(16.15)),
            ErrorCode.PROPERTY_VIOLATION,
            "$.csChargingProfiles.chargingSchedule.chargingSchedulePeriod[0].limit",
        )

    def test_times_are_read_leniently_but_must_be_times(self) -> None:
        payload: dict[str, Any] = {}
        for version in IN_2X:
            for time in ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00", "2024-01-01T00:00:00.123+01:00"):
                payload = {"timestamp": time, "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
                self.assertIsNone(schemas.check_request(version, "StatusNotification", payload))
        payload["timestamp"] = "222222017-10-27T19:10:11Z"
        self.assert_fault(
            schemas.check_request(Version.V201, "StatusNotification", payload),
            ErrorCode.PROPERTY_VIOLATION,
            "$.timestamp",
        )

    def test_responses_are_checked_by_their_own_schema(self) -> None:
        boot = {"status": "Accepted", "currentTime": "2024-01-01T00:00:00Z", "interval": 300}
        for version in Version:
            self.assertIsNone(schemas.check_response(version, "BootNotification", boot))
            self.assert_fault(
                schemas.check_response(version, "BootNotification", boot | {"status": "Perhaps"}),
                ErrorCode.PROPERTY_VIOLATION,
                "$.status",
            )

    def test_a_payload_of_ours_that_is_no_json_is_a_fault(self) -> None:
        fault = schemas.check_response(Version.V16, "Heartbeat", {"currentTime": object()})
        self.assert_fault(fault, ErrorCode.FORMAT_VIOLATION, "$")

    def test_loading_schemas_imports_no_event_loop(self) -> None:
        code = (
            "import sys; from csms.ocpp import connection, schemas; from csms.ocpp.versions import Version;"
            "[schemas.check_request(version, 'Heartbeat', {}) for version in Version];"
            "found = {'asyncio', 'twisted', 'autobahn', 'pika', 'txamqp', 'sqlalchemy'} & set(sys.modules);"
            "sys.exit(f'imported: {found}' if found else 0)"
        )
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
