"""How each version spells its error codes."""

from __future__ import annotations

import unittest

from csms.ocpp.errors import ErrorCode, LocalError, RemoteError, spelling
from csms.ocpp.versions import Version

CODES_16 = {
    "NotImplemented",
    "NotSupported",
    "InternalError",
    "ProtocolError",
    "SecurityError",
    "FormationViolation",
    "PropertyConstraintViolation",
    "OccurenceConstraintViolation",
    "TypeConstraintViolation",
    "GenericError",
}
CODES_2X = {
    "FormatViolation",
    "GenericError",
    "InternalError",
    "MessageTypeNotSupported",
    "NotImplemented",
    "NotSupported",
    "OccurrenceConstraintViolation",
    "PropertyConstraintViolation",
    "ProtocolError",
    "RpcFrameworkError",
    "SecurityError",
    "TypeConstraintViolation",
}


class SpellingTests(unittest.TestCase):
    def test_16_uses_exactly_the_codes_of_its_table(self) -> None:
        self.assertEqual({spelling(code, Version.V16) for code in ErrorCode}, CODES_16)

    def test_2x_uses_exactly_the_codes_of_its_table(self) -> None:
        for version in (Version.V201, Version.V21):
            self.assertEqual({spelling(code, version) for code in ErrorCode}, CODES_2X)

    def test_codes_that_changed_their_name(self) -> None:
        for code, in_16, in_2x in (
            (ErrorCode.FORMAT_VIOLATION, "FormationViolation", "FormatViolation"),
            (ErrorCode.OCCURRENCE_VIOLATION, "OccurenceConstraintViolation", "OccurrenceConstraintViolation"),
            (ErrorCode.RPC_FRAMEWORK_ERROR, "FormationViolation", "RpcFrameworkError"),
            (ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED, "GenericError", "MessageTypeNotSupported"),
        ):
            self.assertEqual(spelling(code, Version.V16), in_16)
            self.assertEqual(spelling(code, Version.V201), in_2x)

    def test_our_errors_and_theirs_are_never_caught_together(self) -> None:
        self.assertFalse(issubclass(LocalError, RemoteError))
        self.assertFalse(issubclass(RemoteError, LocalError))
