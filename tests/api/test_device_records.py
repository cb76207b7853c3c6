from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from csms.domain.device_records import (
    ChargingProfile,
    Comparison,
    CompositeSchedule,
    ConfigurationKey,
    InstalledCertificate,
    Job,
    JobKind,
    JobState,
    LocalList,
    LocalListEntry,
    Period,
    Reservation,
    ReservationState,
    SecurityEvent,
    WantedAvailability,
    WishState,
)
from csms.domain.model import Charger
from csms.domain.repositories import UnitOfWork
from csms.domain.repositories_certificates import IssuedCertificate
from csms.domain.repositories_devices import Devices
from tests.api.site_case import NOON
from tests.api.test_resources import ResourceTestCase

CHARGER = "/api/v1/chargers/CP-1"
ISSUED = "/api/v1/issued-certificates"
KINDS = ("configuration", "local-list", "reservations", "charging-profiles", "composite-schedules", "jobs")
OTHERS = ("certificates", "availability", "security-events")


class DeviceTestCase(ResourceTestCase):
    async def keep(self, add: Callable[[Devices, int], object], device_id: str = "CP-1") -> int:
        """Add records of a charger, which is made where it is not there; its key."""

        def work(uow: UnitOfWork) -> int:
            charger = uow.chargers.by_device_id(device_id) or uow.chargers.add(Charger(device_id=device_id))
            charger.booted_at = NOON
            add(uow.devices, charger.id)
            return charger.id

        key: int = await self.write(work)
        return key

    async def only(self, path: str) -> dict[str, Any]:
        (item,) = (await self.json(path))["items"]
        found: dict[str, Any] = item
        return found


class InForceTest(DeviceTestCase):
    async def test_an_unknown_charger_is_not_found(self) -> None:
        for kind in (*KINDS, *OTHERS):
            self.assertEqual((await self.get(f"{CHARGER}/{kind}")).status, 404, kind)

    async def test_a_charger_that_was_never_commanded_has_nothing(self) -> None:
        await self.with_chargers("CP-1")
        for kind in (*KINDS, *OTHERS):
            found = await self.json(f"{CHARGER}/{kind}")
            self.assertEqual(found["entries" if kind == "local-list" else "items"], [], kind)

    async def test_the_configuration_tells_what_is_wanted_and_what_needs_a_reboot(self) -> None:
        def add(devices: Devices, key: int) -> None:
            devices.configuration.add(ConfigurationKey(charger_id=key, key="b", value="1", readonly=True))
            devices.configuration.add(
                ConfigurationKey(
                    charger_id=key,
                    key="A",
                    value="10",
                    wanted="20",
                    wanted_status="RebootRequired",
                    answered_at=NOON + timedelta(minutes=1),
                    command_id="c1",
                )
            )

        await self.keep(add)
        first, second = (await self.json(f"{CHARGER}/configuration"))["items"]
        self.assertEqual((first["key"], first["value"], first["wanted"], first["commandId"]), ("A", "10", "20", "c1"))
        self.assertEqual((first["differs"], first["rebootRequired"], first["readonly"]), (True, True, False))
        self.assertEqual((second["key"], second["wanted"], second["readonly"]), ("b", None, True))
        self.assertEqual((second["differs"], second["rebootRequired"]), (False, False))

    async def test_the_local_list_has_its_version_and_entries(self) -> None:
        def add(devices: Devices, key: int) -> None:
            devices.local_lists.add(LocalList(charger_id=key, version=7, reported_version=6, updated_at=NOON))
            for token in ("b", "A"):
                devices.local_list_entries.add(LocalListEntry(charger_id=key, id_token=token, status="Accepted"))

        await self.keep(add)
        found = await self.json(f"{CHARGER}/local-list")
        self.assertEqual((found["version"], found["reportedVersion"], found["inStep"]), (7, 6, False))
        self.assertEqual(
            [(one["idToken"], one["status"]) for one in found["entries"]], [("A", "Accepted"), ("b", "Accepted")]
        )

    async def test_charging_profiles_have_their_periods(self) -> None:
        def add(devices: Devices, key: int) -> None:
            devices.charging_profiles.add(
                ChargingProfile(
                    charger_id=key,
                    evse_id=1,
                    profile_id=5,
                    stack_level=2,
                    purpose="TxDefaultProfile",
                    kind="Absolute",
                    unit="A",
                    periods=(Period(0, 16.0, 3), Period(60, 8.0)),
                    set_at=NOON,
                )
            )

        await self.keep(add)
        found = await self.only(f"{CHARGER}/charging-profiles")
        self.assertEqual((found["profileId"], found["stackLevel"], found["unit"]), (5, 2, "A"))
        self.assertEqual(
            found["periods"],
            [{"startS": 0.0, "limit": 16.0, "phases": 3}, {"startS": 60.0, "limit": 8.0, "phases": None}],
        )

    async def test_composite_schedules_are_beside_what_is_expected(self) -> None:
        def add(devices: Devices, key: int) -> None:
            devices.composite_schedules.add(
                CompositeSchedule(
                    charger_id=key,
                    evse_id=0,
                    unit="W",
                    starts_at=NOON,
                    duration_s=60,
                    reported_at=NOON,
                    reported=(Period(0, 100.0),),
                    expected=(Period(0, None),),
                    comparison=Comparison.LOWER,
                )
            )

        await self.keep(add)
        found = await self.only(f"{CHARGER}/composite-schedules")
        self.assertEqual((found["comparison"], found["durationS"]), ("lower", 60))
        self.assertEqual((found["reported"][0]["limit"], found["expected"][0]["limit"]), (100.0, None))

    async def test_installed_certificates_are_shown_without_their_text(self) -> None:
        def add(devices: Devices, key: int) -> None:
            devices.certificates.add(
                InstalledCertificate(
                    charger_id=key, use="CentralSystemRootCertificate", serial_number="ab", pem="PEM", installed_at=NOON
                )
            )

        await self.keep(add)
        found = await self.only(f"{CHARGER}/certificates")
        self.assertEqual((found["use"], found["serialNumber"]), ("CentralSystemRootCertificate", "ab"))
        self.assertEqual((found["installedAt"], found["reportedAt"]), ("2026-03-01T12:00:00Z", None))
        self.assertNotIn("PEM", found.values())

    async def test_wanted_availability_is_shown(self) -> None:
        def add(devices: Devices, key: int) -> None:
            wish = WantedAvailability(
                charger_id=key, evse_id=1, connector_id=0, operative=False, state=WishState.SCHEDULED, wanted_at=NOON
            )
            devices.availability.add(wish)

        await self.keep(add)
        found = await self.only(f"{CHARGER}/availability")
        self.assertEqual((found["evseId"], found["operative"], found["state"]), (1, False, "scheduled"))


