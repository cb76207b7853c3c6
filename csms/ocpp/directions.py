"""Which side may send an action. The JSON schemas do not tell; this is written from the specifications.

1.6 chapters 4 and 5 and the Security Whitepaper (edition 2); 2.0.1 and 2.1 part 2, "Messages".
"""

from __future__ import annotations

import enum

from csms.ocpp.versions import Version


class Direction(enum.Enum):
    """Who sends the request. ``SEND_FROM_CHARGER``: 2.1's message without an answer."""

    FROM_CHARGER = "from charger"
    TO_CHARGER = "to charger"
    BOTH = "both"
    SEND_FROM_CHARGER = "send from charger"

    @property
    def charger_calls(self) -> bool:
        """Whether a charger may send it as a CALL."""
        return self in (Direction.FROM_CHARGER, Direction.BOTH)

    @property
    def csms_calls(self) -> bool:
        """Whether we may send it as a CALL."""
        return self in (Direction.TO_CHARGER, Direction.BOTH)


_FROM_CHARGER_16 = """
    Authorize BootNotification DiagnosticsStatusNotification FirmwareStatusNotification Heartbeat
    LogStatusNotification MeterValues SecurityEventNotification SignCertificate
    SignedFirmwareStatusNotification StartTransaction StatusNotification StopTransaction
"""
_TO_CHARGER_16 = """
    CancelReservation CertificateSigned ChangeAvailability ChangeConfiguration ClearCache
    ClearChargingProfile DeleteCertificate ExtendedTriggerMessage GetCompositeSchedule GetConfiguration
    GetDiagnostics GetInstalledCertificateIds GetLocalListVersion GetLog InstallCertificate
    RemoteStartTransaction RemoteStopTransaction ReserveNow Reset SendLocalList SetChargingProfile
    SignedUpdateFirmware TriggerMessage UnlockConnector UpdateFirmware
"""
_FROM_CHARGER_201 = """
    Authorize BootNotification ClearedChargingLimit FirmwareStatusNotification Get15118EVCertificate
    GetCertificateStatus Heartbeat LogStatusNotification MeterValues NotifyChargingLimit
    NotifyCustomerInformation NotifyDisplayMessages NotifyEVChargingNeeds NotifyEVChargingSchedule
    NotifyEvent NotifyMonitoringReport NotifyReport PublishFirmwareStatusNotification
    ReportChargingProfiles ReservationStatusUpdate SecurityEventNotification SignCertificate
    StatusNotification TransactionEvent
"""
_TO_CHARGER_201 = """
    CancelReservation CertificateSigned ChangeAvailability ClearCache ClearChargingProfile
    ClearDisplayMessage ClearVariableMonitoring CostUpdated CustomerInformation DeleteCertificate
    GetBaseReport GetChargingProfiles GetCompositeSchedule GetDisplayMessages GetInstalledCertificateIds
    GetLocalListVersion GetLog GetMonitoringReport GetReport GetTransactionStatus GetVariables
    InstallCertificate PublishFirmware RequestStartTransaction RequestStopTransaction ReserveNow Reset
    SendLocalList SetChargingProfile SetDisplayMessage SetMonitoringBase SetMonitoringLevel
    SetNetworkProfile SetVariableMonitoring SetVariables TriggerMessage UnlockConnector
    UnpublishFirmware UpdateFirmware
"""
_FROM_CHARGER_21 = (
    _FROM_CHARGER_201
    + """
    BatterySwap ClosePeriodicEventStream GetCertificateChainStatus NotifyDERAlarm NotifyDERStartStop
    NotifyPriorityCharging NotifySettlement OpenPeriodicEventStream PullDynamicScheduleUpdate
    ReportDERControl VatNumberValidation
"""
)
_TO_CHARGER_21 = (
    _TO_CHARGER_201
    + """
    AFRRSignal AdjustPeriodicEventStream ChangeTransactionTariff ClearDERControl ClearTariffs
    GetDERControl GetPeriodicEventStream GetTariffs NotifyAllowedEnergyTransfer NotifyWebPaymentStarted
    RequestBatterySwap SetDERControl SetDefaultTariff UpdateDynamicSchedule UsePriorityCharging
"""
)


def _table(from_charger: str, to_charger: str, sends: str = "") -> dict[str, Direction]:
    return (
        dict.fromkeys(from_charger.split(), Direction.FROM_CHARGER)
        | dict.fromkeys(to_charger.split(), Direction.TO_CHARGER)
        | dict.fromkeys(sends.split(), Direction.SEND_FROM_CHARGER)
        | {"DataTransfer": Direction.BOTH}
    )


DIRECTIONS: dict[Version, dict[str, Direction]] = {
    Version.V16: _table(_FROM_CHARGER_16, _TO_CHARGER_16),
    Version.V201: _table(_FROM_CHARGER_201, _TO_CHARGER_201),
    Version.V21: _table(_FROM_CHARGER_21, _TO_CHARGER_21, sends="NotifyPeriodicEventStream"),
}
"""Every action of every version."""


def direction(version: Version, action: str) -> Direction | None:
    """Who sends ``action``; None when ``version`` has no such action."""
    return DIRECTIONS[version].get(action)
