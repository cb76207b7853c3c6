"""Firmware updates and uploads, from the command to what the charger says at the end."""

from __future__ import annotations

import unittest
from datetime import timedelta
from typing import Any

from csms.domain.device_records import Job, JobKind, JobState
from csms.domain.jobs import MAX_HISTORY
from csms.domain.messages import NotificationType
from csms.ocpp.versions import Version
from tests.domain.commanding import ACCEPTED, CommandedStation
from tests.domain.station import NOON, iso

UPDATE = {"location": "ftp://user:secret@files.example:2121/fw.bin?x=1", "retrieveDate": iso(NOON + timedelta(hours=1))}
DIAGNOSTICS = {"location": "https://logs.example/upload"}


def signed(request_id: int) -> dict[str, Any]:
    firmware = {
        "location": "https://files.example/fw.bin",
        "retrieveDateTime": iso(NOON),
        "signingCertificate": "-",
        "signature": "-",
    }
    return {"requestId": request_id, "firmware": firmware}


def log(request_id: int) -> dict[str, Any]:
    remote = {"remoteLocation": "https://user:secret@logs.example/upload"}
    return {"requestId": request_id, "logType": "SecurityLog", "log": remote}


class JobsCase(unittest.TestCase):
    def setUp(self) -> None:
        self.station = CommandedStation()

    @property
    def jobs(self) -> list[Job]:
        return list(self.station.devices.jobs.rows.values())

    @property
    def job(self) -> Job:
        """The only one."""
        (job,) = self.jobs
        return job

    def firmware(self, *statuses: str) -> None:
        for status in statuses:
            self.station.wait(minutes=1)
            self.station.send("FirmwareStatusNotification", {"status": status})


class FirmwareUpdates(JobsCase):
    def test_an_update_is_followed_to_its_end(self) -> None:
        self.station.command("UpdateFirmware", UPDATE, {})
        self.assertEqual((self.job.kind, self.job.state, self.job.status), (JobKind.FIRMWARE, JobState.ACCEPTED, ""))
        self.assertEqual((self.job.action, self.job.command_id), ("UpdateFirmware", "command-1"))
        self.assertEqual(self.job.scheduled_for, NOON + timedelta(hours=1))
        self.firmware("Downloading", "Downloading", "Downloaded", "Installing")
        self.assertIs(self.job.state, JobState.RUNNING)
        self.firmware("Installed")
        self.assertIs(self.job.state, JobState.DONE)
        self.assertEqual(
            [status for status, _ in self.job.history], ["Downloading", "Downloaded", "Installing", "Installed"]
        )
        self.assertEqual(self.job.history[0][1], "2026-06-01T12:01:01.000Z")
        told = self.station.last(NotificationType.JOB_CHANGED)
        self.assertEqual((told["jobKind"], told["state"], told["status"]), ("firmware", "done", "Installed"))

    def test_user_and_password_of_a_location_are_not_kept(self) -> None:
        self.station.command("UpdateFirmware", UPDATE, {})
        self.assertEqual(self.job.location, "ftp://files.example:2121/fw.bin?x=1")

    def test_a_failed_download_may_go_on(self) -> None:
        self.station.command("UpdateFirmware", UPDATE, {})
        self.firmware("Downloading", "DownloadFailed")
        self.assertIs(self.job.state, JobState.FAILED)
        self.firmware("Downloading", "Installed")
        self.assertIs(self.job.state, JobState.DONE)

    def test_notifications_that_overtake_the_answer_belong_to_it(self) -> None:
        command = self.station.ask("UpdateFirmware", UPDATE)
        command.sent_at = self.station.now
        self.firmware("Downloading")
        self.assertEqual(self.job.command_id, "")
        self.station.answer(command, {})
        self.assertEqual((self.job.command_id, self.job.state), ("command-1", JobState.RUNNING))

    def test_a_job_may_be_done_before_its_command_is_answered(self) -> None:
        command = self.station.ask("GetLog", log(3))
        command.sent_at = self.station.now
        for status in ("Uploading", "Uploaded"):
            self.station.send("LogStatusNotification", {"status": status, "requestId": 3})
        self.station.answer(command)
        self.assertEqual((self.job.command_id, self.job.state), ("command-1", JobState.DONE))

    def test_an_update_that_somebody_else_began_has_a_job_of_its_own(self) -> None:
        self.firmware("Downloading")
        self.station.wait(minutes=1)
        self.station.command("UpdateFirmware", UPDATE, {})
        self.assertEqual([job.state for job in self.jobs], [JobState.CANCELLED, JobState.ACCEPTED])
        self.assertEqual([job.command_id for job in self.jobs], ["", "command-1"])

    def test_what_is_said_of_no_job_makes_none(self) -> None:
        self.firmware("Idle", "Installed", "InstallationFailed")
        self.assertEqual(self.jobs, [])
        self.assertEqual(self.station.charger.firmware_status, "InstallationFailed")

    def test_idle_leaves_a_job_as_it_is(self) -> None:
        self.station.command("UpdateFirmware", UPDATE, {})
        self.firmware("Downloading", "Idle")
        self.assertEqual((self.job.status, self.job.state), ("Downloading", JobState.RUNNING))

    def test_a_history_is_bounded(self) -> None:
        self.station.command("UpdateFirmware", UPDATE, {})
        self.firmware(*["Downloading", "DownloadFailed"] * MAX_HISTORY)
        self.assertEqual(len(self.job.history), MAX_HISTORY)
        self.assertEqual(self.job.history[-1][0], "DownloadFailed")


