"""Bodies that no csms would publish, for every queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

HUGE = 10**25
NO_JSON = {
    "nothing": b"",
    "no JSON": b"nonsense",
    "bytes": bytes(range(256)),
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "an array": b"[]",
    "an empty object": b"{}",
    "null": b"null",
    "a deep object": b'{"a":' * 100_000 + b"}" * 100_000,
    "a deep array": b'{"payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of 5000 digits": b'{"chargerId":' + b"9" * 5000 + b"}",
    "NaN": b'{"chargerId":NaN}',
    "1e999": b'{"chargerId":1e999}',
    "a lone surrogate": b'{"deviceId":"\\ud800"}',
    "a megabyte": b'{"deviceId":"' + b"x" * 1_000_000 + b'"}',
}

_TEXTS = {"NUL": "\0", "very long": "x" * 100_000, "empty": "", "a formula": '=cmd|" /C calc"!A0', "bidi": "\u202e"}
_NUMBERS = {"huge": HUGE, "negative": -1, "zero": 0, "2^63": 2**63, "a text": "1", "true": True, "null": None}
_TIMES = {
    "without zone": "2026-06-01T12:00:00",
    "year 1": "0001-01-01T00:00:00+14:00",
    "year 9999": "9999-12-31T23:59:59-14:00",
    "absurd": "222222017-10-27T00:00:00Z",
    "a number": 1,
}


def charger_messages(device_id: str, charger_id: int, gateway: str) -> Iterator[tuple[str, bytes]]:
    """Name and body of messages for the shards that are almost right."""
    good: dict[str, Any] = {
        "deviceId": device_id,
        "chargerId": charger_id,
        "messageType": "StatusNotification",
        "payload": {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
        "timestamp": "2026-06-01T12:00:00Z",
        "rawData": "[]",
        "messageId": "hostile",
        "uniqueId": "1",
        "connectionId": "c",
        "ocppVersion": "1.6",
        "gateway": gateway,
    }
    yield from _bent(good, texts=[name for name in good if isinstance(good[name], str) and name != "timestamp"])
    for version in ("1.6", "2.1"):
        for action in ("StartTransaction", "TransactionEvent", "MeterValues", "BootNotification"):
            for name, payload in _payloads():
                body = good | {"messageType": action, "ocppVersion": version, "payload": payload}
                yield f"{version} {action}: {name}", _json(body)
    for kind in ("ConnectionOpened", "ConnectionClosed", "GatewayStarted", "CommandSent", "CommandResult", "\0"):
        for name, payload in _payloads():
            yield f"{kind}: {name}", _json(good | {"messageType": kind, "payload": payload})


def notifications(device_id: str, charger_id: int, session_id: int) -> Iterator[tuple[str, bytes]]:
    """Name and body of notifications that are almost right."""
    good: dict[str, Any] = {
        "type": "charging.stopped",
        "chargerId": charger_id,
        "deviceId": device_id,
        "timestamp": "2026-06-01T12:00:00Z",
        "eventId": "hostile",
        "sessionId": session_id,
        "energyWh": 1,
        "stoppedAt": "2026-06-01T12:00:00Z",
    }
    for kind in ("charging.started", "charging.stopped", "meter.values.updated"):
        body = good | {"type": kind, "startedAt": good["stoppedAt"], "sampledAt": good["stoppedAt"]}
        yield from ((f"{kind}: {name}", bent) for name, bent in _bent(body, texts=["type", "deviceId", "eventId"]))
    for member in ("energyWh", "sessionId"):
        for name, number in (_NUMBERS | {"1e308": 1e308, "a list": [1], "an object": {"a": 1}}).items():
            yield f"{member}: {name}", _json(good | {member: number})


def _bent(good: dict[str, Any], *, texts: list[str]) -> Iterator[tuple[str, bytes]]:
    for member in texts:
        for name, text in _TEXTS.items():
            yield f"{member}: {name}", _json(good | {member: text})
        yield f"{member}: a number", _json(good | {member: 1})
    for member in (member for member in good if member.endswith("Id") and isinstance(good[member], int)):
        for name, number in _NUMBERS.items():
            yield f"{member}: {name}", _json(good | {member: number})
    for member in (member for member in good if member.endswith("At") or member == "timestamp"):
        for name, moment in _TIMES.items():
            yield f"{member}: {name}", _json(good | {member: moment})
    for member in good:
        yield f"{member}: left out", _json({name: value for name, value in good.items() if name != member})


def _payloads() -> Iterator[tuple[str, object]]:
    yield "an array", []
    yield "empty", {}
    yield "a huge number", {"connectorId": HUGE, "meterStart": HUGE, "transactionInfo": {"transactionId": HUGE}}
    yield "NUL", {"idTag": "\0", "connectionId": "\0", "status": "\0", "commandId": "\0", "reason": "\0"}
    members = ("connectorId", "meterValue", "transactionInfo", "commandId", "outcome")
    yield "texts", dict.fromkeys(members, "x" * 5000)
    yield "lists", {member: [[{}]] for member in members}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
