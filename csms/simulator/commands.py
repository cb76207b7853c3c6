"""How a virtual charger answers the commands of the CSMS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from csms.ocpp.versions import Version
from csms.simulator.connector import VirtualConnector
from csms.simulator.dialects import FIRMWARE, MODEL, VENDOR, iso

Payload = dict[str, Any]
Commands = Mapping[str, Callable[[Payload], Payload]]
_SOON_S = 0.2
"""Effects come after the answer, as with a real charger."""

_CONFIGURATION = {
    "HeartbeatInterval": ("300", False),
    "MeterValueSampleInterval": ("10", False),
    "NumberOfConnectors": ("2", True),
    "SupportedFeatureProfiles": ("Core,RemoteTrigger", True),
}


class Charger(Protocol):
    """What commands do to a charger."""

    @property
    def connectors(self) -> Sequence[VirtualConnector]: ...
    def now(self) -> Any: ...
    def later(self, seconds: float, task: Callable[[], object]) -> None: ...
    def reset(self, reason: str = ...) -> None: ...
    def tell(self, action: str, payload: Payload) -> None: ...
    def boot_message(self) -> tuple[str, Payload]: ...


def commands_of(version: Version, charger: Charger) -> Commands:
    """Action -> function, for the version that the charger speaks."""
    return _Commands16(charger).table() if version.is_16 else _Commands2(charger).table()


class _Common:
    """What the versions share, apart from the words."""

    def __init__(self, charger: Charger) -> None:
        self._charger = charger

    def _start(self, evse: int | None, id_token: str, remote_start_id: int | None = None) -> bool:
        for connector in self._charger.connectors:
            if evse in (None, connector.evse) and connector.free:
                self._charger.later(_SOON_S, partial(connector.remote_start, id_token, remote_start_id))
                return True
        return False

    def _stop(self, transaction_id: str) -> bool:
        for connector in self._charger.connectors:
            if connector.transaction is not None and connector.transaction.id == transaction_id:
                self._charger.later(_SOON_S, partial(connector.stop, "Remote"))
                return True
        return False

    def _change_availability(self, evse: int, operative: bool) -> str:
        chosen = [one for one in self._charger.connectors if evse in (0, one.evse)]
        if not chosen:
            return "Rejected"
        busy = any(one.transaction is not None for one in chosen)
        for connector in chosen:
            self._charger.later(_SOON_S, partial(connector.set_operative, operative))
        return "Scheduled" if busy else "Accepted"

    def _trigger(self, what: str, evse: int | None) -> str:
        if what == "BootNotification":
            self._charger.later(_SOON_S, lambda: self._charger.tell(*self._charger.boot_message()))
        elif what == "Heartbeat":
            self._charger.later(_SOON_S, lambda: self._charger.tell("Heartbeat", {}))
        elif what == "StatusNotification":
            for connector in self._charger.connectors:
                if evse in (None, 0, connector.evse):
                    self._charger.later(_SOON_S, partial(self._tell_status, connector))
        else:
            return "NotImplemented"
        return "Accepted"

    def _tell_status(self, connector: VirtualConnector) -> None:
        self._charger.tell(*connector.status_message())

    def _has(self, evse: int) -> bool:
        return any(one.evse == evse for one in self._charger.connectors)


class _Commands16(_Common):
    def __init__(self, charger: Charger) -> None:
        super().__init__(charger)
        self._configuration = dict(_CONFIGURATION)

    def table(self) -> Commands:
        return {
            "RemoteStartTransaction": self._remote_start,
            "RemoteStopTransaction": lambda p: _accepted(self._stop(str(p["transactionId"]))),
            "Reset": self._reset,
            "UnlockConnector": lambda p: {"status": "Unlocked" if self._has(p["connectorId"]) else "NotSupported"},
            "ChangeAvailability": lambda p: {
                "status": self._change_availability(p["connectorId"], p["type"] == "Operative")
            },
            "TriggerMessage": lambda p: {"status": self._trigger(p["requestedMessage"], p.get("connectorId"))},
            "ClearCache": lambda _: {"status": "Accepted"},
            "DataTransfer": lambda _: {"status": "UnknownVendorId"},
            "GetConfiguration": self._get_configuration,
            "ChangeConfiguration": self._change_configuration,
        }

    def _remote_start(self, payload: Payload) -> Payload:
        return _accepted(self._start(payload.get("connectorId"), payload["idTag"]))

    def _reset(self, payload: Payload) -> Payload:
        if payload["type"] == "Hard":
            for connector in self._charger.connectors:
                connector.stop("HardReset")
        self._charger.later(_SOON_S, self._charger.reset)
        return {"status": "Accepted"}

    def _get_configuration(self, payload: Payload) -> Payload:
        wanted = payload.get("key") or list(self._configuration)
        known = [
            {"key": key, "readonly": self._configuration[key][1], "value": self._configuration[key][0]}
            for key in wanted
            if key in self._configuration
        ]
        return {"configurationKey": known, "unknownKey": [key for key in wanted if key not in self._configuration]}

    def _change_configuration(self, payload: Payload) -> Payload:
        key = payload["key"]
        if key not in self._configuration:
            return {"status": "NotSupported"}
        if self._configuration[key][1]:
            return {"status": "Rejected"}
        self._configuration[key] = (payload["value"], False)
        return {"status": "Accepted"}


class _Commands2(_Common):
    def __init__(self, charger: Charger) -> None:
        super().__init__(charger)
        self._variables = {
            ("ChargingStation", "VendorName"): (VENDOR, "ReadOnly"),
            ("ChargingStation", "Model"): (MODEL, "ReadOnly"),
            ("ChargingStation", "FirmwareVersion"): (FIRMWARE, "ReadOnly"),
            ("OCPPCommCtrlr", "HeartbeatInterval"): ("300", "ReadWrite"),
            ("SampledDataCtrlr", "TxUpdatedInterval"): ("10", "ReadWrite"),
        }

    def table(self) -> Commands:
        return {
            "RequestStartTransaction": self._request_start,
            "RequestStopTransaction": lambda p: _accepted(self._stop(p["transactionId"])),
            "Reset": self._reset,
            "UnlockConnector": lambda p: {"status": "Unlocked" if self._has(p["evseId"]) else "UnknownConnector"},
            "ChangeAvailability": self._availability,
            "TriggerMessage": lambda p: {"status": self._trigger(p["requestedMessage"], p.get("evse", {}).get("id"))},
            "ClearCache": lambda _: {"status": "Accepted"},
            "DataTransfer": lambda _: {"status": "UnknownVendorId"},
            "GetVariables": self._get_variables,
            "SetVariables": self._set_variables,
            "GetBaseReport": self._base_report,
        }

    def _request_start(self, payload: Payload) -> Payload:
        token = payload["idToken"]["idToken"]
        return _accepted(self._start(payload.get("evseId"), token, payload["remoteStartId"]))

    def _reset(self, payload: Payload) -> Payload:
        if payload["type"] == "Immediate":
            for connector in self._charger.connectors:
                connector.stop("ImmediateReset")
        self._charger.later(_SOON_S, self._charger.reset)
        return {"status": "Accepted"}

    def _availability(self, payload: Payload) -> Payload:
        evse = payload.get("evse", {}).get("id", 0)
        return {"status": self._change_availability(evse, payload["operationalStatus"] == "Operative")}

    def _get_variables(self, payload: Payload) -> Payload:
        return {"getVariableResult": [self._get(one) for one in payload["getVariableData"]]}

    def _get(self, asked: Payload) -> Payload:
        known = self._variables.get((asked["component"]["name"], asked["variable"]["name"]))
        answer = {"component": asked["component"], "variable": asked["variable"]}
        if known is None:
            return {"attributeStatus": "UnknownVariable", **answer}
        return {"attributeStatus": "Accepted", "attributeValue": known[0], **answer}

    def _set_variables(self, payload: Payload) -> Payload:
        return {"setVariableResult": [self._set(one) for one in payload["setVariableData"]]}

    def _set(self, asked: Payload) -> Payload:
        key = (asked["component"]["name"], asked["variable"]["name"])
        known = self._variables.get(key)
        status = "UnknownVariable" if known is None else "Rejected" if known[1] == "ReadOnly" else "Accepted"
        if status == "Accepted":
            self._variables[key] = (asked["attributeValue"], "ReadWrite")
        return {"attributeStatus": status, "component": asked["component"], "variable": asked["variable"]}

    def _base_report(self, payload: Payload) -> Payload:
        report = {
            "requestId": payload["requestId"],
            "generatedAt": iso(self._charger.now()),
            "seqNo": 0,
            "tbc": False,
            "reportData": [
                {
                    "component": {"name": component},
                    "variable": {"name": variable},
                    "variableAttribute": [{"type": "Actual", "value": value, "mutability": mutability}],
                }
                for (component, variable), (value, mutability) in self._variables.items()
            ],
        }
        self._charger.later(_SOON_S, lambda: self._charger.tell("NotifyReport", report))
        return {"status": "Accepted"}


def _accepted(yes: bool) -> Payload:
    return {"status": "Accepted" if yes else "Rejected"}
