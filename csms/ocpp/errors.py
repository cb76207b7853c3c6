"""Error codes of CALLERROR, spelled as each version spells them, and the two families of exceptions.

Sources: OCPP-J 1.6 table 7 with the spelling mistakes that its errata (section 5) declare final; OCPP 2.0.1
and 2.1 part 4, "Valid Error Codes".
"""

from __future__ import annotations

import enum

from csms.ocpp.versions import Version


class ErrorCode(enum.Enum):
    """What went wrong, whatever a version calls it. Values are the spelling of 2.x."""

    FORMAT_VIOLATION = "FormatViolation"
    GENERIC_ERROR = "GenericError"
    INTERNAL_ERROR = "InternalError"
    MESSAGE_TYPE_NOT_SUPPORTED = "MessageTypeNotSupported"
    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    OCCURRENCE_VIOLATION = "OccurrenceConstraintViolation"
    PROPERTY_VIOLATION = "PropertyConstraintViolation"
    PROTOCOL_ERROR = "ProtocolError"
    RPC_FRAMEWORK_ERROR = "RpcFrameworkError"
    SECURITY_ERROR = "SecurityError"
    TYPE_VIOLATION = "TypeConstraintViolation"


_SPELLINGS_2X = {code: code.value for code in ErrorCode}
_SPELLINGS_16 = _SPELLINGS_2X | {
    ErrorCode.FORMAT_VIOLATION: "FormationViolation",
    ErrorCode.OCCURRENCE_VIOLATION: "OccurenceConstraintViolation",
    # 1.6 has neither of these; a broken frame is "not conform the PDU structure" there.
    ErrorCode.RPC_FRAMEWORK_ERROR: "FormationViolation",
    ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED: "GenericError",
}


def spelling(code: ErrorCode, version: Version) -> str:
    """``code`` as it stands in a CALLERROR of ``version``."""
    return (_SPELLINGS_16 if version is Version.V16 else _SPELLINGS_2X)[code]


class LocalError(Exception):
    """We misused the protocol (our bug, or a moment too late): nothing was sent and no state has changed."""


class RemoteError(Exception):
    """The other side sent what it may not."""
