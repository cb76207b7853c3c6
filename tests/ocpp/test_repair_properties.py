"""Whatever is wrong with a payload: repair raises nothing, changes no other object, and ends within the schema."""

from __future__ import annotations

import copy
import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from csms.ocpp import schemas
from csms.ocpp.quirks import Kind, Tolerance
from csms.ocpp.repair import repair
from csms.ocpp.versions import Version
from tests.ocpp.test_properties import plain_json, plain_text, quick

NOON = "2026-06-01T12:00:00Z"
EVERYTHING = Tolerance(
    frozenset(Kind), {"StatusNotification.errorCode": "NoError"}, {"unit": {"Celcius": "Celsius"}}, ()
)
SAMPLED = {"timestamp": NOON, "sampledValue": [{"value": "1", "unit": "Celcius"}, {"value": "2", "phase": "L1"}]}
PAYLOADS: list[tuple[Version, str, dict[str, Any]]] = [
    (Version.V16, "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M", "iccid": "1"}),
    (Version.V16, "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available", "info": "x"}),
    (Version.V16, "MeterValues", {"connectorId": 1, "transactionId": 5, "meterValue": [SAMPLED, SAMPLED]}),
    (
        Version.V201,
        "TransactionEvent",
        {
            "eventType": "Started",
            "timestamp": NOON,
            "triggerReason": "Authorized",
            "seqNo": 0,
            "transactionInfo": {"transactionId": "t", "chargingState": "Charging"},
            "evse": {"id": 1, "connectorId": 1},
            "idToken": {"idToken": "T", "type": "ISO14443"},
            "customData": {"vendorId": "x"},
        },
    ),
    (
        Version.V21,
        "BootNotification",
        {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M", "modem": {"iccid": "1"}}},
    ),
]
odd_words = st.sampled_from(["5", "5.5", 5, 5.5, "available", "x" * 600, "Celcius", None])
# Fresh objects each time: what is put into a payload may be changed in turn.
odd_values: st.SearchStrategy[Any] = plain_json.map(copy.deepcopy) | odd_words | st.builds(dict) | st.builds(list)


def containers(value: Any) -> list[Any]:
    """Every object and list in ``value``."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    inner = [found for member in members for found in containers(member)]
    return [value, *inner] if isinstance(value, dict | list) else inner


@st.composite
def broken(draw: st.DrawFn) -> tuple[Version, str, dict[str, Any]]:
    """A good payload after a few odd changes."""
    version, action, good = draw(st.sampled_from(PAYLOADS))
    payload = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(containers(payload)))
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "add" or not keys:
            value = draw(odd_values)
            if isinstance(place, dict):
                place[draw(plain_text | st.just("unit"))] = value
            else:
                place.append(value)
        elif change == "remove":
            del place[draw(st.sampled_from(keys))]
        else:
            place[draw(st.sampled_from(keys))] = draw(odd_values)
    return version, action, payload


class RepairProperties(unittest.TestCase):
    @quick
    @given(broken())
    def test_a_repaired_payload_keeps_to_its_schema_but_for_long_texts(self, message: tuple[Any, Any, Any]) -> None:
        version, action, payload = message
        before = copy.deepcopy(payload)
        outcome = repair(version, action, payload, EVERYTHING)
        self.assertEqual(payload, before)
        left = schemas.violations(version, action, outcome.payload, 100)
        if outcome.fault is None:
            self.assertLessEqual({violation.keyword for violation in left}, {"maxLength"})
        else:
            self.assertIn(outcome.fault, [violation.fault for violation in left])

    @quick
    @given(broken())
    def test_deviations_are_few_and_short_and_named_by_the_schema(self, message: tuple[Any, Any, Any]) -> None:
        outcome = repair(*message, EVERYTHING)
        self.assertLessEqual(len(outcome.deviations), 40)
        for deviation in outcome.deviations:
            self.assertLessEqual(len(deviation.example), 120)
            self.assertTrue(deviation.path.isascii() and len(deviation.path) < 100, deviation.path)

    @quick
    @given(broken())
    def test_nothing_is_changed_where_nothing_is_tolerated(self, message: tuple[Any, Any, Any]) -> None:
        version, action, payload = message
        outcome = repair(version, action, payload, Tolerance(frozenset(), {}, {}, ()))
        self.assertEqual((outcome.payload, outcome.deviations), (payload, ()))
        self.assertEqual(outcome.fault is None, schemas.check_request(version, action, payload) is None)
