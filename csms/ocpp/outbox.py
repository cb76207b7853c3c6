"""Our CALLs to one charger: one outstanding at a time, each matched with its own answer or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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

_REMEMBERED_CALLS = 16


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A CALL that waits for the charger; ``deadline`` is on the clock that the caller uses."""

    unique_id: str
    action: str
    deadline: float


class Outbox:
    """Our direction of a connection."""

    __slots__ = ("_finished", "_version", "outstanding")

    def __init__(self, version: Version) -> None:
        self.outstanding: Outstanding | None = None
        self._version = version
        self._finished: dict[str, Why] = {}

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
        self.outstanding = Outstanding(unique_id, action, deadline)
        return text

    def result(
        self, unique_id: str, payload: dict[str, Any], raw: str, *, cleaned: bool, fault: Fault | None = None
    ) -> list[Event]:
        """A CALLRESULT arrived; ``fault`` when its frame was already found wanting."""
        call = self.outstanding
        if call is None or call.unique_id != unique_id:
            return self._unmatched(unique_id)
        self._finish(Why.REPEATED_ANSWER)
        if fault is None:
            fault = check_response(self._version, call.action, payload)
        events: list[Event] = [ResultReceived(unique_id, call.action, payload, raw, fault, cleaned)]
        if fault is not None and self._version is Version.V21:
            code = spelling(fault.code, self._version)
            events.append(SendText(frames.encode(CallResultError(unique_id, code, str(fault), {}))))
        return events

    def error(self, frame: CallError, raw: str) -> list[Event]:
        """A CALLERROR arrived."""
        call = self.outstanding
        if call is None or call.unique_id != frame.unique_id:
            return self._unmatched(frame.unique_id)
        self._finish(Why.REPEATED_ANSWER)
        return [ErrorReceived(call.unique_id, call.action, frame.code, frame.description, frame.details, raw)]

    def timeout(self, now: float) -> list[Event]:
        """Give up on a CALL whose time is over."""
        call = self.outstanding
        if call is None or now < call.deadline:
            return []
        self._finish(Why.LATE_ANSWER)
        return [CallTimedOut(call.unique_id, call.action)]

    def lost(self) -> list[Event]:
        """The connection has ended."""
        call, self.outstanding = self.outstanding, None
        return [] if call is None else [CallLost(call.unique_id, call.action)]

    def _finish(self, further_answers_are: Why) -> None:
        call, self.outstanding = self.outstanding, None
        if call is None:
            return
        self._finished[call.unique_id] = further_answers_are
        if len(self._finished) > _REMEMBERED_CALLS:
            del self._finished[next(iter(self._finished))]

    def _unmatched(self, unique_id: str) -> list[Event]:
        return [Ignored(self._finished.get(unique_id, Why.UNKNOWN_ANSWER), unique_id)]