def _reserve(number: int) -> Callable[[Devices, int], object]:
    state = ReservationState.ACTIVE if number > 1 else ReservationState.USED
    return lambda devices, key: devices.reservations.add(
        Reservation(
            charger_id=key,
            reservation_id=number,
            evse_id=1,
            id_token="A",
            expires_at=NOON,
            state=state,
            answer="Accepted",
            made_at=NOON,
        )
    )


def _job(number: int) -> Callable[[Devices, int], object]:
    return lambda devices, key: devices.jobs.add(
        Job(
            charger_id=key,
            kind=JobKind.LOG,
            state=JobState.DONE,
            created_at=NOON,
            updated_at=NOON,
            request_id=number,
            location="https://files.example/logs",
            history=(("Uploading", "2026-03-01T12:00:00Z"),),
        )
    )


def _event(number: int) -> Callable[[Devices, int], object]:
    return lambda devices, key: devices.security_events.append(
        SecurityEvent(
            charger_id=key,
            message_id=str(number),
            type="TamperDetectionActivated",
            tech_info="lid",
            critical=number == 2,
            occurred_at=NOON,
            received_at=NOON,
        )
    )


class HistoryTest(DeviceTestCase):
    async def check_pages(
        self, path: str, member: str, make: Callable[[int], Callable[[Devices, int], object]], numbers: list[Any]
    ) -> None:
        """Records 1 and 2 of CP-1 and 3 of CP-2 are told newest first, page by page, of one charger or of all."""
        for number, device_id in ((1, "CP-1"), (2, "CP-1"), (3, "CP-2")):
            other = await self.keep(make(number), device_id)
        for of_one in (f"{CHARGER}/{path}", f"/api/v1/{path}"):
            mine = numbers[:2] if of_one.startswith(CHARGER) else numbers
            cursor, seen = "", []
            while True:
                page = await self.json(f"{of_one}?limit=1{cursor}")
                seen += [(one["deviceId"], one[member]) for one in page["items"]]
                if page["next"] is None:
                    break
                cursor = f"&before={page['next']}"
            owners = ["CP-1", "CP-1", "CP-2"]
            self.assertEqual(seen, list(zip(owners, mine, strict=False))[::-1])
        only = await self.json(f"/api/v1/{path}?chargerId={other}")
        self.assertEqual([(one["deviceId"], one[member]) for one in only["items"]], [("CP-2", numbers[2])])

    async def test_reservations_are_paged_with_those_that_are_over(self) -> None:
        await self.check_pages("reservations", "reservationId", _reserve, [1, 2, 3])
        found = (await self.json(f"{CHARGER}/reservations"))["items"]
        self.assertEqual([one["state"] for one in found], ["active", "used"])

    async def test_jobs_are_paged_with_what_their_chargers_told(self) -> None:
        await self.check_pages("jobs", "requestId", _job, [1, 2, 3])
        found = (await self.json(f"{CHARGER}/jobs"))["items"][0]
        self.assertEqual((found["kind"], found["state"]), ("log", "done"))
        self.assertEqual(found["history"], [{"status": "Uploading", "at": "2026-03-01T12:00:00Z"}])

    async def test_security_events_are_paged_and_can_be_the_critical_ones_only(self) -> None:
        await self.check_pages("security-events", "messageId", _event, ["1", "2", "3"])
        for path in (CHARGER, "/api/v1"):
            found = await self.only(f"{path}/security-events?critical=true")
            self.assertEqual((found["messageId"], found["techInfo"], found["critical"]), ("2", "lid", True))


