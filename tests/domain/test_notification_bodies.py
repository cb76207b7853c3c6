"""Notifications as JSON: what one says comes back, and nothing else is taken for one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial import unittest

from csms.domain.messages import BadMessage, Notification, decode_notification, encode_notification

FIELDS: dict[str, Any] = {
    "type": "charging.started",
    "chargerId": 7,
    "deviceId": "CP-1",
    "timestamp": "2026-11-24T10:00:00.25Z",
    "eventId": "01",
}
# Without NUL, which gateways let through nowhere.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
simple = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts


class NotificationBodyTests(unittest.TestCase):
    @given(
        st.datetimes(timezones=st.just(UTC)),
        st.dictionaries(texts.filter(lambda name: name not in FIELDS), simple, max_size=4),
    )
    def test_what_was_said_comes_back(self, moment: datetime, data: dict[str, Any]) -> None:
        told = Notification(
            type="error.occurred", charger_id=1, device_id="é", timestamp=moment, event_id="e", data=data
        )
        self.assertEqual(decode_notification(encode_notification(told)), told)

    def test_a_zone_other_than_utc_is_heeded(self) -> None:
        body = json.dumps(FIELDS | {"timestamp": "2026-11-24T12:00:00+02:00"}).encode()
        self.assertEqual(decode_notification(body).timestamp, datetime(2026, 11, 24, 10, tzinfo=UTC))

    def test_every_common_field_must_be_there_and_of_its_type(self) -> None:
        self.assertEqual(decode_notification(json.dumps(FIELDS).encode()).charger_id, 7)
        for name in FIELDS:
            without = {key: value for key, value in FIELDS.items() if key != name}
            with self.assertRaisesRegex(BadMessage, name):
                decode_notification(json.dumps(without).encode())
            wrongs: tuple[object, ...] = (None, True, [], {}, 1.5)
            for wrong in wrongs:
                with self.assertRaises(BadMessage):
                    decode_notification(json.dumps(FIELDS | {name: wrong}).encode())

    def test_a_timestamp_has_a_zone_and_is_one(self) -> None:
        for wrong in ("2026-11-24T10:00:00", "yesterday", ""):
            with self.assertRaises(BadMessage):
                decode_notification(json.dumps(FIELDS | {"timestamp": wrong}).encode())

    def test_a_nul_is_refused_in_texts_and_in_names(self) -> None:
        for extra in ({"note": "a\0"}, {"\0": 1}):
            with self.assertRaisesRegex(BadMessage, "NUL"):
                decode_notification(json.dumps(FIELDS | extra).encode())

    @given(st.binary(max_size=60) | st.recursive(simple, st.lists).map(lambda value: json.dumps(value).encode()))
    def test_other_bodies_are_bad_messages(self, body: bytes) -> None:
        with self.assertRaises(BadMessage):
            decode_notification(body)
