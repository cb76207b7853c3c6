"""Whatever a charger sends: no handler raises, every answer fits its schema, and what is kept can be stored."""

from __future__ import annotations

import copy
import json
import math
import unittest
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csms.domain.actions import ACTIONS, AnsweredBy, answered_by, handle
from csms.domain.handling import Handled, Policy
from csms.domain.messages import ChargerMessage, encode_notification
from csms.domain.payloads import MAX_INT, MAX_MAGNITUDE
from csms.ocpp.errors import ErrorCode
from csms.ocpp.schemas import check_response
from csms.ocpp.versions import Version
from tests.domain.station import FIRST_CONNECTION, NOON, Station, card, register_2
from tests.examples import examples

WORDS = st.sampled_from(
    [
        *("", "1", "-1", "0", "NaN", "1e999", "CARD", "Started", "Ended", "SignedData", "kWh", "L1", "\u202e"),
        *("Transaction.Begin", "Energy.Active.Import.Register", "x" * 5000),
        *("2026-06-01T12:00:00Z", "1970-01-01T00:00:00Z", "222222017-10-27T00:00:00Z"),
    ]
)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-1, 3)
LEAVES = (
    st.none()
    | st.booleans()
    | NUMBERS
    | WORDS
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=10
)

METER_16 = [
    {
        "timestamp": "2026-06-01T12:00:00Z",
        "sampledValue": [
            {"value": "1.5", "unit": "kWh", "context": "Transaction.Begin", "phase": "L1"},
            {"value": "7", "measurand": "Power.Active.Import", "format": "Raw", "location": "Outlet"},
        ],
    }
]
METER_2 = [register_2(NOON, 1500.0)]
METER_2[0]["sampledValue"][0]["unitOfMeasure"] = {"unit": "Wh", "multiplier": 0}
METER_2[0]["sampledValue"][0]["signedMeterValue"] = {"signedMeterData": "AA", "encodingMethod": "OCMF"}
EVENT = {
    "eventType": "Started",
    "timestamp": "2026-06-01T12:00:00Z",
    "triggerReason": "Authorized",
    "seqNo": 0,
    "offline": False,
    "transactionInfo": {
        "transactionId": "tx-1",
        "chargingState": "Charging",
        "stoppedReason": "Local",
        "remoteStartId": 7,
    },
    "evse": {"id": 1, "connectorId": 1},
    "idToken": card(),
    "meterValue": METER_2,
}
CHARGING_STATION = {"vendorName": "V", "model": "M", "modem": {"iccid": "1"}}
COMPONENT = {
    "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
    "variable": {"name": "AvailabilityState"},
}
GOOD: dict[str, list[dict[str, Any]]] = {
    "Authorize": [{"idTag": "CARD"}, {"idToken": card(), "certificate": "PEM"}],
    "BootNotification": [
        {"chargePointVendor": "V", "chargePointModel": "M"},
        {"reason": "PowerUp", "chargingStation": CHARGING_STATION},
    ],
    "ConnectionClosed": [{"code": 1000, "reason": "bye"}],
    "MeterValues": [
        {"connectorId": 1, "transactionId": 1, "meterValue": METER_16},
        {"evseId": 1, "meterValue": METER_2},
    ],
    "NotifyEvent": [{"eventData": [{"actualValue": "Occupied", "trigger": "Delta", **COMPONENT}]}],
    "NotifyReport": [
        {"requestId": 1, "seqNo": 0, "reportData": [{"variableAttribute": [{"value": "1"}], **COMPONENT}]}
    ],
    "SecurityEventNotification": [{"type": "TamperDetectionActivated", "timestamp": "2026-06-01T12:00:00Z"}],
    "StartTransaction": [{"connectorId": 1, "idTag": "CARD", "meterStart": 1000, "timestamp": "2026-06-01T12:00:00Z"}],
    "StatusNotification": [
        {"connectorId": 1, "errorCode": "OtherError", "status": "Faulted", "timestamp": "2026-06-01T12:00:00Z"},
        {"evseId": 1, "connectorId": 1, "connectorStatus": "Occupied", "timestamp": "2026-06-01T12:00:00Z"},
    ],
    "StopTransaction": [
        {"transactionId": 1, "meterStop": 2000, "timestamp": "2026-06-01T12:00:00Z", "transactionData": METER_16}
    ],
    "TransactionEvent": [
        EVENT,
        EVENT | {"eventType": "Ended", "seqNo": 2},
        EVENT | {"eventType": "Updated", "seqNo": 1},
    ],
}
STATUS = {"status": "Idle", "requestId": 1}