class IssuedCertificatesTest(DeviceTestCase):
    async def issue(self, *serial_numbers: str) -> None:
        def add(uow: UnitOfWork) -> None:
            charger = uow.chargers.by_device_id("CP-1") or uow.chargers.add(Charger(device_id="CP-1"))
            for number, serial_number in enumerate(serial_numbers):
                uow.issued_certificates.add(
                    IssuedCertificate(
                        charger_id=charger.id,
                        device_id="CP-1",
                        fingerprint=f"{number:064x}",
                        serial_number=serial_number,
                        common_name="CP-1",
                        issued_by="CN=Test",
                        pem="PEM",
                        not_before=NOON,
                        not_after=NOON + timedelta(days=1),
                        issued_at=NOON,
                    )
                )

        await self.write(add)

    async def test_the_register_is_paged_newest_first(self) -> None:
        await self.issue("a1", "b2")
        first = await self.json(f"{ISSUED}?limit=1")
        self.assertEqual([one["serialNumber"] for one in first["items"]], ["b2"])
        second = await self.json(f"{ISSUED}?before={first['next']}")
        self.assertEqual(([one["serialNumber"] for one in second["items"]], second["next"]), (["a1"], None))
        charger_id = second["items"][0]["chargerId"]
        self.assertEqual(len(await self.names(f"{ISSUED}?chargerId={charger_id}", "serialNumber")), 2)
        self.assertEqual(await self.names(f"{ISSUED}?chargerId={charger_id + 1}", "serialNumber"), [])

    async def test_a_certificate_is_revoked_once_and_written_down(self) -> None:
        await self.issue("a1", "b2")
        answer = await self.change("POST", f"{ISSUED}/00:A1/revoke", {"reason": "stolen"})
        self.assertEqual(answer.status, 200, answer.body)
        (found,) = answer.json()["items"]
        self.assertEqual((found["revokedAt"], found["revocationReason"]), ("2026-03-01T12:00:00Z", "stolen"))
        self.wait(minutes=1)
        again = await self.change("POST", f"{ISSUED}/a1/revoke", {"reason": "other"})
        self.assertEqual(again.json()["items"], [found])
        self.assertEqual(await self.changes(), [("revokeCertificate", "issued-certificates/a1")])
        self.assertEqual(await self.names(ISSUED, "revokedAt"), [None, "2026-03-01T12:00:00Z"])

    async def test_an_unknown_serial_number_is_not_found(self) -> None:
        self.assertEqual((await self.change("POST", f"{ISSUED}/ff/revoke", {})).status, 404)
