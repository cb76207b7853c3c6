"""Messages that keep to OCPP-J but hold dates and numbers that make no sense, and all pages that may show them."""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Iterator
from typing import Any

from csms.api.resources.registry import OPERATIONS
from tests.integration.raw_peer import RawPeer, frame

DATES = [
    "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "+99999-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00",
    "222222017-10-27T00:00:00Z",
    "1000000",
    "2026-06-01T12:00:00",
    "2026-13-45T99:99:99Z",
    "=cmd|' /C calc'!A0",
    "",
]
NUMBERS: list[Any] = [
    -1,
    0,
    2**31,
    -(2**31) - 1,
    2**53 + 1,
    2**63,
    -(2**63) - 1,
    10**30,
    1.5,
    "7",
    "x",
    None,
    True,
    [1],
]
VALUES = ["-1", "1e15", "1e400", "NaN", "-Infinity", "9" * 400, "", "=1+1", "0x10", "1,5", "\u0000", "\ud800"]
DEVICE_ID = "VALUES"
SESSIONS_LOOKED_AT = 12
_numbers = itertools.count(1)


def say_all(case: Any, port: int) -> int:
    """Everything by chargers of both kinds; every CALL must be answered. How many there were."""
    asked = 0
    for version, messages in (("ocpp1.6", messages_16), ("ocpp2.0.1", messages_2)):
        peer = RawPeer(port)
        peer.open(DEVICE_ID, subprotocol=version)
        for action, payload in messages(peer):
            ask(case, peer, action, payload)
            asked += 1
        peer.close()
    return asked


def ask(case: Any, peer: RawPeer, action: str, payload: Any) -> Any:
    """The answer's payload; None for a CALLERROR, which is an answer, too."""
    number = f"v{next(_numbers)}"
    peer.send(frame(json.dumps([2, number, action, payload])))
    answer = peer.message()
    case.assertIsInstance(answer, list, (action, payload))
    case.assertEqual(answer[1], number, (action, payload))
    if answer[0] == 4:
        case.assertNotIn(action, {"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"}, answer)
        return None
    return answer[2]


def messages_16(peer: RawPeer) -> Iterator[tuple[str, Any]]:
    """Of a 1.6 charger."""
    good = "2026-06-01T12:00:00Z"
    yield "BootNotification", {"chargePointVendor": "=1+1", "chargePointModel": "<img onerror=alert(1)>"}
    for at, number in itertools.zip_longest(DATES, NUMBERS, fillvalue=good):
        yield "StartTransaction", {"connectorId": 1, "idTag": "=TAG", "meterStart": number, "timestamp": at}
        yield "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging", "timestamp": at}
        yield "StopTransaction", {"transactionId": number, "meterStop": number, "timestamp": at}
    for at, value in itertools.zip_longest(DATES, VALUES, fillvalue=good):
        sampled = [{"value": value}, {"value": value, "measurand": "Power.Active.Import", "unit": "kW"}]
        yield "MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": at, "sampledValue": sampled}]}
    for number in NUMBERS:
        yield "MeterValues", {"connectorId": number, "transactionId": number, "meterValue": []}
        yield "StatusNotification", {"connectorId": number, "errorCode": "NoError", "status": "Available"}
        yield "StartTransaction", {"connectorId": number, "idTag": number, "meterStart": 5, "timestamp": good}
    for at in DATES:
        yield "SecurityEventNotification", {"type": "=TamperDetection", "timestamp": at}


def messages_2(peer: RawPeer) -> Iterator[tuple[str, Any]]:
    """Of a 2.0.1 charger."""
    good = "2026-06-01T12:00:00Z"
    yield "BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "=1+1", "model": "\u202e"}}
    for at, number in itertools.zip_longest(DATES, NUMBERS, fillvalue=good):
        for kind in ("Started", "Updated", "Ended"):
            yield (
                "TransactionEvent",
                {
                    "eventType": kind,
                    "timestamp": at,
                    "triggerReason": "Authorized",
                    "seqNo": number,
                    "transactionInfo": {"transactionId": f"t{number}"[:36], "remoteStartId": number},
                    "evse": {"id": number, "connectorId": number},
                    "idToken": {"idToken": "=TAG", "type": "ISO14443"},
                    "meterValue": [{"timestamp": at, "sampledValue": [{"value": number}]}],
                },
            )
        yield "StatusNotification", {"timestamp": at, "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}
        yield "SecurityEventNotification", {"type": "=Tamper", "timestamp": at}
        yield "NotifyEvent", {"generatedAt": at, "seqNo": 0, "eventData": []}


def check_all(case: Any, port: int, headers: dict[str, str]) -> int:
    """Every page of the REST API answers 200; how many sessions there were."""
    sessions = _get(case, port, "/api/v1/sessions?limit=500", headers)["items"]
    some = [session["id"] for session in sessions[:: max(1, len(sessions) // SESSIONS_LOOKED_AT)]]
    for operation in OPERATIONS:
        if operation.method != "GET" or set(operation.variables) - {"deviceId", "sessionId"}:
            continue
        path = operation.template.replace("{deviceId}", DEVICE_ID)
        for number in some if "{sessionId}" in path else [0]:
            _get(case, port, path.replace("{sessionId}", str(number)), headers)
    return len(sessions)


def _get(case: Any, port: int, path: str, headers: dict[str, str]) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    case.assertEqual(response.status, 200, (path, body[:500]))
    if path.endswith(".csv"):
        text = body.decode()
        case.assertNotIn("\r\n=", text)
        case.assertNotIn(",=", text)
        return text
    return json.loads(body)
