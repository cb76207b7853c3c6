"""What a charger says next: OCPP 1.6, with payloads as real chargers send them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

MIXED = ("Heartbeat", "StatusNotification", "StartTransaction", *(["MeterValues"] * 5), "StopTransaction")
LOADS: dict[str, Sequence[str]] = {
    "mixed": MIXED,
    "heartbeat": ("Heartbeat",),
    "status": ("StatusNotification",),
    "meter": ("MeterValues",),
    "boot": ("BootNotification",),
    "charging": ("StatusNotification", *(["MeterValues"] * 9)),
}
OPENINGS: dict[str, Sequence[str]] = {"charging": ("StartTransaction",)}
"""What is said once, before all else."""
BOOT = (
    '{"chargePointVendor":"Bench","chargePointModel":"Raw socket","chargePointSerialNumber":"%s",'
    '"firmwareVersion":"1.0"}'
)
_METER = (
    '{"connectorId":1,"transactionId":%d,"meterValue":[{"timestamp":"%s","sampledValue":['
    '{"value":"%d","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},'
    '{"value":"7360","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"}]}]}'
)
_METER_OUTSIDE = _METER.replace('"transactionId":%d,', "")
_STATUS = ("Available", "Preparing")
_TRANSACTION = re.compile(rb'"transactionId":\s*(\d+)')
_STEP_WH = 30


class Script:
    """The actions of a load, one after the other, for ever; those of its opening only once.

    ``begin``: how many actions are left out first. Chargers that begin at different ones stay apart when all send at
    one rate.
    """

    __slots__ = (
        "_actions",
        "_device_id",
        "_last_ms",
        "_meter_wh",
        "_opening",
        "_position",
        "_rounds",
        "_token",
        "_transaction",
    )

    def __init__(self, load: str, device_id: str, token: str, *, begin: int = 0) -> None:
        self._opening = len(OPENINGS.get(load, ()))
        self._actions = (*OPENINGS.get(load, ()), *LOADS[load])
        self._device_id = device_id
        self._token = token
        self._position = 0 if self._opening else begin % len(self._actions)
        self._rounds = 0
        self._transaction = 0
        self._meter_wh = 1000
        self._last_ms = 0

    @property
    def opens(self) -> bool:
        """Whether what comes next belongs to the opening."""
        return self._position < self._opening

    def next(self) -> tuple[str, str]:
        """The next action and its payload."""
        action = self._step()
        if action == "StopTransaction" and not self._transaction:
            action = self._step()  # it began behind the start
        return action, self._payload(action)

    def _step(self) -> str:
        action = self._actions[self._position]
        self._position += 1
        if self._position == len(self._actions):
            self._position = self._opening
            self._rounds += 1
        return action

    def _payload(self, action: str) -> str:
        match action:
            case "Heartbeat":
                return "{}"
            case "BootNotification":
                return BOOT % self._device_id
            case "StatusNotification":
                status = _STATUS[self._rounds & 1]
                return f'{{"connectorId":1,"errorCode":"NoError","status":"{status}","timestamp":"{self._now()}"}}'
            case "StartTransaction":
                return (
                    f'{{"connectorId":1,"idTag":"{self._token}","meterStart":{self._meter_wh},'
                    f'"timestamp":"{self._now()}"}}'
                )
            case "MeterValues":
                self._meter_wh += _STEP_WH
                if self._transaction:
                    return _METER % (self._transaction, self._now(), self._meter_wh)
                return _METER_OUTSIDE % (self._now(), self._meter_wh)
            case _:
                transaction, self._transaction = self._transaction, 0
                return (
                    f'{{"transactionId":{transaction},"idTag":"{self._token}","meterStop":{self._meter_wh},'
                    f'"timestamp":"{self._now()}","reason":"Local"}}'
                )

    def started(self, answer: bytes) -> bool:
        """Take the transaction's id out of an answer to StartTransaction; whether charging was allowed."""
        found = _TRANSACTION.search(answer)
        self._transaction = int(found[1]) if found else 0
        return found is not None and b"Accepted" in answer

    def _now(self) -> str:
        """The time; never the same twice, or a second meter value would be taken for a repeat of the first."""
        milliseconds = self._last_ms = max(self._last_ms + 1, int(time.time() * 1000))
        return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


_seconds: dict[int, str] = {}


def _second(second: int) -> str:
    if second not in _seconds:
        _seconds.clear()
        _seconds[second] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    return _seconds[second]