@st.composite
def bent(draw: st.DrawFn, action: str) -> dict[str, Any]:
    """A good payload of ``action`` in which some values were replaced by anything; or anything at all."""
    payload: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(GOOD.get(action, [STATUS]))))
    for _ in range(draw(st.integers(0, 4))):
        place: Any = payload
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.booleans()):
                place = place[key]
                continue
            if isinstance(place, dict) and draw(st.integers(0, 3)) == 0:
                del place[key]
            else:
                place[key] = draw(VALUES)
            break
    return payload


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Version, list[tuple[str, dict[str, Any]]]]:
    version = draw(st.sampled_from(list(Version)))
    names = sorted(action for of, action in ACTIONS if of == version)
    busy = [name for name in names if name in GOOD]
    said = []
    for _ in range(draw(st.integers(1, 6))):
        action = draw(st.sampled_from(busy) | st.sampled_from(names))
        said.append((action, draw(bent(action))))
    return version, said


class HostileChargers(unittest.TestCase):
    @settings(
        max_examples=examples(300),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(conversations(), st.booleans())
    def test_no_conversation_breaks_a_handler_or_leaves_something_that_cannot_be_stored(
        self, conversation: tuple[Version, list[tuple[str, dict[str, Any]]]], accepting: bool
    ) -> None:
        version, said = conversation
        station = Station(version, policy=Policy(accept_unknown_tokens=accepting))
        station.know("CARD", max_sessions=1, group="G")
        for number, (action, payload) in enumerate(said):
            message = ChargerMessage(
                device_id="CP1",
                charger_id=station.charger.id,
                message_type=action,
                payload=payload,
                timestamp=NOON,
                raw_data="",
                message_id=f"{number:012x}-{number:012x}",
                connection_id=FIRST_CONNECTION,
                ocpp_version=version.value,
                gateway="gw1",
                fault="$: bent",
            )
            handled = handle(message, station.unit.as_unit_of_work(), station.policy)
            self._check_answer(version, action, payload, handled)
        self._check_records(station)

    def _check_answer(self, version: Version, action: str, payload: dict[str, Any], handled: Handled) -> None:
        if answered_by(version, action, payload) is AnsweredBy.WORKER:
            if handled.error is None:
                self.assertIsNone(check_response(version, action, handled.answer))
            else:
                self.assertIs(handled.error, ErrorCode.NOT_SUPPORTED)
        for notification in handled.notifications:
            body = json.loads(encode_notification(notification))
            self.assertEqual(body["type"], notification.type)
            self.assertLess(len(json.dumps(body)), 10_000)

    def _check_records(self, station: Station) -> None:
        for session in station.sessions:
            self.assertTrue(math.isfinite(session.energy_wh))
            self.assertGreaterEqual(session.energy_wh, 0)
            for meter in (session.meter_start_wh, session.meter_stop_wh, session.meter_last_wh, session.power_w):
                self.assertTrue(meter is None or abs(meter) <= 3 * MAX_MAGNITUDE)
            for number in (session.evse_id, session.connector_id, session.remote_start_id, session.reservation_id):
                self.assertTrue(number is None or abs(number) <= MAX_INT)
            for text in (session.id_token, session.stop_id_token, session.transaction_id or "", session.stop_reason):
                self.assertLessEqual(len(text), 255)
            self.assertTrue(session.stopped_at is None or session.stopped_at >= session.started_at)
        for sample in station.samples:
            self.assertTrue(sample.value is None or abs(sample.value) <= MAX_MAGNITUDE)
            self.assertLessEqual(len(sample.measurand), 64)
        for connector in station.unit.chargers.places.values():
            self.assertLessEqual(max(connector.evse_id, connector.connector_id), 999)
