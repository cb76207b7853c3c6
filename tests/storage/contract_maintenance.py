"""An end to what is kept, for each kind of database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from csms.domain.model import TransactionEventRecord
from csms.storage import maintenance
from csms.storage.tables import metadata
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase, a_message, a_sample, an_entry

OLD = NOW - timedelta(days=1000)


def fill(uow: SqlUnitOfWork, moment: datetime) -> None:
    """One row of everything that grows, from ``moment``, and a sample dated by a clock that was never set."""
    uow.sessions.add_samples([a_sample(1, sampled_at=moment, received_at=moment)])
    uow.sessions.add_samples([a_sample(moment.year, sampled_at=NOW.replace(year=1970), received_at=moment)])
    uow.log.append([replace(an_entry(a_message(1)), received_at=moment)])
    uow.consumed.first_times("consumer", [str(moment)], moment)
    uow.analytics.set_register(moment.year, 1.0, moment)
    uow.web.add_link(str(moment), expires_at=moment + timedelta(hours=1))
    uow.web.add_session(str(moment), created_at=moment, expires_at=moment + timedelta(hours=1))


GROWING = ("meter_values", "charger_data", "consumed_events", "session_registers", "sign_in_links", "browser_sessions")


class MaintenanceContract(DatabaseCase):
    async def rows(self, *names: str) -> dict[str, int]:
        """How many rows these tables have."""
        counts = {}
        for name in names:
            query = select(func.count()).select_from(metadata.tables[name])
            counts[name] = await self.look(lambda uow, one: uow._sql.first(one)[0], query)
        return counts

    async def test_what_is_too_old_goes_and_the_rest_stays(self) -> None:
        for moment in (OLD, NOW):
            await self.write(fill, moment)
        self.assertEqual(await self.rows(*GROWING), dict.fromkeys(GROWING, 2) | {"meter_values": 4})
        await self.database.maintain(NOW, 400)
        self.assertEqual(await self.rows(*GROWING), dict.fromkeys(GROWING, 1) | {"meter_values": 2})

    async def test_without_retention_log_and_meter_values_are_kept_for_ever(self) -> None:
        await self.write(fill, OLD)
        await self.database.maintain(NOW, 0)
        kept = {"meter_values": 2, "charger_data": 1}
        self.assertEqual(await self.rows(*GROWING), dict.fromkeys(GROWING, 0) | kept)

    async def test_more_rows_than_one_transaction_deletes_all_go(self) -> None:
        self.patch(maintenance, "CHUNK", 7)
        entries = [replace(an_entry(a_message(1, number)), received_at=OLD) for number in range(30)]
        events = [str(number) for number in range(30)]
        await self.write(lambda uow: uow.log.append(entries))
        await self.write(lambda uow: uow.consumed.first_times("consumer", events, OLD))
        statements = self.statements()
        await self.database.maintain(NOW, 400)
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
        await self.database.maintain(now + timedelta(days=399), 400)
        self.assertEqual(await self.rows("transaction_events"), {"transaction_events": 1})
        await self.database.maintain(now + timedelta(days=401), 400)
        self.assertEqual(await self.rows("transaction_events"), {"transaction_events": 0})


class SqliteMaintenance(MaintenanceContract, SqliteCase):
    pass


class PostgresqlMaintenance(MaintenanceContract, PostgresqlCase):
    pass


del MaintenanceContract, DatabaseCase, PostgresqlCase, SqliteCase
