"""What commands change, by version and action: the seam between a command's life and the functional blocks.

A function here is synchronous, runs in the transaction that stores what happened, and raises for nothing that a charger
or a caller can send.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec

from csms.domain.availability_wishes import availability_answered_2, availability_answered_16
from csms.domain.command_model import Command
from csms.domain.commands import CommandCall
from csms.domain.configuration import (
    configuration_changed,
    configuration_command_ended,
    configuration_reported,
    configuration_wanted,
)
from csms.domain.installed_certificates import (
    certificate_deleted,
    certificate_installed,
    certificate_signed,
    certificates_reported,
)
from csms.domain.jobs import (
    diagnostics_answered,
    firmware_update_answered,
    log_answered,
    signed_firmware_update_answered,
)
from csms.domain.local_lists import local_list_command_ended, local_list_sent, local_list_version_reported
from csms.domain.password_commands import password_answered, password_command_ended, password_offered
from csms.domain.repositories import UnitOfWork
from csms.domain.reservations import reservation_cancelled, reserved
from csms.domain.smart_charging import composite_reported, profile_set, profiles_cleared, remote_start_answered
from csms.domain.variables import variables_read, variables_set
from csms.ocpp.versions import Version

Effect = Callable[[CommandCall], None]
End = Callable[[UnitOfWork, Command], None]
P = ParamSpec("P")


def _both(first: Callable[P, None], second: Callable[P, None]) -> Callable[P, None]:
    @wraps(first)
    def both(*args: P.args, **kwargs: P.kwargs) -> None:
        first(*args, **kwargs)
        second(*args, **kwargs)

    return both


def answer_only(_: CommandCall) -> None:
    """The answer is kept with the command. What the charger does then, it tells by messages of its own."""


_V16: Mapping[str, Effect] = {
    "CancelReservation": reservation_cancelled,
    "CertificateSigned": certificate_signed,
    "ChangeAvailability": availability_answered_16,
    "ChangeConfiguration": _both(configuration_changed, password_answered),
    "ClearCache": answer_only,
    "ClearChargingProfile": profiles_cleared,
    "DataTransfer": answer_only,
    "DeleteCertificate": certificate_deleted,
    "ExtendedTriggerMessage": answer_only,
    "GetCompositeSchedule": composite_reported,
    "GetConfiguration": configuration_reported,
    "GetDiagnostics": diagnostics_answered,
    "GetInstalledCertificateIds": certificates_reported,
    "GetLocalListVersion": local_list_version_reported,
    "GetLog": log_answered,
    "InstallCertificate": certificate_installed,
    "RemoteStartTransaction": remote_start_answered,
    "RemoteStopTransaction": answer_only,
    "ReserveNow": reserved,
    "Reset": answer_only,
    "SendLocalList": local_list_sent,
    "SetChargingProfile": profile_set,
    "SignedUpdateFirmware": signed_firmware_update_answered,
    "TriggerMessage": answer_only,
    "UnlockConnector": answer_only,
    "UpdateFirmware": firmware_update_answered,
}
_V2: Mapping[str, Effect] = {
    "ChangeAvailability": availability_answered_2,
    "GetLog": log_answered,
    "GetVariables": variables_read,
    "SetVariables": _both(variables_set, password_answered),
    "UpdateFirmware": signed_firmware_update_answered,
}

RESULTS: Mapping[tuple[str, str], Effect] = {
    (version.value, action): effect
    for version, table in ((Version.V16, _V16), (Version.V201, _V2), (Version.V21, _V2))
    for action, effect in table.items()
}
"""By version ("1.6") and action: called once with the charger's CALLRESULT."""
REQUESTS: Mapping[tuple[str, str], Effect] = {
    (Version.V16.value, "ChangeConfiguration"): _both(configuration_wanted, password_offered),
    (Version.V201.value, "SetVariables"): password_offered,
    (Version.V21.value, "SetVariables"): password_offered,
}
"""Called once when the command is stored, where something must be noted then; ``response`` is empty. It may end the
command: one that is in a final state then goes nowhere."""
ENDS: Mapping[tuple[str, str], End] = {
    (Version.V16.value, "ChangeConfiguration"): _both(configuration_command_ended, password_command_ended),
    (Version.V16.value, "SendLocalList"): local_list_command_ended,
    (Version.V201.value, "SetVariables"): password_command_ended,
    (Version.V21.value, "SetVariables"): password_command_ended,
}
"""Called when the command has come to its end, whatever that is; after ``unknown`` perhaps again."""
