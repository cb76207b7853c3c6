"""What a :class:`~csms.ocpp.connection.Connection` tells the gateway.

The gateway writes the text of every :class:`SendText` to the socket, in the order given; all other events ask
it to act (:class:`CallReceived`, :class:`SendReceived`, the outcomes of its own calls, :class:`Flooded`) or
to count.
"""

from __future__ import annotations

import enum
from typing import Any, TypeAlias

import msgspec

from csms.ocpp.errors import ErrorCode
from csms.ocpp.quirks import Deviation
from csms.ocpp.schemas import Fault


class SendText(msgspec.Struct, frozen=True):
    """Write ``text`` as one text frame.

    ``fault`` is set when it is an answer of ours that breaks its schema: it is sent all the same, since no
    answer would serve the charger worse, but it is a bug to report.
    """

    text: str
    fault: Fault | None = None


class CallReceived(msgspec.Struct, frozen=True):
    """A CALL that waits for ``answer``, ``answer_error`` or ``abandon``; the next one comes only after that.

    ``raw`` is the frame as received, safe to store. ``fault`` is set when the payload breaks its schema but
    is passed on all the same (:data:`csms.ocpp.schemas.NEVER_REFUSED`). ``cleaned``: characters or numbers
    that no database takes were replaced. ``reused_id``: the id was used before for another message on this
    connection. ``deviations``: what was against the schema and is put right in the payload, for it is tolerated.
    """

    unique_id: str
    action: str
    payload: dict[str, Any]
    raw: str
    fault: Fault | None = None
    cleaned: bool = False
    reused_id: bool = False
    deviations: tuple[Deviation, ...] = ()


class SendReceived(msgspec.Struct, frozen=True):
    """A SEND of 2.1: handed out at once and never answered."""

    unique_id: str
    action: str
    payload: dict[str, Any]
    raw: str
    cleaned: bool = False
    deviations: tuple[Deviation, ...] = ()


class ResultReceived(msgspec.Struct, frozen=True):
    """The charger's CALLRESULT to our ``call``; ``fault`` is set when its payload breaks the schema.

    ``late``: it was given up before (:class:`CallTimedOut`); another call may be under way by now.
    """

    unique_id: str
    action: str
    payload: dict[str, Any]
    raw: str
    fault: Fault | None = None
    cleaned: bool = False
    late: bool = False


class ErrorReceived(msgspec.Struct, frozen=True):
    """The charger refused our ``call``; ``code`` as it spelled it. ``late`` as in :class:`ResultReceived`."""

    unique_id: str
    action: str
    code: str
    description: str
    details: dict[str, Any]
    raw: str
    late: bool = False


class CallTimedOut(msgspec.Struct, frozen=True):
    """No answer to our ``call`` in time: until one comes, whether it took effect is unknown. The next may be made."""

    unique_id: str
    action: str


class CallLost(msgspec.Struct, frozen=True):
    """The connection ended before the answer to our ``call``: whether it took effect is unknown."""

    unique_id: str
    action: str


class AnswerRefused(msgspec.Struct, frozen=True):
    """CALLRESULTERROR of 2.1: the charger could not use our answer to its CALL ``unique_id``."""

    unique_id: str
    code: str
    description: str
    details: dict[str, Any]


class Refused(msgspec.Struct, frozen=True):
    """A CALL was refused for its own fault; its CALLERROR is in the :class:`SendText` that follows.

    ``unique_id`` is "-1" when it could not be read; ``action`` is empty when it could not be read.
    """

    unique_id: str
    action: str
    code: ErrorCode
    description: str
    raw: str


class Replayed(msgspec.Struct, frozen=True):
    """A repeated CALL got the answer that it got before, in the :class:`SendText` that follows."""

    unique_id: str
    action: str


class Why(enum.StrEnum):
    """Why something was dropped without an answer; a label for counters."""

    UNREADABLE = "unreadable"
    BINARY = "binary"
    UNKNOWN_MESSAGE_TYPE = "unknown_message_type"
    BROKEN_ANSWER = "broken_answer"
    REPEATED_IN_PROGRESS = "repeated_in_progress"
    LATE_ANSWER = "late_answer"
    REPEATED_ANSWER = "repeated_answer"
    UNKNOWN_ANSWER = "unknown_answer"
    UNUSABLE_SEND = "unusable_send"


class Ignored(msgspec.Struct, frozen=True):
    """Dropped, to be counted; the socket stays. ``detail`` is short and safe to log."""

    why: Why
    unique_id: str = ""
    detail: str = ""


class Flooded(msgspec.Struct, frozen=True):
    """The charger sends on although reading was paused: more than the hard limit waits. Close with 1008.

    The CALL that was too much is not answered.
    """

    queued_calls: int


Event: TypeAlias = (
    SendText
    | CallReceived
    | SendReceived
    | ResultReceived
    | ErrorReceived
    | CallTimedOut
    | CallLost
    | AnswerRefused
    | Refused
    | Replayed
    | Ignored
    | Flooded
)
