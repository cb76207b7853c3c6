"""What messages of chargers mention, so that it can be fetched for all of them at once.

A guess that costs nothing when it is wrong: what is not found here is looked up when a handler asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from csms.domain.messages import ChargerMessage
from csms.domain.transactions16 import looked_up

_TOKEN_FIELDS = ("idTag", "idToken")
_STARTS = frozenset({"StartTransaction", "StopTransaction"})
_CHARGING = frozenset({"StartTransaction", "TransactionEvent"})
_CONNECTORS = frozenset({"StatusNotification", "ConnectionClosed"})
_BOUNDS = ("Started", "Ended")


class Mentions:
    """The keys in a batch of messages."""

    def __init__(self, messages: Iterable[ChargerMessage]) -> None:
        self.charger_ids: set[int] = set()
        self.with_sessions: set[int] = set()
        self.with_connectors: set[int] = set()
        self.with_status: set[int] = set()
        self.with_bounds: set[int] = set()
        """Chargers with a transaction that begins or ends."""
        self.tokens: set[str] = set()
        self.charging: set[str] = set()
        """Those of the tokens that a session may run on from now on."""
        self.transactions: set[tuple[int, str]] = set()
        self.start_keys: set[tuple[int, str]] = set()
        self.stop_keys: set[tuple[int, str]] = set()
        self.events: set[tuple[int, str, int]] = set()
        self.starts = 0
        for message in messages:
            self._read(message)

    def _read(self, message: ChargerMessage) -> None:
        charger_id, payload = message.charger_id, message.payload
        self.charger_ids.add(charger_id)
        if message.message_type in _CONNECTORS:
            self.with_connectors.add(charger_id)
        if message.message_type == "StatusNotification":
            self.with_status.add(charger_id)
        if message.message_type in _STARTS or payload.get("eventType") in _BOUNDS:
            self.with_bounds.add(charger_id)
        for name in _TOKEN_FIELDS:
            token = _text(payload.get(name), "idToken")
            if token:
                self.tokens.add(token)
                if message.message_type in _CHARGING:
                    self.charging.add(token)
        if message.message_type in _STARTS:
            sought = looked_up(message)
            self.start_keys.add((charger_id, sought.start_key))
            if sought.transaction_id:
                self.transactions.add((charger_id, sought.transaction_id))
            if sought.stop_key:
                self.stop_keys.add((charger_id, sought.stop_key))
        if message.message_type in _STARTS or payload.get("eventType") == "Started":
            self.starts += 1
        info = payload.get("transactionInfo")
        transaction = _text(info if info is not None else payload.get("transactionId"), "transactionId")
        if transaction:
            self.transactions.add((charger_id, transaction))
            seq_no = payload.get("seqNo")
            if type(seq_no) is int:  # true is a bool, which PostgreSQL takes for no number
                self.events.add((charger_id, transaction, seq_no))
        if transaction or message.message_type in _STARTS or "meterValue" in payload:
            self.with_sessions.add(charger_id)


def _text(value: object, field: str) -> str:
    """A string, a number as text, or the ``field`` of an object."""
    if isinstance(value, Mapping):
        found: Any = value.get(field)
        value = found
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
