"""What takes a charger a while: firmware updates, and uploads of diagnostics and logs.

1.6 sections 5.9 and 5.19, Security Whitepaper section 4 and 5: the command is answered at once, notifications tell how
it goes on. They may overtake the answer, and come without any command of ours: then they open a job of their own,
which the answer adopts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from csms.domain.commands import CommandCall
from csms.domain.device_records import Job, JobKind, JobState
from csms.domain.handling import Call
from csms.domain.messages import NotificationType
from csms.domain.payloads import integer, mapping, text
from csms.domain.times import format_time
from csms.ocpp.timestamps import parse_timestamp

MAX_LOCATION = 2000
MAX_HISTORY = 100
"""Statuses of one job that are kept; the oldest go first."""
_OVERTAKES_BY = timedelta(minutes=5)
_RECENT = 10
_IDLE = "Idle"
_DONE = frozenset({"Installed", "Uploaded"})
_FAILED = frozenset(
    {
        *("DownloadFailed", "InstallationFailed", "InstallVerificationFailed", "InvalidSignature"),
        *("InvalidCertificate", "RevokedCertificate"),
        *("UploadFailed", "UploadFailure", "BadMessage", "NotSupportedOperation", "PermissionDenied"),
    }
)
_ENDED = {"AcceptedCanceled": JobState.CANCELLED}
_NO_FILE = "NothingToUpload"


def firmware_update_answered(call: CommandCall) -> None:
    """UpdateFirmware: a job begins. There is no status: an answer is an acceptance."""
    _begin(call, JobKind.FIRMWARE, "Accepted", call.request, scheduled_for=_time(call.request, "retrieveDate"))


def signed_firmware_update_answered(call: CommandCall) -> None:
    """SignedUpdateFirmware: a job begins; with ``AcceptedCanceled`` it takes the place of the one that runs."""
    firmware = mapping(call.request, "firmware")
    status = text(call.response, "status", 40)
    _begin(call, JobKind.FIRMWARE, status, firmware, scheduled_for=_time(firmware, "retrieveDateTime"))


def diagnostics_answered(call: CommandCall) -> None:
    """GetDiagnostics: a job begins, unless there is no file name, and so nothing to upload."""
    status = "Accepted" if text(call.response, "fileName", 255) else _NO_FILE
    _begin(call, JobKind.DIAGNOSTICS, status, call.request, file_name=text(call.response, "fileName", 255))


def log_answered(call: CommandCall) -> None:
    """GetLog: a job begins, for the diagnostics or the security log."""
    status, file_name = text(call.response, "status", 40), text(call.response, "filename", 255)
    _begin(call, JobKind.LOG, status, mapping(call.request, "log"), file_name=file_name)


def job_status(call: Call, kind: JobKind) -> None:
    """A charger's notification: how its job goes on."""
    status = text(call.payload, "status", 40)
    if not status or status == _IDLE:
        return
    request_id = integer(call.payload, "requestId")
    job = _meant(call, kind, request_id)
    if job is None:
        if status in _DONE or status in _FAILED or status in _ENDED:
            return
        job = call.uow.devices.jobs.add(
            Job(
                charger_id=call.charger.id,
                kind=kind,
                state=JobState.RUNNING,
                request_id=request_id,
                created_at=call.received_at,
                updated_at=call.received_at,
            )
        )
    if status != job.status:
        _advance(job, status, call.received_at)
        _tell(call, job)


def _begin(
    call: CommandCall,
    kind: JobKind,
    status: str,
    where: Mapping[str, Any],
    *,
    scheduled_for: datetime | None = None,
    file_name: str = "",
) -> None:
    accepted = status.startswith("Accepted")
    jobs, request_id = call.uow.devices.jobs, integer(call.request, "requestId")
    job = _overtaking(call, kind, request_id) if accepted else None
    if job is None:
        state = JobState.ACCEPTED if accepted else JobState.REFUSED
        created = Job(charger_id=call.charger.id, kind=kind, state=state, created_at=call.now, updated_at=call.now)
        job = jobs.add(created)
        job.status = "" if accepted else status
    if accepted:
        for other in jobs.of(call.charger.id):
            if other.kind is kind and other.open and other.id < job.id:
                other.state, other.updated_at = JobState.CANCELLED, call.now
                _tell(call, other)
    job.action, job.command_id = call.command.action, call.command.command_id
    job.request_id = request_id
    location = where.get("location") or where.get("remoteLocation")
    job.location = _without_password(location) if isinstance(location, str) else ""
    job.log_type = text(call.request, "logType", 40)
    job.file_name = file_name
    job.scheduled_for = scheduled_for
    _tell(call, job)


def _overtaking(call: CommandCall, kind: JobKind, request_id: int | None) -> Job | None:
    """A job of nobody's that began after the command was sent: its notifications, the last one even, came first."""
    since = call.command.sent_at or call.now - _OVERTAKES_BY
    found = (
        job
        for job in call.uow.devices.jobs.page(charger_id=call.charger.id, limit=_RECENT)
        if job.kind is kind and not job.command_id and job.request_id == request_id and job.created_at >= since
    )
    return next(found, None)


def _meant(call: Call, kind: JobKind, request_id: int | None) -> Job | None:
    """The job that a notification is about: of its request id, or the newest that may go on."""
    jobs = [job for job in call.uow.devices.jobs.of(call.charger.id) if job.kind is kind]
    if request_id is not None:
        jobs = [job for job in jobs if job.request_id == request_id]
    return jobs[-1] if jobs else None


def _advance(job: Job, status: str, at: datetime) -> None:
    job.status = status
    job.updated_at = at
    job.history = (*job.history, (status, format_time(at)))[-MAX_HISTORY:]
    if status in _DONE:
        job.state = JobState.DONE
    elif status in _FAILED:
        job.state = JobState.FAILED
    else:
        job.state = _ENDED.get(status, JobState.RUNNING)


def _without_password(location: str) -> str:
    """``location`` without user and password, which are secrets of another server."""
    try:
        parts = urlsplit(location[:MAX_LOCATION])
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    except ValueError:
        return ""


def _time(source: Mapping[str, Any], name: str) -> datetime | None:
    value = source.get(name)
    return parse_timestamp(value) if isinstance(value, str) else None


def _tell(call: Call | CommandCall, job: Job) -> None:
    call.tell(
        NotificationType.JOB_CHANGED,
        jobId=job.id,
        jobKind=job.kind.value,
        state=job.state.value,
        status=job.status or None,
        requestId=job.request_id,
        commandId=job.command_id or None,
    )
