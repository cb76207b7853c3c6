"""What a charger has to say, in the words of OCPP 1.6 and of 2.x. Pure: payloads in, payloads out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from csms.ocpp.versions import Version
from csms.simulator.curves import current_a

Payload = dict[str, Any]
VENDOR = "csms"
MODEL = "Virtual 22"
FIRMWARE = "1.0"
_NO_ID = -1
"""What chargers send of a transaction whose start the CSMS refused for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the meter of a connector shows."""

    at: datetime
    register_wh: float
    power_w: float
    soc_percent: float


@dataclass(slots=True, kw_only=True)
class Transaction:
    """One transaction as the charger sees it. ``id`` is the charger's own (2.x) or what the CSMS said (1.6)."""

    evse: int
    id_token: str
    id: str
    remote_start_id: int | None = None
    seq_no: int = 0

    def next_seq_no(self) -> int:
        """The number of the transaction's next event (2.x)."""
        number = self.seq_no
        self.seq_no += 1
        return number


class Dialect(Protocol):
    """The payloads of one version. Each function returns the action and its payload."""

    def boot(self, serial: str, *, reason: str) -> tuple[str, Payload]: ...
    def status(self, evse: int, status: str, at: datetime) -> tuple[str, Payload]: ...
    def authorize(self, id_token: str) -> tuple[str, Payload]: ...
    def accepts(self, answer: Payload) -> bool:
        """Whether an answer that may hold idTagInfo or idTokenInfo lets the driver charge."""
        ...

    def start(self, transaction: Transaction, reading: Reading) -> tuple[str, Payload]: ...
    def started(self, transaction: Transaction, answer: Payload) -> None:
        """Take from the answer to the start what later messages need."""
        ...

    def meter(self, transaction: Transaction, reading: Reading) -> tuple[str, Payload]: ...
    def stop(self, transaction: Transaction, reading: Reading, reason: str) -> tuple[str, Payload]: ...


def dialect_of(version: Version) -> Dialect:
    """The dialect that ``version`` speaks."""
    return Dialect16() if version.is_16 else Dialect2()


