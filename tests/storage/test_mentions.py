"""What is fetched ahead for a batch."""

from __future__ import annotations

import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from csms.storage.mentions import Mentions
from tests.storage.databases import a_message

FIELDS = ("idTag", "idToken", "transactionId", "transactionInfo", "seqNo", "eventType", "meterValue", "timestamp")
ACTIONS = ("StartTransaction", "StopTransaction", "TransactionEvent", "StatusNotification", "Heartbeat")
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=10,
)


class MentionsTests(unittest.TestCase):
    def test_tokens_and_transactions_of_both_versions(self) -> None:
        event: dict[str, Any] = {
            "transactionInfo": {"transactionId": "tx"},
            "seqNo": 3,
            "idToken": {"idToken": " Card "},
        }
        found = Mentions(
            [
                a_message(1, action="Authorize", idTag="tag"),
                a_message(2, action="StopTransaction", transactionId=17),
                a_message(3, action="TransactionEvent", eventType="Started", **event),
                a_message(4, action="StatusNotification"),
                a_message(5, action="MeterValues", meterValue=[]),
            ]
        )
        self.assertEqual(found.charger_ids, {1, 2, 3, 4, 5})
        self.assertEqual(found.tokens, {"tag", "Card"})
        self.assertLessEqual({(2, "17"), (3, "tx")}, found.transactions)
        self.assertEqual(found.events, {(3, "tx", 3)})
        self.assertEqual((found.with_sessions, found.with_connectors), ({2, 3, 5}, {4}))

    def test_true_is_no_sequence_number(self) -> None:
        event = a_message(1, action="TransactionEvent", transactionInfo={"transactionId": "tx"}, seqNo=True)
        self.assertEqual(Mentions([event]).events, set())

    def test_a_repeated_start_is_looked_for_by_one_key_whatever_its_message_id(self) -> None:
        start = a_message(1, action="StartTransaction", connectorId=1, idTag="tag", meterStart=0, timestamp="odd")
        again = replace(start, message_id="other")
        self.assertEqual(len(Mentions([start, again]).start_keys), 1)

    @given(st.sampled_from(ACTIONS), st.dictionaries(st.sampled_from(FIELDS), json, max_size=8))
    def test_no_payload_is_too_odd(self, action: str, payload: dict[str, object]) -> None:
        self.assertEqual(Mentions([replace(a_message(1, action=action), payload=payload)]).charger_ids, {1})
