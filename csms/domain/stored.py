"""Where what the actions of 1.6 change is found: the tables of the database. For people, and checked by a test.

Besides these, each message of a charger is in ``charger_data`` (of heartbeats and of what is refused only so many), and
each command with its answer in ``commands``.
"""

from __future__ import annotations

from collections.abc import Mapping

TO_CHARGER: Mapping[str, tuple[str, ...]] = {
    "CancelReservation": ("reservations",),
    "CertificateSigned": ("installed_certificates",),
    "ChangeAvailability": ("wanted_availability",),
    "ChangeConfiguration": ("configuration_keys",),
    "ClearCache": (),
    "ClearChargingProfile": ("charging_profiles",),
    "DataTransfer": (),
    "DeleteCertificate": ("installed_certificates",),
    "ExtendedTriggerMessage": (),
    "GetCompositeSchedule": ("composite_schedules",),
    "GetConfiguration": ("configuration_keys",),
    "GetDiagnostics": ("jobs",),
    "GetInstalledCertificateIds": ("installed_certificates",),
    "GetLocalListVersion": ("local_lists", "local_list_entries"),
    "GetLog": ("jobs",),
    "InstallCertificate": ("installed_certificates",),
    "RemoteStartTransaction": ("charging_profiles",),
    "RemoteStopTransaction": (),
    "ReserveNow": ("reservations",),
    "Reset": (),
    "SendLocalList": ("local_lists", "local_list_entries"),
    "SetChargingProfile": ("charging_profiles",),
    "SignedUpdateFirmware": ("jobs",),
    "TriggerMessage": (),
    "UnlockConnector": (),
    "UpdateFirmware": ("jobs",),
}
"""Commands: what the charger's answer changes."""

FROM_CHARGER: Mapping[str, tuple[str, ...]] = {
    "Authorize": (),
    "BootNotification": ("chargers",),
    "DataTransfer": (),
    "DiagnosticsStatusNotification": ("chargers", "jobs"),
    "FirmwareStatusNotification": ("chargers", "jobs"),
    "Heartbeat": ("chargers",),
    "LogStatusNotification": ("chargers", "jobs"),
    "MeterValues": ("meter_values", "charging_sessions"),
    "SecurityEventNotification": ("security_events",),
    "SignCertificate": ("certificate_requests",),
    "SignedFirmwareStatusNotification": ("chargers", "jobs"),
    "StartTransaction": ("charging_sessions", "reservations", "charging_profiles"),
    "StatusNotification": ("connectors", "reservations", "wanted_availability"),
    "StopTransaction": ("charging_sessions", "meter_values", "charging_profiles"),
}
"""What a charger's message changes."""
