"""Batches of messages as chargers send them, handled as the OCPP worker does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from csms.domain.actions import handle
from csms.domain.handling import Policy
from csms.domain.messages import ChargerMessage, Notification
from csms.domain.model import Charger, IdToken
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import NOW, an_entry

POLICY = Policy(accept_unknown_tokens=True)
SHARD = 0


def prepare(uow: SqlUnitOfWork, count: int) -> tuple[list[int], int]:
    """``count`` chargers with two connectors and a card each; their ids, and the epoch of the shard."""
    ids = [uow.chargers.add(Charger(device_id=f"CP-{number}")).id for number in range(count)]
    for number, charger_id in enumerate(ids):
        uow.id_tokens.add(IdToken(token=f"CARD{number}", max_sessions=1))
        for connector in (0, 1, 2):
            uow.chargers.connector(charger_id, connector, connector).status = "Available"
    return ids, uow.shards.take(SHARD)


def handled(uow: SqlUnitOfWork, messages: Sequence[ChargerMessage], epoch: int) -> int:
    """Let ``messages`` have their effects; returns how many notifications they had."""
    uow.shards.fence({SHARD: epoch})
    uow.preload(messages)
    known = uow.log.answered(messages)
    notifications: list[Notification] = []
    entries = []
    for message in messages:
        if message.message_id in known:
            continue
        result = handle(message, uow, POLICY)
        notifications += result.notifications
        answer = "" if result.answer is None else msgspec.json.encode(result.answer).decode()
        entries.append(an_entry(message, answer))
    uow.log.append(entries)
    uow.outbox.add(notifications)
    return len(notifications)


class Fleet:
    """Makes messages of chargers: each call is a round in which every charger sends one message of the kind."""

    def __init__(self, charger_ids: Sequence[int]) -> None:
        self._ids = charger_ids
        self._number = 0

    def mixed(self, transactions: Mapping[int, str]) -> list[ChargerMessage]:
        """One message of each charger, of all kinds in turn. ``transactions``: what runs at the chargers."""
        return [self._one(index, int(transactions[charger_id])) for index, charger_id in enumerate(self._ids)]

    def _one(self, index: int, transaction_id: int) -> ChargerMessage:
        makers: list[Callable[[], ChargerMessage]] = [
            lambda: self.status(index),
            lambda: self.start(index),
            lambda: self.meter_16(index, transaction_id),
            lambda: self.stop(index, transaction_id),
            lambda: self.event(index, "Started", 0, f"tx-{index}-{self._number}"),
            lambda: self.authorize(index),
        ]
        return makers[index % len(makers)]()

    def status(self, index: int) -> ChargerMessage:
        payload = {"connectorId": 1, "errorCode": "NoError", "status": "Charging" if self._number % 2 else "Available"}
        return self._message(index, "StatusNotification", payload)

    def authorize(self, index: int) -> ChargerMessage:
        return self._message(index, "Authorize", {"idTag": f"card{index}"})

    def start(self, index: int) -> ChargerMessage:
        payload = {"connectorId": 1, "idTag": f"card{index}", "meterStart": self._number, "timestamp": self._time()}
        return self._message(index, "StartTransaction", payload)

    def stop(self, index: int, transaction_id: int) -> ChargerMessage:
        payload = {"transactionId": transaction_id, "meterStop": self._number, "timestamp": self._time()}
        return self._message(index, "StopTransaction", payload)

    def meter_16(self, index: int, transaction_id: int) -> ChargerMessage:
        sampled = [
            {"value": str(self._number), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": "11000", "measurand": "Power.Active.Import", "unit": "W"},
        ]
        payload: dict[str, Any] = {
            "connectorId": 1,
            "transactionId": transaction_id,
            "meterValue": [{"timestamp": self._time(), "sampledValue": sampled}],
        }
        return self._message(index, "MeterValues", payload)

    def event(self, index: int, kind: str, seq_no: int, transaction_id: str) -> ChargerMessage:
        payload = {
            "eventType": kind,
            "timestamp": self._time(),
            "triggerReason": "Authorized",
            "seqNo": seq_no,
            "transactionInfo": {"transactionId": transaction_id},
            "evse": {"id": 2, "connectorId": 1},
            "idToken": {"idToken": f"card{index}", "type": "ISO14443"},
            "meterValue": [
                {"timestamp": self._time(), "sampledValue": [{"value": 10.0, "measurand": "Power.Active.Import"}]}
            ],
        }
        return self._message(index, "TransactionEvent", payload, version="2.0.1")

    def _time(self) -> str:
        return (NOW + timedelta(milliseconds=self._number)).isoformat()

    def _message(self, index: int, action: str, payload: dict[str, Any], *, version: str = "1.6") -> ChargerMessage:
        self._number += 1
        return ChargerMessage(
            device_id=f"CP-{index}",
            charger_id=self._ids[index],
            message_type=action,
            payload=payload,
            timestamp=NOW + timedelta(milliseconds=self._number),
            raw_data=msgspec.json.encode([2, str(self._number), action, payload]).decode(),
            message_id=f"{self._number:012x}-{index:012x}",
            unique_id=str(self._number),
            connection_id=f"{index:012x}-000000000000",
            ocpp_version=version,
            gateway="gateway-1",
        )
