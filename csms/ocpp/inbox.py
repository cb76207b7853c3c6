"""The CALLs of one charger: handed out one at a time, in its order, each answered exactly once.

OCPP-J allows one outstanding CALL (1.6 section 4.1.1), but chargers pipeline them. They wait here, bounded:
from ``max_queued_calls`` on the gateway is asked to stop reading; what still arrives then, out of buffers
already filled, is taken up to a hard limit.

A CALL that comes again (same id, same text) while the first one is in progress is a retransmission: the
answer to the first serves both. Afterwards it gets the remembered answer again, unless that answer tells how
things stand now (ALWAYS_FRESH).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from csms.ocpp import frames
from csms.ocpp.errors import ErrorCode, LocalError, spelling
from csms.ocpp.events import CallReceived, Event, Flooded, Ignored, Refused, Replayed, SendText, Why
from csms.ocpp.frames import Call, CallError, CallResult
from csms.ocpp.json import Decoded
from csms.ocpp.quirks import Deviation
from csms.ocpp.schemas import Fault, check_response
from csms.ocpp.versions import Version

ALWAYS_FRESH = frozenset({"Authorize", "BootNotification", "Heartbeat"})
"""Never answered from memory: an old clock, registration or permission is worse than looking again, which has
no effect of its own."""

_HARD_LIMIT_FACTOR = 64


class Refusal(msgspec.Struct, frozen=True):
    """Why a CALL is not handed out."""

    code: ErrorCode
    description: str


class _Entry(msgspec.Struct):
    """A CALL in progress. ``digest`` is of its text; ``replay`` is the answer that it already got once."""

    call: CallReceived
    digest: int
    refusal: Refusal | None
    replay: str | None


class Inbox:
    """The charger's direction of a connection."""

    __slots__ = (
        "_answers",
        "_current",
        "_in_progress",
        "_may_send",
        "_queue",
        "_queued_chars",
        "_version",
        "max_queued_calls",
        "max_queued_chars",
        "remembered_answers",
    )

    def __init__(
        self,
        version: Version,
        may_send: Callable[[str], bool],
        *,
        max_queued_calls: int,
        max_queued_chars: int,
        remembered_answers: int,
    ) -> None:
        self.max_queued_calls = max_queued_calls
        self.max_queued_chars = max_queued_chars
        self.remembered_answers = remembered_answers
        self._version = version
        self._may_send = may_send
        self._current: _Entry | None = None
        # Short and mostly empty: a deque would take 700 bytes for each connection.
        self._queue: list[_Entry] = []
        self._queued_chars = 0
        self._in_progress: dict[str, int] = {}
        self._answers: dict[str, tuple[int, str]] = {}

    @property
    def should_pause(self) -> bool:
        """Whether so much waits that the gateway should stop reading."""
        return len(self._queue) >= self.max_queued_calls or self._queued_chars >= self.max_queued_chars

    @property
    def waiting_for(self) -> str | None:
        """The id of the CALL that was handed out and is not answered yet."""
        return self._current.call.unique_id if self._current is not None else None

    def add(
        self,
        call: Call,
        decoded: Decoded,
        fault: Fault | None,
        refusal: Refusal | None,
        deviations: tuple[Deviation, ...] = (),
    ) -> list[Event]:
        """Take a CALL; ``refusal`` when it is to be answered by a CALLERROR in its turn."""
        unique_id, raw = call.unique_id, decoded.text
        digest = hash(raw)
        in_progress = self._in_progress.get(unique_id)
        if in_progress == digest:
            return [Ignored(Why.REPEATED_IN_PROGRESS, unique_id)]
        remembered = self._answers.get(unique_id)
        replay = None
        reused_id = in_progress is not None
        if remembered is not None and not reused_id:
            if remembered[0] != digest:
                reused_id = True
            elif call.action not in ALWAYS_FRESH:
                replay = remembered[1]
        received = CallReceived(
            unique_id, call.action, call.payload, raw, fault, decoded.cleaned, reused_id, deviations
        )
        entry = _Entry(received, digest, refusal, replay)
        if self._current is not None:
            return self._wait(entry)
        self._in_progress[unique_id] = digest
        events: list[Event] = []
        self._begin(entry, events)
        return events

    def answer(self, unique_id: str, payload: dict[str, object]) -> list[Event]:
        """The CALLRESULT to the CALL that was handed out, then what comes next."""
        entry = self._handed_out(unique_id)
        try:
            text = frames.encode(CallResult(unique_id, payload))
        except ValueError as error:
            raise LocalError(f"answer to {entry.call.action}: {error}") from error
        if self.remembered_answers:
            self._answers.pop(unique_id, None)
            self._answers[unique_id] = (entry.digest, text)
            if len(self._answers) > self.remembered_answers:
                del self._answers[next(iter(self._answers))]
        fault = check_response(self._version, entry.call.action, payload)
        return self._finish(entry, [SendText(text, fault)])

    def answer_error(self, unique_id: str, code: ErrorCode, description: str) -> list[Event]:
        """A CALLERROR to the CALL that was handed out, then what comes next. A repeat is processed anew."""
        entry = self._handed_out(unique_id)
        return self._finish(entry, [SendText(self._error_text(unique_id, code, description))])

    def abandon(self, unique_id: str) -> list[Event]:
        """Leave the CALL that was handed out without an answer; then what comes next."""
        return self._finish(self._handed_out(unique_id), [])

    def clear(self) -> None:
        """Forget everything: the connection has ended."""
        self._current = None
        self._queue.clear()
        self._queued_chars = 0
        self._in_progress.clear()
        self._answers.clear()

    def _wait(self, entry: _Entry) -> list[Event]:
        if (
            len(self._queue) >= self.max_queued_calls * _HARD_LIMIT_FACTOR
            or self._queued_chars >= self.max_queued_chars
        ):
            return [Flooded(len(self._queue))]
        self._in_progress[entry.call.unique_id] = entry.digest
        self._queue.append(entry)
        self._queued_chars += len(entry.call.raw)
        return []

    def _handed_out(self, unique_id: str) -> _Entry:
        if self._current is None or self._current.call.unique_id != unique_id:
            raise LocalError(f"CALL {unique_id!r} does not wait for an answer")
        return self._current

    def _finish(self, entry: _Entry, events: list[Event]) -> list[Event]:
        self._current = None
        self._forget(entry)
        while self._current is None and self._queue:
            following = self._queue.pop(0)
            self._queued_chars -= len(following.call.raw)
            self._begin(following, events)
        return events

    def _begin(self, entry: _Entry, events: list[Event]) -> None:
        """Hand ``entry`` out, or answer it here and now."""
        call, refusal = entry.call, entry.refusal
        if entry.replay is not None:
            events += (Replayed(call.unique_id, call.action), SendText(entry.replay))
            self._forget(entry)
            return
        if not self._may_send(call.action):
            refusal = Refusal(ErrorCode.SECURITY_ERROR, "not before an accepted BootNotification")
        if refusal is None:
            self._current = entry
            events.append(call)
            return
        text = self._error_text(call.unique_id, refusal.code, refusal.description)
        events += (
            Refused(call.unique_id, call.action, refusal.code, refusal.description, call.raw),
            SendText(text),
        )
        self._forget(entry)

    def _forget(self, entry: _Entry) -> None:
        unique_id = entry.call.unique_id
        if self._in_progress.get(unique_id) == entry.digest:
            del self._in_progress[unique_id]

    def _error_text(self, unique_id: str, code: ErrorCode, description: str) -> str:
        return frames.encode(CallError(unique_id, spelling(code, self._version), description, {}))
