"""Our CALLs to one charger: one outstanding at a time, each matched with its own answer or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from csms.ocpp import frames
from csms.ocpp.directions import direction
from csms.ocpp.errors import LocalError, spelling
from csms.ocpp.events import (
    CallLost,
    CallTimedOut,
    ErrorReceived,
    Event,
    Ignored,
    ResultReceived,
    SendText,
    Why,
)
from csms.ocpp.frames import Call, CallError, CallResultError
from csms.ocpp.schemas import Fault, check_request, check_response
from csms.ocpp.versions import Version

T = TypeVar("T")
REMEMBERED_CALLS = 16
"""Of those that were answered, and of those that were given up."""


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A CALL that waits for the charger; ``deadline`` is on the clock that the caller uses."""

    unique_id: str
    action: str
    deadline: float


class Outbox:
    """Our direction of a connection."""

    __slots__ = ("_finished", "_overdue", "_version", "outstanding")

    def __init__(self, version: Version) -> None:
        self.outstanding: Outstanding | None = None
        self._version = version
        self._finished: dict[str, Why] = {}
        self._overdue: dict[str, str] = {}

    def call(self, unique_id: str, action: str, payload: dict[str, Any], deadline: float) -> str:
        """The text to send; raises :class:`LocalError` and sends nothing."""
        if self.outstanding is not None:
            raise LocalError(f"{self.outstanding.action} still waits for the charger's answer")
        if not 1 <= len(unique_id) <= frames.MAX_UNIQUE_ID:
            raise LocalError(f"a message id has 1 to {frames.MAX_UNIQUE_ID} characters")
        sender = direction(self._version, action)
        if sender is None or not sender.csms_calls:
            raise LocalError(f"OCPP {self._version} has no CALL {action[:50]!r} to a charger")
        fault = check_request(self._version, action, payload)
        if fault is not None:
            raise LocalError(f"{action} {fault}")
        try:
            text = frames.encode(Call(unique_id, action, payload))
        except ValueError as error:
            raise LocalError(f"{action}: {error}") from error
        self._finished.pop(unique_id, None)
        self._overdue.pop(unique_id, None)
        self.outstanding = Outstanding(unique_id, action, deadline)
        return text

    def result(
        self, unique_id: str, payload: dict[str, Any], raw: str, *, cleaned: bool, fault: Fault | None = None
    ) -> list[Event]:
        """A CALLRESULT arrived; ``fault`` when its frame was already found wanting."""
        answered = self._answered(unique_id)
        if answered is None:
            return self._unmatched(unique_id)
        action, late = answered
        if fault is None:
            fault = check_response(self._version, action, payload)
        events: list[Event] = [ResultReceived(unique_id, action, payload, raw, fault, cleaned, late)]
        if fault is not None and self._version is Version.V21:
            code = spelling(fault.code, self._version)
            events.append(SendText(frames.encode(CallResultError(unique_id, code, str(fault), {}))))
        return events

    def error(self, frame: CallError, raw: str) -> list[Event]:
        """A CALLERROR arrived."""
        answered = self._answered(frame.unique_id)
        if answered is None:
            return self._unmatched(frame.unique_id)
        action, late = answered
        return [ErrorReceived(frame.unique_id, action, frame.code, frame.description, frame.details, raw, late)]

    def timeout(self, now: float) -> list[Event]:
        """Give up on a CALL whose time is over; its answer may still come."""
        call = self.outstanding
        if call is None or now < call.deadline:
            return []
        self.outstanding = None
        _remember(self._overdue, call.unique_id, call.action)
        return [CallTimedOut(call.unique_id, call.action)]

    def lost(self) -> list[Event]:
        """The connection has ended."""
        call, self.outstanding = self.outstanding, None
        return [] if call is None else [CallLost(call.unique_id, call.action)]

    def _answered(self, unique_id: str) -> tuple[str, bool] | None:
        """The action of the CALL that is answered by this, and whether it had been given up; None when it is none."""
        call = self.outstanding
        if call is not None and call.unique_id == unique_id:
            action, late = call.action, False
            self.outstanding = None
        elif unique_id in self._overdue:
            action, late = self._overdue.pop(unique_id), True
        else:
            return None
        _remember(self._finished, unique_id, Why.REPEATED_ANSWER)
        return action, late

    def _unmatched(self, unique_id: str) -> list[Event]:
        return [Ignored(self._finished.get(unique_id, Why.UNKNOWN_ANSWER), unique_id)]


def _remember(calls: dict[str, T], unique_id: str, what: T) -> None:
    calls[unique_id] = what
    if len(calls) > REMEMBERED_CALLS:
        del calls[next(iter(calls))]
