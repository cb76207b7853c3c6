"""The table of effects is complete, and no answer of a charger can break one."""

from __future__ import annotations

import json
import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from csms.domain.actions import ACTIONS
from csms.domain.command_effects import REQUESTS, RESULTS
from csms.domain.messages import COMMAND_RESULT, COMMAND_SENT, CONNECTION_CLOSED, CONNECTION_OPENED
from csms.domain.stored import FROM_CHARGER, TO_CHARGER
from csms.ocpp.directions import direction
from csms.ocpp.schemas import actions
from csms.ocpp.versions import Version
from tests.domain.commanding import CommandedStation
from tests.domain.station import NOON, iso

PROFILE = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]},
}
HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "c"}
REQUESTS_16: dict[str, dict[str, Any]] = {
    "CancelReservation": {"reservationId": 1},
    "CertificateSigned": {"certificateChain": "-"},
    "ChangeAvailability": {"connectorId": 1, "type": "Operative"},
    "ChangeConfiguration": {"key": "A", "value": "1"},
    "ClearChargingProfile": {},
    "DeleteCertificate": {"certificateHashData": HASHES},
    "GetCompositeSchedule": {"connectorId": 1, "duration": 60},
    "GetConfiguration": {},
    "GetDiagnostics": {"location": "ftp://files.example/"},
    "GetInstalledCertificateIds": {"certificateType": "ManufacturerRootCertificate"},
    "GetLocalListVersion": {},
    "GetLog": {"requestId": 1, "logType": "SecurityLog", "log": {"remoteLocation": "ftp://files.example/"}},
    "InstallCertificate": {"certificateType": "ManufacturerRootCertificate", "certificate": "-"},
    "RemoteStartTransaction": {"idTag": "CARD", "chargingProfile": PROFILE},
    "ReserveNow": {"connectorId": 1, "expiryDate": iso(NOON), "idTag": "CARD", "reservationId": 1},
    "SendLocalList": {"listVersion": 1, "updateType": "Full"},
    "SetChargingProfile": {"connectorId": 1, "csChargingProfiles": PROFILE},
    "SignedUpdateFirmware": {
        "requestId": 1,
        "firmware": {"location": "-", "retrieveDateTime": iso(NOON), "signingCertificate": "-", "signature": "-"},
    },
    "UpdateFirmware": {"location": "ftp://files.example/", "retrieveDate": iso(NOON)},
}
FIELDS = (
    *("status", "configurationKey", "unknownKey", "key", "value", "readonly", "listVersion", "chargingSchedule"),
    *("chargingSchedulePeriod", "startPeriod", "limit", "scheduleStart", "duration", "certificateHashData"),
    *("hashAlgorithm", "serialNumber", "fileName", "filename"),
)
TEXTS = st.sampled_from(
    ("", "x", "x" * 3000, "1", "-7", "1e999", "\ud800", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59")
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
STATUSES = st.sampled_from(("Accepted", "Rejected", "AcceptedCanceled", "NotFound", "Unknown", "Scheduled"))
VALUES = st.recursive(
    SCALARS | STATUSES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=15,
)


class TheTable(unittest.TestCase):
    def test_every_action_that_1_6_lets_us_send_has_an_effect_or_says_that_it_has_none(self) -> None:
        ours = {action for action in actions(Version.V16) if (way := direction(Version.V16, action)) and way.csms_calls}
        self.assertEqual({action for version, action in RESULTS if version == "1.6"}, ours)

    def test_of_every_action_of_1_6_it_is_said_where_its_effects_are_stored(self) -> None:
        self.assertEqual(set(TO_CHARGER), {action for version, action in RESULTS if version == "1.6"})
        of_gateways = {CONNECTION_OPENED, CONNECTION_CLOSED, COMMAND_SENT, COMMAND_RESULT}
        ours = {action for version, action in ACTIONS if version == "1.6"} - of_gateways
        self.assertEqual(set(FROM_CHARGER), ours)

    def test_only_what_may_be_sent_has_an_effect(self) -> None:
        for version, action in {**RESULTS, **REQUESTS}:
            way = direction(Version(version), action)
            assert way is not None
            self.assertTrue(way.csms_calls, action)

    @given(st.sampled_from(sorted(REQUESTS_16)), st.dictionaries(st.sampled_from(FIELDS), STATUSES | VALUES))
    def test_no_answer_of_a_charger_breaks_an_effect(self, action: str, response: dict[str, Any]) -> None:
        station = CommandedStation()
        station.start()
        command = station.ask(action, REQUESTS_16[action])
        station.answer_anyhow(command, response)
        station.answer_anyhow(command, json.loads(json.dumps(response)))
