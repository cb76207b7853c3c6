"""Every kind of agreement with a 1.6 charger, made and changed; and what is kept of it, to be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from csms.domain.repositories import UnitOfWork
from tests.domain.commanding import ACCEPTED, CommandedStation
from tests.domain.station import NOON, iso, sampled_16

KINDS = (
    *("configuration", "local_lists", "local_list_entries", "reservations", "charging_profiles"),
    *("composite_schedules", "jobs", "certificates", "availability"),
)
_PERIODS = [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 60, "limit": 8.5, "numberPhases": 1}]
_SCHEDULE = {"chargingRateUnit": "A", "chargingSchedulePeriod": _PERIODS}
_MAKER = "ManufacturerRootCertificate"


def profile(profile_id: int, purpose: str = "TxDefaultProfile", **fields: Any) -> dict[str, Any]:
    return {
        "chargingProfileId": profile_id,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": _SCHEDULE,
    } | fields


def hashes(serial_number: str) -> dict[str, str]:
    return {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": serial_number}


def play(station: CommandedStation) -> None:
    """All commands and messages that change anything."""
    station.send("BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"})
    _settings(station)
    _lists(station)
    _reservations(station)
    _profiles(station)
    _jobs(station)
    _certificates(station)
    _availability(station)
    station.send("SecurityEventNotification", {"type": "MemoryExhaustion", "timestamp": iso(station.now)})
    station.wait(hours=1)
    station.send("Heartbeat", {})


def kept(uow: UnitOfWork, charger_id: int) -> dict[str, Sequence[Any]]:
    """All records of the charger, without the keys that a database makes."""
    records = {kind: getattr(uow.devices, kind).page(charger_id=charger_id) for kind in KINDS}
    return {kind: [_plain(one) for one in found] for kind, found in records.items()}


def _plain(record: Any) -> Any:
    fields: dict[str, Any] = {"id": 0, "charger_id": 0}
    if getattr(record, "session_id", None) is not None:
        fields["session_id"] = 1
    if hasattr(record, "transaction_id"):
        fields["transaction_id"] = "some" if record.transaction_id else ""
    return replace(record, **fields)


def _settings(station: CommandedStation) -> None:
    reported = [{"key": "A", "readonly": True, "value": "1"}, {"key": "B", "readonly": False}]
    station.command("GetConfiguration", {}, {"configurationKey": reported, "unknownKey": ["C"]})
    for key, answer in (("a", "Rejected"), ("B", "Accepted"), ("D", "RebootRequired"), ("E", "NotSupported")):
        station.command("ChangeConfiguration", {"key": key, "value": "2"}, {"status": answer})
    station.ask("ChangeConfiguration", {"key": "B", "value": "3"})


def _lists(station: CommandedStation) -> None:
    entries = [{"idTag": tag, "idTagInfo": {"status": "Accepted"}} for tag in ("A", "B", "C")]
    full = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": entries}
    station.command("SendLocalList", full)
    changes = [{"idTag": "b"}, {"idTag": "a", "idTagInfo": {"status": "Blocked", "parentIdTag": "P"}}]
    station.command(
        "SendLocalList", {"listVersion": 2, "updateType": "Differential", "localAuthorizationList": changes}
    )
    station.command("GetLocalListVersion", {}, {"listVersion": 0})
    station.command("SendLocalList", full)


def _reservations(station: CommandedStation) -> None:
    for number, connector, answer in ((1, 1, "Accepted"), (2, 2, "Accepted"), (3, 0, "Occupied"), (4, 0, "Accepted")):
        expiry = iso(NOON + timedelta(hours=3))
        request = {"connectorId": connector, "expiryDate": expiry, "idTag": f"CARD{number}", "reservationId": number}
        station.command("ReserveNow", request, {"status": answer})
    station.command("CancelReservation", {"reservationId": 2})
    transaction = station.start(connectorId=1, idTag="CARD1", reservationId=1)
    values = [sampled_16(station.now, {"value": "1500"})]
    station.send("MeterValues", {"connectorId": 1, "transactionId": transaction, "meterValue": values})
    later = [sampled_16(station.now + timedelta(seconds=1), {"value": "3500"})]
    station.stop(transaction, transactionData=later)
    station.send("StatusNotification", {"connectorId": 0, "status": "Faulted", "errorCode": "OtherError"})


def _profiles(station: CommandedStation) -> None:
    station.wait(minutes=1)
    for number in (1, 2):
        station.command("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile(number)})
    cap = profile(3, "ChargePointMaxProfile")
    station.command("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": cap})
    station.command("ClearChargingProfile", {"id": 3})
    of_transaction = profile(4, "TxProfile")
    station.command("RemoteStartTransaction", {"idTag": "CARD", "chargingProfile": of_transaction})
    transaction = station.start(connectorId=1, idTag="CARD")
    station.wait(minutes=1)
    station.stop(transaction)
    station.command("RemoteStartTransaction", {"idTag": "CARD", "chargingProfile": of_transaction})
    station.start(connectorId=1, idTag="CARD")
    answer = ACCEPTED | {"connectorId": 1, "scheduleStart": iso(station.now), "chargingSchedule": _SCHEDULE}
    station.command("GetCompositeSchedule", {"connectorId": 1, "duration": 120}, answer)


def _jobs(station: CommandedStation) -> None:
    station.command("GetDiagnostics", {"location": "ftp://files.example/"}, {"fileName": "a.zip"})
    station.send("DiagnosticsStatusNotification", {"status": "Uploading"})
    station.send("DiagnosticsStatusNotification", {"status": "Uploaded"})
    station.command("UpdateFirmware", {"location": "ftp://files.example/", "retrieveDate": iso(NOON)}, {})
    station.send("FirmwareStatusNotification", {"status": "Downloading"})
    firmware = {"location": "-", "retrieveDateTime": iso(NOON), "signingCertificate": "-", "signature": "-"}
    station.command("SignedUpdateFirmware", {"requestId": 7, "firmware": firmware}, {"status": "AcceptedCanceled"})
    station.send("SignedFirmwareStatusNotification", {"status": "InvalidSignature", "requestId": 7})
    remote = {"remoteLocation": "ftp://files.example/"}
    station.command("GetLog", {"requestId": 8, "logType": "SecurityLog", "log": remote}, {"status": "Rejected"})
    station.command("GetLog", {"requestId": 9, "logType": "DiagnosticsLog", "log": remote})
    station.send("LogStatusNotification", {"status": "Uploading", "requestId": 9})


def _certificates(station: CommandedStation) -> None:
    station.command("InstallCertificate", {"certificateType": _MAKER, "certificate": "-"})
    found = {"status": "Accepted", "certificateHashData": [hashes("1"), hashes("2")]}
    station.command("GetInstalledCertificateIds", {"certificateType": _MAKER}, found)
    station.command("DeleteCertificate", {"certificateHashData": hashes("01")})
    station.command("CertificateSigned", {"certificateChain": "-"})


def _availability(station: CommandedStation) -> None:
    station.command("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}, {"status": "Scheduled"})
    station.command("ChangeAvailability", {"connectorId": 2, "type": "Inoperative"})
    station.send("StatusNotification", {"connectorId": 2, "status": "Unavailable", "errorCode": "NoError"})
