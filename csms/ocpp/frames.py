"""The message frames of OCPP-J: arrays that begin with a message type number.

1.6 section 4.2; 2.0.1 and 2.1 part 4 section 4.2. Message types 5 and 6 exist from 2.1 on.

What is read leniently, because real chargers do it and the meaning is plain: further elements after the last
one, and a CALLERROR whose description or details are missing or of another type.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from csms.ocpp.errors import ErrorCode, RemoteError
from csms.ocpp.json import JsonError, decode, safe_text
from csms.ocpp.json import encode as encode_json
from csms.ocpp.versions import Version

CALL, CALL_RESULT, CALL_ERROR, CALL_RESULT_ERROR, SEND = 2, 3, 4, 5, 6
MAX_UNIQUE_ID = 36
MAX_DESCRIPTION = 255
MAX_CODE = 50
NO_ID = "-1"
"""Stands in a CALLERROR of 2.x for an id that could not be read (part 4 section 4.2.3)."""

_MAX_ECHOED_ID = 255
_MAX_ACTION = 50


class Call(msgspec.Struct, frozen=True):
    """A request."""

    unique_id: str
    action: str
    payload: dict[str, Any]


class CallResult(msgspec.Struct, frozen=True):
    """The answer to the CALL of the same id."""

    unique_id: str
    payload: dict[str, Any]


class CallError(msgspec.Struct, frozen=True):
    """The refusal of the CALL of the same id; ``code`` as the version spells it."""

    unique_id: str
    code: str
    description: str
    details: dict[str, Any]


class CallResultError(msgspec.Struct, frozen=True):
    """2.1: the CALLRESULT of the same id cannot be used."""

    unique_id: str
    code: str
    description: str
    details: dict[str, Any]


class Send(msgspec.Struct, frozen=True):
    """2.1: a message that nobody answers."""

    unique_id: str
    action: str
    payload: dict[str, Any]


Frame: TypeAlias = Call | CallResult | CallError | CallResultError | Send


class FrameError(RemoteError):
    """The text is no frame.

    ``unique_id`` is what a CALLERROR would answer to, None when it could not be read. ``message_type`` is
    None when it could not be read; only a broken CALL, or something that may have been one, is ever answered.
    ``description`` is short.
    """

    def __init__(
        self,
        unique_id: str | None,
        code: ErrorCode,
        description: str,
        message_type: int | None = None,
        action: str = "",
    ) -> None:
        super().__init__(f"{code.value}: {description}")
        self.unique_id = unique_id
        self.code = code
        self.description = description[:MAX_DESCRIPTION]
        self.message_type = message_type
        self.action = action


def parse(text: str | bytes, version: Version) -> Frame:
    """The frame in ``text``; raises :class:`FrameError` and nothing else."""
    try:
        decoded = decode(text)
    except JsonError as error:
        raise unreadable(error, version) from None
    return from_value(decoded.value, version)


def unreadable(error: JsonError, version: Version) -> FrameError:
    """What a text that is no acceptable JSON means as a frame: an id may still have been read."""
    value = error.value
    if not isinstance(value, list) or len(value) < 2 or type(value[0]) is not int:
        return FrameError(None, ErrorCode.RPC_FRAMEWORK_ERROR, f"unreadable JSON: {error.reason}")
    unique_id = _echoed_id(value[1])
    return FrameError(unique_id, ErrorCode.FORMAT_VIOLATION, f"JSON {error.reason}", value[0])


def from_value(value: object, version: Version) -> Frame:
    """The frame in a decoded JSON value; raises :class:`FrameError`."""
    if type(value) is not list or not value:
        raise FrameError(None, ErrorCode.RPC_FRAMEWORK_ERROR, "a message is a JSON array that is not empty")
    kind = value[0]
    if type(kind) is not int:
        raise FrameError(None, ErrorCode.RPC_FRAMEWORK_ERROR, "the message type is not a number")
    if not (CALL <= kind <= CALL_ERROR or (version is Version.V21 and CALL_RESULT_ERROR <= kind <= SEND)):
        description = f"OCPP {version} has no message type {kind}"
        raise FrameError(None, ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED, description, kind)
    unique_id = value[1] if len(value) > 1 else None
    if type(unique_id) is not str or not 1 <= len(unique_id) <= MAX_UNIQUE_ID:
        description = f"the message id is not a string of 1 to {MAX_UNIQUE_ID} characters"
        raise FrameError(_echoed_id(unique_id), ErrorCode.RPC_FRAMEWORK_ERROR, description, kind)
    if kind in (CALL, SEND):
        action, payload = _request(value, kind, unique_id)
        return Call(unique_id, action, payload) if kind == CALL else Send(unique_id, action, payload)
    if kind == CALL_RESULT:
        if len(value) < 3 or type(value[2]) is not dict:
            raise FrameError(unique_id, ErrorCode.RPC_FRAMEWORK_ERROR, _NO_PAYLOAD, kind)
        return CallResult(unique_id, value[2])
    code, description, details = [*value[2:5], None, None, None][:3]
    return (CallError if kind == CALL_ERROR else CallResultError)(
        unique_id,
        code[:MAX_CODE] if isinstance(code, str) and code else ErrorCode.GENERIC_ERROR.value,
        description[:MAX_DESCRIPTION] if isinstance(description, str) else "",
        details if isinstance(details, dict) else {},
    )


def encode(frame: Frame) -> str:
    """``frame`` as text. Raises ValueError when a payload is no JSON value; long descriptions are cut."""
    match frame:
        case Call():
            return encode_json([CALL, frame.unique_id, frame.action, frame.payload])
        case CallResult():
            return encode_json([CALL_RESULT, frame.unique_id, frame.payload])
        case Send():
            return encode_json([SEND, frame.unique_id, frame.action, frame.payload])
        case CallError() | CallResultError():
            kind = CALL_ERROR if isinstance(frame, CallError) else CALL_RESULT_ERROR
            description = frame.description[:MAX_DESCRIPTION]
            return encode_json([kind, frame.unique_id, frame.code, description, frame.details])


_NO_PAYLOAD = "the payload is not a JSON object"


def _request(value: list[Any], kind: int, unique_id: str) -> tuple[str, dict[str, Any]]:
    action = value[2] if len(value) > 2 else None
    if type(action) is not str or not action:
        raise FrameError(unique_id, ErrorCode.RPC_FRAMEWORK_ERROR, "the action is not a string", kind)
    payload = value[3] if len(value) > 3 else None
    if type(payload) is not dict:
        raise FrameError(unique_id, ErrorCode.RPC_FRAMEWORK_ERROR, _NO_PAYLOAD, kind, action[:_MAX_ACTION])
    return action, payload


def _echoed_id(unique_id: object) -> str | None:
    """A charger that makes ids which are somewhat too long still recognises its own in a refusal."""
    if isinstance(unique_id, str) and 1 <= len(unique_id) <= _MAX_ECHOED_ID:
        return safe_text(unique_id)
    return None
