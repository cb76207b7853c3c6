"""The state machine of one charger's connection, for every version.

::

    text --> frame --> Inbox   --> CallReceived ... answer() --> SendText, next CallReceived
                  \\-> Outbox  --> ResultReceived | ErrorReceived      (call() made it outstanding)

The two directions do not know of each other. Methods take text and time and return events, in the order in
which the gateway must heed them; nothing that a charger sends raises. Only misuse by ourselves raises
(:class:`~csms.ocpp.errors.LocalError`).

An unreadable text gets a CALLERROR with the id "-1" in 2.x (part 4 section 4.2.3); 1.6 names no answer, so it
is dropped and counted. Message types that a version does not know are ignored (1.6 section 4.1.3; errata of
part 4). The socket always stays.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from csms.ocpp import frames, outbox, schemas
from csms.ocpp.directions import Direction, direction
from csms.ocpp.errors import ErrorCode, LocalError, spelling
from csms.ocpp.events import AnswerRefused, Event, Ignored, Refused, SendReceived, SendText, Why
from csms.ocpp.frames import Call, CallError, CallResult, CallResultError, FrameError, Send
from csms.ocpp.inbox import Inbox, Refusal
from csms.ocpp.json import Decoded, JsonError, decode, safe_text
from csms.ocpp.quirks import BOOT, NOBODY, STRICT, Quirks, Station, station_in
from csms.ocpp.registration import Registration, asked_for, may_send
from csms.ocpp.repair import Repaired, repair
from csms.ocpp.schemas import NEVER_REFUSED, Fault, structure_code
from csms.ocpp.versions import Version

_BROKEN_ANSWERS = (frames.CALL_RESULT, frames.CALL_ERROR, frames.CALL_RESULT_ERROR)


class Connection:
    """One charger's connection. The gateway keeps ``registration`` up to date; it is heeded from the next CALL on.

    Set it *before* the answer to BootNotification is given: ``answer`` already hands out what was pipelined
    behind it.
    """

    __slots__ = ("_asked", "_inbox", "_lost", "_outbox", "_quirks", "_tolerance", "registration", "version")

    def __init__(
        self,
        version: Version,
        *,
        registration: Registration = Registration.ACCEPTED,
        max_queued_calls: int = 16,
        max_queued_chars: int = 1 << 20,
        remembered_answers: int = 8,
        quirks: Quirks = STRICT,
        station: Station = NOBODY,
    ) -> None:
        """``station``: what the charger said of itself the last time, until it boots again."""
        self.version = version
        self._quirks = quirks
        self._tolerance = quirks.tolerance(version, station)
        self.registration = registration
        self._asked: set[str] = set()
        self._lost = False
        self._outbox = outbox.Outbox(version)
        self._inbox = Inbox(
            version,
            self._may_send,
            max_queued_calls=max_queued_calls,
            max_queued_chars=max_queued_chars,
            remembered_answers=remembered_answers,
        )

    @property
    def should_pause(self) -> bool:
        """Whether the gateway should stop reading from the socket; look again after every method called."""
        return self._inbox.should_pause

    @property
    def waiting_for(self) -> str | None:
        """The id of the charger's CALL that waits for our answer."""
        return self._inbox.waiting_for

    @property
    def outstanding(self) -> outbox.Outstanding | None:
        """Our CALL that waits for the charger's answer."""
        return self._outbox.outstanding

    def receive(self, data: str | bytes) -> list[Event]:
        """A text frame arrived."""
        if self._lost:
            return []
        try:
            decoded = decode(data)
        except JsonError as error:
            return self._broken(frames.unreadable(error, self.version), Decoded(None, safe_text(data), True))
        try:
            frame = frames.from_value(decoded.value, self.version)
        except FrameError as error:
            return self._broken(error, decoded)
        match frame:
            case Call():
                return self._call_received(frame, decoded)
            case CallResult():
                return self._outbox.result(frame.unique_id, frame.payload, decoded.text, cleaned=decoded.cleaned)
            case CallError():
                return self._outbox.error(frame, decoded.text)
            case CallResultError():
                return [AnswerRefused(frame.unique_id, frame.code, frame.description, frame.details)]
            case Send():
                return self._send_received(frame, decoded)

    def receive_binary(self, length_bytes: int) -> list[Event]:
        """A binary frame arrived: not OCPP-J, which is UTF-8 text (section 4.1.2)."""
        return [] if self._lost else [Ignored(Why.BINARY, detail=f"{length_bytes} bytes")]

    def answer(self, unique_id: str, payload: dict[str, Any]) -> list[Event]:
        """Answer the CALL that was handed out. Raises LocalError when it is not that one's turn."""
        return self._inbox.answer(unique_id, payload)

    def answer_error(self, unique_id: str, code: ErrorCode, description: str = "") -> list[Event]:
        """Refuse the CALL that was handed out, for a fault of the charger's. Raises LocalError as ``answer``."""
        return self._inbox.answer_error(unique_id, code, description)

    def abandon(self, unique_id: str) -> list[Event]:
        """Leave the CALL that was handed out without an answer. Raises LocalError as ``answer``."""
        return self._inbox.abandon(unique_id)

    def call(self, unique_id: str, action: str, payload: dict[str, Any], now: float, timeout_s: float) -> str:
        """The text of a CALL to the charger, to be written to the socket.

        Raises LocalError when another one is outstanding, when ``action`` or ``payload`` are not the
        version's, or when the charger is rejected (2.x B03.FR.08, 1.6 section 4.2: no calls then).
        """
        if self._lost:
            raise LocalError("the connection has ended")
        if self.registration is Registration.REJECTED:
            raise LocalError("the charger's registration is rejected")
        text = self._outbox.call(unique_id, action, payload, now + timeout_s)
        asked = asked_for(action, payload)
        if asked is not None:
            self._asked.add(asked)
        return text

    def timeout(self, now: float) -> list[Event]:
        """Time has passed: see whether ``outstanding`` is overdue."""
        return self._outbox.timeout(now)

    def lost(self) -> list[Event]:
        """The socket has closed: what is outstanding has an unknown outcome, what waits is dropped."""
        self._lost = True
        self._inbox.clear()
        return self._outbox.lost()

    def _may_send(self, action: str) -> bool:
        return may_send(self.version, self.registration, action, self._asked)

    def _call_received(self, call: Call, decoded: Decoded) -> list[Event]:
        action = call.action
        sender = direction(self.version, action)
        if sender is None:
            refusal = Refusal(ErrorCode.NOT_IMPLEMENTED, f"OCPP {self.version} has no action {action[:50]!r}")
            return self._inbox.add(call, decoded, None, refusal)
        if not sender.charger_calls:
            refusal = Refusal(ErrorCode.NOT_SUPPORTED, f"{action} is no CALL to a CSMS")
            return self._inbox.add(call, decoded, None, refusal)
        if action == BOOT:
            self._tolerance = self._quirks.tolerance(self.version, station_in(call.payload))
        checked = self._check(action, call.payload, decoded.text)
        fault = checked.fault
        if fault is not None and action not in NEVER_REFUSED:
            return self._inbox.add(call, decoded, fault, Refusal(fault.code, str(fault)))
        call = replace(call, payload=checked.payload) if checked.deviations else call
        return self._inbox.add(call, decoded, fault, None, checked.deviations)

    def _send_received(self, send: Send, decoded: Decoded) -> list[Event]:
        action = send.action
        if direction(self.version, action) is not Direction.SEND_FROM_CHARGER:
            return [Ignored(Why.UNUSABLE_SEND, send.unique_id, f"{action[:50]!r} is no SEND")]
        if not self._may_send(action):
            return [Ignored(Why.UNUSABLE_SEND, send.unique_id, "not before an accepted BootNotification")]
        checked = self._check(action, send.payload, decoded.text)
        if checked.fault is not None:
            return [Ignored(Why.UNUSABLE_SEND, send.unique_id, str(checked.fault))]
        return [
            SendReceived(send.unique_id, action, checked.payload, decoded.text, decoded.cleaned, checked.deviations)
        ]

    def _check(self, action: str, payload: dict[str, Any], text: str) -> Repaired:
        """The payload against its schema, with what is tolerated from this charger put right."""
        fault, tolerance = schemas.check_request(self.version, action, payload), self._tolerance
        if tolerance is None or (fault is None and not tolerance.may_concern(action, text)):
            return Repaired(payload, (), fault)
        return repair(self.version, action, payload, tolerance)

    def _broken(self, error: FrameError, decoded: Decoded) -> list[Event]:
        """The outcome of a text that is no frame."""
        unique_id, kind = error.unique_id, error.message_type
        if error.code is ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED:
            return [Ignored(Why.UNKNOWN_MESSAGE_TYPE, detail=error.description)]
        if kind == frames.CALL_RESULT and unique_id is not None:
            fault = Fault(structure_code(self.version), "$", error.description)
            return self._outbox.result(unique_id, {}, decoded.text, cleaned=True, fault=fault)
        if kind in _BROKEN_ANSWERS:
            return [Ignored(Why.BROKEN_ANSWER, unique_id or "", error.description)]
        if kind == frames.SEND:
            return [Ignored(Why.UNUSABLE_SEND, unique_id or "", error.description)]
        if kind == frames.CALL and unique_id is not None:
            call = Call(unique_id, error.action, {})
            return self._inbox.add(call, decoded, None, Refusal(error.code, error.description))
        if self.version.is_16:
            return [Ignored(Why.UNREADABLE, detail=error.description)]
        code = spelling(error.code, self.version)
        return [
            Refused(frames.NO_ID, error.action, error.code, error.description, decoded.text),
            SendText(frames.encode(CallError(frames.NO_ID, code, error.description, {}))),
        ]