class SignedUpdates(JobsCase):
    def status(self, request_id: int, *statuses: str) -> None:
        for status in statuses:
            self.station.send("SignedFirmwareStatusNotification", {"status": status, "requestId": request_id})

    def test_the_request_id_tells_the_job(self) -> None:
        self.station.command("SignedUpdateFirmware", signed(1))
        self.station.command("SignedUpdateFirmware", signed(2), {"status": "AcceptedCanceled"})
        self.assertEqual([job.state for job in self.jobs], [JobState.CANCELLED, JobState.ACCEPTED])
        self.status(2, "Downloading", "InvalidSignature")
        self.assertEqual([job.state for job in self.jobs], [JobState.CANCELLED, JobState.FAILED])
        self.status(1, "Installed")
        self.assertEqual(len(self.jobs), 2)

    def test_a_refused_one_is_kept_with_the_reason(self) -> None:
        self.station.command("SignedUpdateFirmware", signed(1))
        for answer in ("Rejected", "InvalidCertificate", "RevokedCertificate"):
            self.station.command("SignedUpdateFirmware", signed(2), {"status": answer})
            self.assertEqual((self.jobs[-1].state, self.jobs[-1].status), (JobState.REFUSED, answer))
        self.assertIs(self.jobs[0].state, JobState.ACCEPTED)

    def test_2x_updates_are_followed_in_the_same_way(self) -> None:
        for version in (Version.V201, Version.V21):
            station = CommandedStation(version)
            station.command("UpdateFirmware", signed(1))
            station.send("FirmwareStatusNotification", {"status": "Installed", "requestId": 1})
            (job,) = station.devices.jobs.rows.values()
            self.assertEqual((job.state, job.request_id), (JobState.DONE, 1))


class Uploads(JobsCase):
    def test_diagnostics_are_followed_to_their_end(self) -> None:
        self.station.command("GetDiagnostics", DIAGNOSTICS, {"fileName": "diag.zip"})
        self.assertEqual((self.job.kind, self.job.file_name), (JobKind.DIAGNOSTICS, "diag.zip"))
        for status in ("Uploading", "Uploaded"):
            self.station.send("DiagnosticsStatusNotification", {"status": status})
        self.assertIs(self.job.state, JobState.DONE)

    def test_without_a_file_there_is_nothing_to_upload(self) -> None:
        self.station.command("GetDiagnostics", DIAGNOSTICS, {})
        self.assertEqual((self.job.state, self.job.status), (JobState.REFUSED, "NothingToUpload"))

    def test_logs_are_told_by_their_request_id(self) -> None:
        self.station.command("GetLog", log(1), ACCEPTED | {"filename": "a.log"})
        self.assertEqual((self.job.log_type, self.job.file_name), ("SecurityLog", "a.log"))
        self.assertEqual(self.job.location, "https://logs.example/upload")
        self.station.command("GetLog", log(2), {"status": "AcceptedCanceled"})
        self.station.send("LogStatusNotification", {"status": "Uploaded", "requestId": 2})
        self.assertEqual([job.state for job in self.jobs], [JobState.CANCELLED, JobState.DONE])

    def test_2x_tells_of_a_log_that_another_took_the_place_of(self) -> None:
        station = CommandedStation(Version.V201)
        station.command("GetLog", log(1))
        station.send("LogStatusNotification", {"status": "AcceptedCanceled", "requestId": 1})
        (job,) = station.devices.jobs.rows.values()
        self.assertIs(job.state, JobState.CANCELLED)

    def test_each_failure_is_one(self) -> None:
        for number, status in enumerate(
            ("BadMessage", "NotSupportedOperation", "PermissionDenied", "UploadFailure"), start=1
        ):
            self.station.command("GetLog", log(number))
            self.station.send("LogStatusNotification", {"status": status, "requestId": number})
            self.assertIs(self.jobs[-1].state, JobState.FAILED)

    def test_diagnostics_and_logs_are_not_in_each_others_way(self) -> None:
        self.station.command("GetDiagnostics", DIAGNOSTICS, {"fileName": "diag.zip"})
        self.station.command("GetLog", log(1))
        self.station.send("DiagnosticsStatusNotification", {"status": "Uploaded"})
        self.assertEqual([job.state for job in self.jobs], [JobState.DONE, JobState.ACCEPTED])
