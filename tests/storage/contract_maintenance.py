"""An end to what is kept, for each kind of database."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace as changed
from sqlalchemy import Boolean, LargeBinary, Table, Text, func, select
from twisted.internet.defer import Deferred

from csms.domain.model import TransactionEventRecord
from csms.domain.retention import Retention
from csms.storage import maintenance
from csms.storage.tables import metadata
from csms.storage.types import UtcDateTime
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase, a_message, a_sample, an_entry, kept

OLD = NOW - timedelta(days=1000)


def fill(uow: SqlUnitOfWork, moment: datetime) -> None:
    """One row of everything that grows, from ``moment``, and a sample dated by a clock that was never set."""
    uow.sessions.add_samples([a_sample(1, sampled_at=moment, received_at=moment)])
    uow.sessions.add_samples([a_sample(moment.year, sampled_at=NOW.replace(year=1970), received_at=moment)])
    uow.log.append([changed(an_entry(a_message(1)), received_at=moment)])
    uow.consumed.first_times("consumer", [str(moment)], moment)
    uow.analytics.set_register(moment.year, 1.0, moment)
    uow.web.add_link(str(moment), expires_at=moment + timedelta(hours=1))
    uow.web.add_session(str(moment), created_at=moment, expires_at=moment + timedelta(hours=1))


GOVERNED = {
    "meter_values_days": {"meter_values"},
    "message_log_days": {"charger_data"},
    "records_days": set(maintenance.RECORDS),
    "audit_days": {"audit_log"},
    "security_events_days": {"security_events"},
}
"""Setting -> tables."""
ALWAYS = {
    "consumed_events",
    "session_registers",
    "sign_in_links",
    "browser_sessions",
    "api_tokens",
    "idempotency_keys",
}
"""Whose rows go in any case, when nobody can need them any more."""
STAY = {
    # What somebody has set up, and what chargers have said last: as many as there are chargers, tokens and people.
    *("installation", "shards", "gateways", "chargers", "connectors", "reported_variables", "id_tokens", "users"),
    *("id_token_groups", "configuration_keys", "local_lists", "local_list_entries", "charging_profiles"),
    *("composite_schedules", "installed_certificates", "wanted_availability", "issued_certificates"),
    # What has been charged.
    *("charging_sessions", "session_summaries", "hourly_use"),
    # What waits to be published, or for a person.
    *("outbox", "dead_letters"),
}

GROWING = ("meter_values", "charger_data", "consumed_events", "session_registers", "sign_in_links", "browser_sessions")


def a_row(table: Table, number: int, moment: datetime, charger_id: int) -> dict[str, Any]:
    """A row with every column filled: a number, its text, or ``moment``."""
    values: dict[str, Any] = {}
    for column in table.columns:
        match column.type:
            case UtcDateTime():
                values[column.name] = moment
            case Boolean():
                values[column.name] = False
            case LargeBinary():
                values[column.name] = b""
            case Text():
                values[column.name] = f"{number}"
            case _:
                values[column.name] = charger_id if column.name == "charger_id" else number
    return values


class MaintenanceContract(DatabaseCase):
    async def rows(self, *names: str) -> dict[str, int]:
        """How many rows these tables have."""
        counts = {}
        for name in names:
            query = select(func.count()).select_from(metadata.tables[name])
            counts[name] = await self.look(lambda uow, one: uow._sql.first(one)[0], query)
        return counts

    async def fill_all(self) -> None:
        """One row from OLD and one from NOW in every table that has an end."""
        charger_id = await self.a_charger()
        for number, moment in enumerate((OLD, NOW), start=1):
            for name in (*ALWAYS, *(name for names in GOVERNED.values() for name in names)):
                values = a_row(metadata.tables[name], number, moment, charger_id)
                await self.write(lambda uow, n, v: uow._sql.change(metadata.tables[n].insert().values(v)), name, values)

    def test_every_table_has_an_end_or_a_reason_to_stay(self) -> None:
        governed = {name for names in GOVERNED.values() for name in names}
        self.assertEqual(governed | ALWAYS | STAY, set(metadata.tables))
        self.assertEqual(set(GOVERNED), {field.name for field in dataclasses.fields(Retention)})

    async def test_each_setting_governs_its_own_tables(self) -> None:
        await self.fill_all()
        expected = dict.fromkeys((*ALWAYS, *(name for names in GOVERNED.values() for name in names)), 2)
        self.assertEqual(await self.rows(*expected), expected)
        await self.database.maintain(NOW, kept(0))
        expected |= dict.fromkeys(ALWAYS, 1)
        self.assertEqual(await self.rows(*expected), expected)
        for setting, tables in GOVERNED.items():
            await self.database.maintain(NOW, Retention(**{setting: 400}))
            expected |= dict.fromkeys(tables, 1)
            self.assertEqual(await self.rows(*expected), expected, setting)

    async def test_what_has_not_ended_stays_however_old_it_is(self) -> None:
        charger_id = await self.a_charger()
        for name, column in (("reservations", "ended_at"), ("certificate_requests", "finished_at")):
            values = a_row(metadata.tables[name], 1, OLD, charger_id) | {column: None}
            await self.write(lambda uow, n, v: uow._sql.change(metadata.tables[n].insert().values(v)), name, values)
        await self.database.maintain(NOW, kept(400))
        stay = {"reservations": 1, "certificate_requests": 1}
        self.assertEqual(await self.rows(*stay), stay)

    async def test_others_write_between_two_chunks(self) -> None:
        self.patch(maintenance, "CHUNK", dict.fromkeys(maintenance.CHUNK, 10))
        await self.write(lambda uow: uow.consumed.first_times("consumer", [str(n) for n in range(500)], OLD))
        maintaining = Deferred.fromCoroutine(self.database.maintain(NOW, kept(400)))
        for number in range(5):
            await self.a_charger(f"CP-{number}")
        self.assertFalse(maintaining.called)
        await maintaining
        self.assertEqual(await self.rows("consumed_events"), {"consumed_events": 0})

    async def test_a_stop_ends_it_after_the_chunk_in_hand(self) -> None:
        self.patch(maintenance, "CHUNK", dict.fromkeys(maintenance.CHUNK, 10))
        await self.write(lambda uow: uow.consumed.first_times("consumer", [str(n) for n in range(500)], OLD))
        asked: list[int] = []

        def enough() -> bool:
            asked.append(1)
            return len(asked) > 3

        await self.database.maintain(NOW, kept(400), enough=enough)
        self.assertEqual(await self.rows("consumed_events"), {"consumed_events": 470})

    async def test_what_is_too_old_goes_and_the_rest_stays(self) -> None:
        for moment in (OLD, NOW):
            await self.write(fill, moment)
        self.assertEqual(await self.rows(*GROWING), dict.fromkeys(GROWING, 2) | {"meter_values": 4})
        await self.database.maintain(NOW, kept(400))
        self.assertEqual(await self.rows(*GROWING), dict.fromkeys(GROWING, 1) | {"meter_values": 2})

    async def test_without_retention_log_and_meter_values_are_kept_for_ever(self) -> None:
        await self.write(fill, OLD)
        await self.database.maintain(NOW, kept(0))
        stay = {"meter_values": 2, "charger_data": 1}
        self.assertEqual(await self.rows(*GROWING), dict.fromkeys(GROWING, 0) | stay)

    async def test_more_rows_than_one_transaction_deletes_all_go(self) -> None:
        self.patch(maintenance, "CHUNK", dict.fromkeys(maintenance.CHUNK, 7))
        entries = [changed(an_entry(a_message(1, number)), received_at=OLD) for number in range(30)]
        events = [str(number) for number in range(30)]
        await self.write(lambda uow: uow.log.append(entries))
        await self.write(lambda uow: uow.consumed.first_times("consumer", events, OLD))
        statements = self.statements()
        await self.database.maintain(NOW, kept(400))
        self.assertEqual(await self.rows("charger_data", "consumed_events"), {"charger_data": 0, "consumed_events": 0})
        self.assertGreaterEqual(len([one for one in statements if "DELETE FROM consumed_events" in one]), 5)

    async def test_events_of_transactions_go_by_the_time_of_their_recording(self) -> None:
        event = TransactionEventRecord(
            charger_id=1,
            transaction_id="tx",
            seq_no=0,
            event_type="Updated",
            trigger_reason="MeterValuePeriodic",
            occurred_at=NOW.replace(year=1970),
        )
        await self.write(lambda uow: uow.sessions.first_time(event))
        now = datetime.now(UTC)
        await self.database.maintain(now + timedelta(days=399), kept(400))
        self.assertEqual(await self.rows("transaction_events"), {"transaction_events": 1})
        await self.database.maintain(now + timedelta(days=401), kept(400))
        self.assertEqual(await self.rows("transaction_events"), {"transaction_events": 0})


class SqliteMaintenance(MaintenanceContract, SqliteCase):
    pass


class PostgresqlMaintenance(MaintenanceContract, PostgresqlCase):
    pass


del MaintenanceContract, DatabaseCase, PostgresqlCase, SqliteCase
