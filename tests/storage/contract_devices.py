"""What was agreed with chargers, for each kind of database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

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
from csms.storage.tables_devices import local_list_entries
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase


def a_reservation(charger_id: int, number: int = 1, **values: Any) -> Reservation:
    fields: dict[str, Any] = {
        "reservation_id": number,
        "evse_id": 1,
        "id_token": "CARD",
        "expires_at": NOW + timedelta(minutes=number),
        "state": ReservationState.ACTIVE,
        "answer": "Accepted",
        "made_at": NOW,
    } | values
    return Reservation(charger_id=charger_id, **fields)


def an_event(charger_id: int, number: int, **values: Any) -> SecurityEvent:
    fields: dict[str, Any] = {"type": "InvalidMessages", "tech_info": "", "critical": False} | values
    return SecurityEvent(
        charger_id=charger_id, message_id=f"message-{number}", occurred_at=NOW, received_at=NOW, **fields
    )


FULL: dict[str, Callable[[int], Any]] = {
    "configuration": lambda charger_id: ConfigurationKey(
        charger_id=charger_id,
        key="HeartbeatInterval",
        value="300",
        readonly=True,
        known=False,
        reported_at=NOW,
        wanted="60",
        wanted_status="Pending",
        wanted_at=NOW,
        answered_at=NOW,
        command_id="c",
    ),
    "local_lists": lambda charger_id: LocalList(
        charger_id=charger_id,
        version=3,
        reported_version=-1,
        reported_at=NOW,
        last_answer="Failed",
        in_step=True,
        updated_at=NOW,
        command_id="c",
    ),
    "local_list_entries": lambda charger_id: LocalListEntry(
        charger_id=charger_id, id_token="T" * 10_000, status="Accepted", expires_at=NOW, parent="p"
    ),
    "reservations": lambda charger_id: a_reservation(
        charger_id, parent_id_token="p", ended_at=NOW, session_id=2**40, command_id="c"
    ),
    "charging_profiles": lambda charger_id: ChargingProfile(
        charger_id=charger_id,
        evse_id=1,
        profile_id=2,
        stack_level=3,
        purpose="TxProfile",
        kind="Recurring",
        recurrency="Daily",
        valid_from=NOW,
        valid_to=NOW,
        transaction_id="42",
        unit="A",
        start_schedule=NOW,
        duration_s=60,
        min_rate=6.5,
        periods=(Period(0.0, 16.0, 1), Period(60.0, 32.5, None)),
        set_at=NOW,
        command_id="c",
    ),
    "composite_schedules": lambda charger_id: CompositeSchedule(
        charger_id=charger_id,
        evse_id=1,
        unit="W",
        starts_at=NOW,
        duration_s=60,
        reported_at=NOW,
        reported=(Period(0.0, 1.5),),
        expected=(Period(0.0, None),),
        comparison=Comparison.HIGHER,
        command_id="c",
    ),
    "jobs": lambda charger_id: Job(
        charger_id=charger_id,
        kind=JobKind.LOG,
        state=JobState.FAILED,
        created_at=NOW,
        action="GetLog",
        request_id=7,
        location="ftp://host/",
        log_type="SecurityLog",
        file_name="f",
        scheduled_for=NOW,
        status="Uploading",
        history=(("Uploading", "2026-03-14T09:26:53.589Z"),),
        updated_at=NOW,
        command_id="c",
    ),
    "certificates": lambda charger_id: InstalledCertificate(
        charger_id=charger_id,
        use="ManufacturerRootCertificate",
        hash_algorithm="SHA256",
        issuer_name_hash="a",
        issuer_key_hash="b",
        serial_number="c",
        pem="d",
        installed_at=NOW,
        reported_at=NOW,
        command_id="c",
    ),
    "availability": lambda charger_id: WantedAvailability(
        charger_id=charger_id,
        evse_id=1,
        connector_id=2,
        operative=True,
        state=WishState.SCHEDULED,
        wanted_at=NOW,
        applied_at=NOW,
        command_id="c",
    ),
}


class DevicesContract(DatabaseCase):
    async def test_every_field_of_every_record_comes_back(self) -> None:
        charger_id = await self.a_charger()
        for kind, make in FULL.items():
            with self.subTest(kind=kind):
                full = make(charger_id)
                await self.write(lambda uow, kind, full: getattr(uow.devices, kind).add(full), kind, full)
                self.assertEqual(
                    await self.look(lambda uow, kind: getattr(uow.devices, kind).of(charger_id), kind), [full]
                )
                self.assertEqual(await self.look(lambda uow, kind: getattr(uow.devices, kind).page(), kind), [full])

    async def test_records_of_a_removed_charger_go_with_it_and_its_security_events_stay(self) -> None:
        charger_id = await self.a_charger()

        def fill(uow: SqlUnitOfWork) -> None:
            for kind, make in FULL.items():
                getattr(uow.devices, kind).add(make(charger_id))
            uow.devices.security_events.append(an_event(charger_id, 1))

        await self.write(fill)
        await self.write(lambda uow: uow.chargers.remove("CP-1"))
        for kind in FULL:
            self.assertEqual(await self.look(lambda uow, kind: getattr(uow.devices, kind).page(), kind), [])
        self.assertEqual(len(await self.look(lambda uow: uow.devices.security_events.page())), 1)

    async def test_changes_are_written_and_seen_before(self) -> None:
        charger_id = await self.a_charger()
        await self.write(lambda uow: uow.devices.jobs.add(FULL["jobs"](charger_id)))

        def change(uow: SqlUnitOfWork) -> None:
            (job,) = uow.devices.jobs.of(charger_id)
            job.state, job.history = JobState.RUNNING, (*job.history, ("Again", "2026"))
            self.assertIs(uow.devices.jobs.of(charger_id)[0], job)

        await self.write(change)
        (job,) = await self.look(lambda uow: uow.devices.jobs.of(charger_id))
        self.assertEqual((job.state, len(job.history)), (JobState.RUNNING, 2))

    async def test_one_may_take_the_place_of_another_in_one_transaction(self) -> None:
        charger_id = await self.a_charger()
        await self.write(lambda uow: uow.devices.charging_profiles.add(FULL["charging_profiles"](charger_id)))

        def replaced(uow: SqlUnitOfWork) -> None:
            profiles = uow.devices.charging_profiles
            for level in (4, 5):
                profiles.remove(profiles.of(charger_id)[0])
                profiles.add(replace(FULL["charging_profiles"](charger_id), stack_level=level))

        await self.write(replaced)
        found = await self.look(lambda uow: uow.devices.charging_profiles.page())
        self.assertEqual([one.stack_level for one in found], [5])

    async def test_what_is_removed_before_it_was_written_never_was(self) -> None:
        charger_id = await self.a_charger()

        def nothing(uow: SqlUnitOfWork) -> None:
            profiles = uow.devices.charging_profiles
            profiles.remove(profiles.add(FULL["charging_profiles"](charger_id)))
            self.assertEqual(profiles.of(charger_id), [])

        await self.write(nothing)
        self.assertEqual(await self.look(lambda uow: uow.devices.charging_profiles.page()), [])

    async def test_racing_wishes_for_one_key_make_one_record(self) -> None:
        charger_id = await self.a_charger()

        def wish(uow: SqlUnitOfWork, number: int) -> None:
            keys = uow.devices.configuration
            name = "heartbeatinterval" if number % 2 else "HeartbeatInterval"
            known = [one for one in keys.of(charger_id) if one.key.casefold() == name.casefold()]
            record = known[0] if known else keys.add(ConfigurationKey(charger_id=charger_id, key=name))
            record.wanted = f"{int(record.wanted or 0) + 1}"

        await self.race(wish)
        self.assertEqual(len(await self.look(lambda uow: uow.devices.configuration.of(charger_id))), 1)

    async def test_a_list_of_thousands_is_replaced_in_a_few_statements(self) -> None:
        charger_id = await self.a_charger()

        def fill(uow: SqlUnitOfWork, first: int) -> None:
            entries = uow.devices.local_list_entries
            for entry in entries.of(charger_id):
                entries.remove(entry)
            for number in range(first, first + 3000):
                entries.add(LocalListEntry(charger_id=charger_id, id_token=f"T{number}", status="Accepted"))

        await self.write(fill, 0)
        statements = self.statements()
        await self.write(fill, 2000)
        self.assertLessEqual(len(statements), 20)
        count = select(func.count(), func.min(local_list_entries.c.id_token)).select_from(local_list_entries)
        self.assertEqual(await self.look(lambda uow: tuple(uow._sql.rows(count)[0])), (3000, "T2000"))

    async def test_of_what_a_batch_may_change_only_those_kinds_are_fetched_that_there_are(self) -> None:
        here, there = await self.a_charger(), await self.a_charger("CP-2")

        def load(uow: SqlUnitOfWork) -> tuple[list[int], ...]:
            uow.devices.load(with_status=[here, there], with_bounds=[here, there])
            kinds: tuple[Any, ...] = (uow.devices.availability, uow.devices.reservations, uow.devices.charging_profiles)
            return tuple([len(records.of(charger_id)) for charger_id in (here, there)] for records in kinds)

        statements = self.statements()
        self.assertEqual(await self.look(load), ([0, 0], [0, 0], [0, 0]))
        self.assertEqual(len({one for one in statements if "charger_id" in one}), 1)
        await self.write(lambda uow: uow.devices.reservations.add(a_reservation(there)))
        await self.write(lambda uow: uow.devices.charging_profiles.add(FULL["charging_profiles"](here)))
        del statements[:]
        self.assertEqual(await self.look(load), ([0, 0], [0, 1], [1, 0]))
        self.assertEqual(len({one for one in statements if "charger_id" in one}), 3)

    async def test_only_active_reservations_are_in_force_and_all_are_listed(self) -> None:
        charger_id, other = await self.a_charger(), await self.a_charger("CP-2")

        def fill(uow: SqlUnitOfWork) -> None:
            for number, state in enumerate(ReservationState, start=1):
                uow.devices.reservations.add(a_reservation(charger_id, number, state=state))
            uow.devices.reservations.add(a_reservation(other))

        await self.write(fill)
        in_force = await self.look(lambda uow: uow.devices.reservations.of(charger_id))
        self.assertEqual([one.state for one in in_force], [ReservationState.ACTIVE])
        first = await self.look(lambda uow: uow.devices.reservations.page(charger_id=charger_id, limit=4))
        rest = await self.look(
            lambda uow: uow.devices.reservations.page(charger_id=charger_id, before_id=first[-1].id, limit=9)
        )
        self.assertEqual([one.state for one in [*rest[::-1], *first[::-1]]], list(ReservationState))

    async def test_a_reservation_that_ended_in_a_transaction_is_not_in_force_in_it(self) -> None:
        charger_id = await self.a_charger()
        await self.write(lambda uow: uow.devices.reservations.add(a_reservation(charger_id)))

        def end(uow: SqlUnitOfWork) -> None:
            uow.devices.reservations.of(charger_id)[0].state = ReservationState.USED
            self.assertEqual(uow.devices.reservations.of(charger_id), [])
            self.assertEqual(uow.devices.reservations.overdue(NOW + timedelta(days=1), limit=10), [])

        await self.write(end)

    async def test_overdue_reservations_come_in_the_order_of_their_time(self) -> None:
        charger_id = await self.a_charger()

        def fill(uow: SqlUnitOfWork) -> None:
            for number in (3, 1, 2):
                uow.devices.reservations.add(a_reservation(charger_id, number))
            uow.devices.reservations.add(a_reservation(charger_id, 4, state=ReservationState.USED))

        await self.write(fill)

        def overdue(uow: SqlUnitOfWork, minutes: int, limit: int) -> list[int]:
            found = uow.devices.reservations.overdue(NOW + timedelta(minutes=minutes), limit=limit)
            return [one.reservation_id for one in found]

        self.assertEqual(await self.write(overdue, 0, 10), [])
        self.assertEqual(await self.write(overdue, 2, 10), [1, 2])
        self.assertEqual(await self.write(overdue, 10, 2), [1, 2])

    async def test_of_jobs_those_that_may_go_on_are_in_force(self) -> None:
        charger_id = await self.a_charger()

        def fill(uow: SqlUnitOfWork) -> None:
            for state in JobState:
                uow.devices.jobs.add(replace(FULL["jobs"](charger_id), state=state))

        await self.write(fill)
        found = await self.look(lambda uow: uow.devices.jobs.of(charger_id))
        self.assertEqual([job.state for job in found], [JobState.ACCEPTED, JobState.RUNNING, JobState.FAILED])

    async def test_security_events_are_listed_newest_first(self) -> None:
        one, two = await self.a_charger(), await self.a_charger("CP-2")
        events = [an_event(one, 1), an_event(two, 2), an_event(one, 3, critical=True, type="MemoryExhaustion")]

        def fill(uow: SqlUnitOfWork) -> None:
            for event in events:
                uow.devices.security_events.append(event)

        await self.write(fill)
        page = await self.look(lambda uow: uow.devices.security_events.page())
        self.assertEqual([replace(event, id=0) for event in page], events[::-1])
        cases: list[tuple[dict[str, Any], list[int]]] = [
            ({"charger_id": one}, [3, 1]),
            ({"critical": True}, [3]),
            ({"critical": False}, [2, 1]),
            ({"before_id": page[0].id, "limit": 1}, [2]),
        ]
        for filters, expected in cases:
            found = await self.look(lambda uow, chosen: uow.devices.security_events.page(**chosen), filters)
            self.assertEqual([event.message_id for event in found], [f"message-{number}" for number in expected])


class SqliteDevices(DevicesContract, SqliteCase):
    pass


class PostgresqlDevices(DevicesContract, PostgresqlCase):
    pass


del DevicesContract, DatabaseCase, SqliteCase, PostgresqlCase