def iso(moment: datetime) -> str:
    """ISO 8601 with milliseconds and Z, as most chargers write it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


class Dialect16:
    """OCPP 1.6J edition 2."""

    def boot(self, serial: str, *, reason: str) -> tuple[str, Payload]:
        del reason  # 1.6 has no word for it
        return "BootNotification", {
            "chargePointVendor": VENDOR,
            "chargePointModel": MODEL,
            "chargePointSerialNumber": serial[:25],
            "firmwareVersion": FIRMWARE,
        }

    def status(self, evse: int, status: str, at: datetime) -> tuple[str, Payload]:
        return "StatusNotification", {
            "connectorId": evse,
            "errorCode": "NoError",
            "status": status,
            "timestamp": iso(at),
        }

    def authorize(self, id_token: str) -> tuple[str, Payload]:
        return "Authorize", {"idTag": id_token}

    def accepts(self, answer: Payload) -> bool:
        return bool(answer.get("idTagInfo", {}).get("status") == "Accepted")

    def start(self, transaction: Transaction, reading: Reading) -> tuple[str, Payload]:
        return "StartTransaction", {
            "connectorId": transaction.evse,
            "idTag": transaction.id_token,
            "meterStart": round(reading.register_wh),
            "timestamp": iso(reading.at),
        }

    def started(self, transaction: Transaction, answer: Payload) -> None:
        transaction.id = str(answer["transactionId"])

    def meter(self, transaction: Transaction, reading: Reading) -> tuple[str, Payload]:
        return "MeterValues", {
            "connectorId": transaction.evse,
            "transactionId": int(transaction.id or _NO_ID),
            "meterValue": [{"timestamp": iso(reading.at), "sampledValue": self._samples(reading)}],
        }

    def stop(self, transaction: Transaction, reading: Reading, reason: str) -> tuple[str, Payload]:
        return "StopTransaction", {
            "transactionId": int(transaction.id or _NO_ID),
            "idTag": transaction.id_token,
            "meterStop": round(reading.register_wh),
            "timestamp": iso(reading.at),
            "reason": reason,
        }

    def _samples(self, reading: Reading) -> list[Payload]:
        values = (
            ("Energy.Active.Import.Register", "Wh", f"{reading.register_wh:.0f}"),
            ("Power.Active.Import", "W", f"{reading.power_w:.0f}"),
            ("Current.Import", "A", f"{current_a(reading.power_w):.1f}"),
            ("SoC", "Percent", f"{reading.soc_percent:.0f}"),
        )
        return [
            {"value": value, "measurand": measurand, "unit": unit, "context": "Sample.Periodic"}
            for measurand, unit, value in values
        ]


_STATUS_2 = {
    "Available": "Available",
    "Preparing": "Occupied",
    "Charging": "Occupied",
    "Finishing": "Occupied",
    "Unavailable": "Unavailable",
    "Faulted": "Faulted",
}


class Dialect2:
    """OCPP 2.0.1 and 2.1, where transactions tell of themselves by TransactionEvent."""

    def boot(self, serial: str, *, reason: str) -> tuple[str, Payload]:
        station = {"vendorName": VENDOR, "model": MODEL, "serialNumber": serial[:25], "firmwareVersion": FIRMWARE}
        return "BootNotification", {"reason": reason, "chargingStation": station}

    def status(self, evse: int, status: str, at: datetime) -> tuple[str, Payload]:
        return "StatusNotification", {
            "timestamp": iso(at),
            "connectorStatus": _STATUS_2[status],
            "evseId": evse,
            "connectorId": 1,
        }

    def authorize(self, id_token: str) -> tuple[str, Payload]:
        return "Authorize", {"idToken": self._token(id_token)}

    def accepts(self, answer: Payload) -> bool:
        # Where no decision was asked for, there is none.
        return bool(answer.get("idTokenInfo", {"status": "Accepted"}).get("status") == "Accepted")

    def start(self, transaction: Transaction, reading: Reading) -> tuple[str, Payload]:
        action, payload = self._event(transaction, reading, "Started", "Authorized", "Transaction.Begin", "Charging")
        payload["idToken"] = self._token(transaction.id_token)
        payload["evse"] = {"id": transaction.evse, "connectorId": 1}
        if transaction.remote_start_id is not None:
            payload["transactionInfo"]["remoteStartId"] = transaction.remote_start_id
            payload["triggerReason"] = "RemoteStart"
        return action, payload

    def started(self, transaction: Transaction, answer: Payload) -> None:
        """The id was ours from the beginning."""

    def meter(self, transaction: Transaction, reading: Reading) -> tuple[str, Payload]:
        return self._event(transaction, reading, "Updated", "MeterValuePeriodic", "Sample.Periodic", "Charging")

    def stop(self, transaction: Transaction, reading: Reading, reason: str) -> tuple[str, Payload]:
        trigger = "RemoteStop" if reason == "Remote" else "EVDeparted"
        action, payload = self._event(transaction, reading, "Ended", trigger, "Transaction.End", "Idle")
        payload["transactionInfo"]["stoppedReason"] = reason if reason != "Local" else "EVDisconnected"
        return action, payload

    def _event(
        self, transaction: Transaction, reading: Reading, kind: str, trigger: str, context: str, state: str
    ) -> tuple[str, Payload]:
        return "TransactionEvent", {
            "eventType": kind,
            "timestamp": iso(reading.at),
            "triggerReason": trigger,
            "seqNo": transaction.next_seq_no(),
            "transactionInfo": {"transactionId": transaction.id, "chargingState": state},
            "meterValue": [{"timestamp": iso(reading.at), "sampledValue": self._samples(reading, context)}],
        }

    def _samples(self, reading: Reading, context: str) -> list[Payload]:
        values = (
            ("Energy.Active.Import.Register", "Wh", round(reading.register_wh, 1)),
            ("Power.Active.Import", "W", round(reading.power_w, 1)),
            ("SoC", "Percent", round(reading.soc_percent, 1)),
        )
        return [
            {"value": value, "context": context, "measurand": measurand, "unitOfMeasure": {"unit": unit}}
            for measurand, unit, value in values
        ]

    def _token(self, id_token: str) -> Payload:
        return {"idToken": id_token, "type": "ISO14443"}
