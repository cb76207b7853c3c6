"""What only PostgreSQL can meet: lost connections, timeouts, partitions."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
from msgspec.structs import replace as changed
from sqlalchemy import event
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from csms.domain.model import Charger, SessionState
from csms.domain.repositories_searches import SessionSearch
from csms.ports import DatabaseUnavailable
from csms.storage import engines, partitions
from csms.storage.tables import charging_sessions
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.gateway.case import until
from tests.servers import drop_database, postgresql_url
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, a_message, a_sample, a_session, an_entry, kept


def run(url: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run a statement on a connection of its own."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


class LossTests(PostgresqlCase):
    async def killed(self, times: int) -> list[int]:
        """Backends of work whose connection is killed in its midst for the first ``times``."""
        backends: list[int] = []

        def work(uow: SqlUnitOfWork) -> list[int]:
            uow.chargers.add(Charger(device_id="CP-1"))
            uow.flush()
            backends.append(uow._sql._connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
            if len(backends) <= times:
                run(self.url, "SELECT pg_terminate_backend(%s, 5000)", backends[-1])
            uow.chargers.add(Charger(device_id="CP-2"))
            return backends

        return await self.write(work)

    async def test_work_whose_connection_is_lost_runs_once_more(self) -> None:
        backends = await self.killed(1)
        self.assertEqual(len(set(backends)), 2)
        self.assertEqual(len(await self.look(lambda uow: uow.chargers.page())), 2)

    async def test_a_connection_lost_twice_is_a_database_that_is_away(self) -> None:
        await self.refused(self.killed(2), DatabaseUnavailable)
        self.assertEqual(await self.look(lambda uow: uow.chargers.page()), [])

    async def test_a_commit_whose_answer_is_lost_has_its_effect_once(self) -> None:
        tries: list[str] = []

        def work(uow: SqlUnitOfWork) -> bool:
            first = "event" in uow.consumed.first_times("consumer", ["event"], NOW)
            if first:
                uow.chargers.add(Charger(device_id="CP-1"))
            tries.append("first" if first else "repeat")
            if len(tries) == 1:
                # Committed, and then the connection dies, so that the COMMIT that follows has no answer.
                uow.flush()
                driver: Any = uow._sql._connection.connection.driver_connection
                driver.commit()
                uow._sql._connection.exec_driver_sql("SELECT 1")
                run(self.url, "SELECT pg_terminate_backend(%s, 5000)", driver.get_backend_pid())
            return first

        await self.write(work)
        self.assertEqual(tries, ["first", "repeat"])
        self.assertEqual(len(await self.look(lambda uow: uow.chargers.page())), 1)

    async def test_idle_connections_that_were_killed_cost_no_failure(self) -> None:
        await self.a_charger()
        others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'csms'"
        run(self.url, f"{others} AND datname = current_database()")
        self.assertEqual(len(await self.look(lambda uow: uow.chargers.page())), 1)
        self.assertEqual(await self.a_charger(), 1)

    async def test_a_statement_beyond_the_timeout_is_given_up(self) -> None:
        database = await self.opened(statement_timeout_s=0.1)
        sleeping = database.transact(
            lambda uow: uow._sql._connection.exec_driver_sql("SELECT pg_sleep(60)"), name="sleep"
        )
        await self.refused(sleeping, DatabaseUnavailable)

    async def test_work_that_hangs_within_its_transaction_lets_others_go_on_and_runs_once_more(self) -> None:
        self.patch(engines, "IDLE_TIMEOUT_S", 1)
        await self.a_charger()
        hung, database = threading.Event(), await self.opened()

        def hang(uow: SqlUnitOfWork) -> None:
            charger = uow.chargers.by_device_id("CP-1")
            assert charger is not None
            charger.vendor += "x"
            uow.flush()
            if not hung.is_set():
                hung.set()
                others.wait(30)

        others = threading.Event()
        hanging = Deferred.fromCoroutine(database.transact(hang, name="hang"))
        await deferToThread(hung.wait, 30)
        await self.write(lambda uow: uow.chargers.by_device_id("CP-1"))
        others.set()
        await hanging
        self.assertEqual([one.vendor for one in await self.look(lambda uow: uow.chargers.page())], ["x"])

    async def test_a_deadlock_is_tried_again(self) -> None:
        for name in ("CP-1", "CP-2"):
            await self.a_charger(name)
        both = threading.Barrier(2)

        def work(uow: SqlUnitOfWork, names: tuple[str, str]) -> None:
            for name in names:
                charger = uow.chargers.by_device_id(name)
                assert charger is not None
                charger.vendor += "x"
                if name == names[0] and not both.broken:
                    both.wait(30)
            both.abort()

        await self.race(work, [("CP-1", "CP-2"), ("CP-2", "CP-1")])
        self.assertEqual([one.vendor for one in await self.look(lambda uow: uow.chargers.page())], ["xx", "xx"])

    async def test_rows_are_changed_in_the_order_of_their_ids(self) -> None:
        """So two that change the same rows never wait for each other in a circle."""
        adding = (a_session(1, number) for number in (1, 2))
        first, second = await self.write(lambda uow: [uow.sessions.add(one).id for one in adding])
        other = await self.opened()
        held, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def hold(uow: SqlUnitOfWork) -> None:
            uow._sql.hold(charging_sessions, [first])
            held.set()
            release.wait(30)

        def change(uow: SqlUnitOfWork) -> None:
            for session_id in (second, first):
                session = uow.sessions.get(session_id)
                assert session is not None
                session.energy_wh = 7.0

        holding = Deferred.fromCoroutine(self.write(hold))
        await deferToThread(held.wait, 30)
        changing = Deferred.fromCoroutine(other.transact(change, name="change"))
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        await until(lambda: run(self.url, waiting))
        try:
            run(self.url, "SELECT id FROM charging_sessions WHERE id = %s FOR NO KEY UPDATE NOWAIT", second)
        finally:
            release.set()
            await holding
            await changing
        energies = await self.look(lambda uow: [one.energy_wh for one in uow.sessions.fetch([first, second]).values()])
        self.assertEqual(energies, [7.0, 7.0])

    async def test_values_that_no_column_takes_fail_alone_and_at_once(self) -> None:
        for vendor in ("nul \x00", "surrogate \ud800"):
            adding = self.write(lambda uow, text: uow.chargers.add(Charger(device_id="CP-1", vendor=text)), vendor)
            error = await self.refused(adding, Exception)
            self.assertNotIsInstance(error, DatabaseUnavailable)

    async def test_tables_that_are_gone_stop_the_line_instead_of_failing_the_work(self) -> None:
        def work(uow: SqlUnitOfWork) -> None:
            uow._sql._connection.exec_driver_sql("ALTER TABLE chargers RENAME TO gone")
            uow.chargers.page()

        await self.refused(self.write(work), DatabaseUnavailable)

    async def test_connections_are_named_for_the_operator(self) -> None:
        await self.a_charger()
        names = run(
            self.url, "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database()"
        )
        self.assertIn(("csms",), names)


class PlanTests(PostgresqlCase):
    async def plan(self, search: SessionSearch) -> str:
        """How PostgreSQL goes about finding sessions."""

        def work(uow: SqlUnitOfWork) -> str:
            connection = uow._sql._connection
            seen: list[tuple[str, Any]] = []
            event.listen(connection, "before_cursor_execute", lambda _, __, *statement: seen.append(statement[:2]))
            uow.search.sessions(search, before_id=0, limit=10)
            [(statement, parameters)] = seen
            return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))

        return await self.look(work)

    async def test_the_newest_sessions_of_a_charger_or_a_token_are_found_however_many_there_were(self) -> None:
        one = await self.a_charger("CP-1")
        ended = [a_session(one + n % 100, n, id_token=f"TAG-{n % 99}", state=SessionState.ENDED) for n in range(5000)]
        await self.write(lambda uow: [uow.sessions.add(session) for session in ended])
        run(self.url, "ANALYZE charging_sessions")
        for search, index in (
            (SessionSearch(charger_id=one), "charger"),
            (SessionSearch(device_id="CP-1"), "charger"),
            (SessionSearch(id_token="TAG-1"), "token"),
        ):
            plan = await self.plan(search)
            self.assertIn(f"ix_charging_sessions_{index}", plan)
            self.assertNotIn("Sort", plan)


class PartitionTests(DatabaseCase):
    def fresh_url(self) -> str:
        url = postgresql_url()
        self.addCleanup(drop_database, url)
        return url

    def partitions(self, table: str) -> dict[str, int]:
        """Rows of each partition that has any, or is no default."""
        names = run(self.url, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", table)
        return {name: run(self.url, f"SELECT count(*) FROM {name}")[0][0] for (name,) in names}

    async def test_a_start_makes_the_months_around_now(self) -> None:
        now = datetime.now(UTC)
        expected = {f"meter_values_y{month:%Y}m{month:%m}" for month in _months_around(now)} | {"meter_values_default"}
        self.assertEqual(set(self.partitions("meter_values")), expected)
        self.assertEqual(len(self.partitions("charger_data")), len(expected))

    async def test_rows_go_to_their_month_and_odd_ones_to_the_default(self) -> None:
        await self.database.maintain(NOW, kept(0))
        moments = [NOW, NOW - timedelta(days=28), NOW.replace(year=1970), NOW.replace(year=2999)]
        await self.write(lambda uow: uow.sessions.add_samples([a_sample(1, sampled_at=moment) for moment in moments]))
        rows = self.partitions("meter_values")
        self.assertEqual((rows["meter_values_y2026m03"], rows["meter_values_y2026m02"]), (1, 1))
        self.assertEqual(rows["meter_values_default"], 2)

    async def test_rows_in_the_default_move_when_their_month_is_made(self) -> None:
        month = datetime(2031, 5, 1, tzinfo=UTC)
        moments = [month, month - timedelta(microseconds=1), month + timedelta(days=31), month + timedelta(days=30)]
        await self.write(lambda uow: uow.sessions.add_samples([a_sample(1, sampled_at=moment) for moment in moments]))
        await self.write(lambda uow: uow.log.append([an_entry(a_message(1))]))
        await self.database.maintain(month + timedelta(days=14), kept(0))
        await self.database.maintain(month + timedelta(days=14), kept(0))
        rows = self.partitions("meter_values")
        expected = {"meter_values_y2031m05": 2, "meter_values_y2031m04": 1, "meter_values_y2031m06": 1}
        self.assertEqual({name: rows[name] for name in expected}, expected)
        self.assertEqual(rows["meter_values_default"], 0)
        again = a_sample(1, sampled_at=month)
        await self.write(lambda uow: uow.sessions.add_samples([again]))
        self.assertEqual(self.partitions("meter_values")["meter_values_y2031m05"], 2)

    async def test_months_beyond_the_retention_are_dropped_whole_and_others_kept(self) -> None:
        for month in (1, 2, 3, 4):
            await self.database.maintain(datetime(2026, month, 1, tzinfo=UTC), kept(0))
        await self.database.maintain(datetime(2026, 4, 15, tzinfo=UTC), kept(60))
        names = set(self.partitions("charger_data"))
        self.assertFalse(names & {"charger_data_y2025m12", "charger_data_y2026m01"})
        self.assertLessEqual({"charger_data_y2026m02", "charger_data_y2026m03", "charger_data_default"}, names)

    async def test_months_are_made_after_a_long_pause_under_load_and_with_odd_dates(self) -> None:
        moments = [NOW.replace(year=year) for year in (1970, 2024, 2026, 2027, 2028, 2099)]
        others = await self.opened()
        written = 0
        ended = False

        async def load() -> None:
            nonlocal written
            while not ended:
                samples = [a_sample(written, sampled_at=moment) for moment in moments]
                entries = [changed(an_entry(a_message(written)), received_at=moment) for moment in moments]

                def work(uow: SqlUnitOfWork, samples: Any = samples, entries: Any = entries) -> None:
                    uow.sessions.add_samples(samples)
                    uow.log.append(entries)

                await others.transact(work, name="load")
                written += 1

        loading = Deferred.fromCoroutine(load())
        for pause in (0, 31, 400, 740):
            before = written
            await self.database.maintain(NOW + timedelta(days=pause), kept(0))
            await until(lambda before=before: written > before)  # type: ignore[misc]
        ended = True
        await loading
        for table in ("meter_values", "charger_data"):
            rows = self.partitions(table)
            self.assertEqual(sum(rows.values()), written * len(moments))
            self.assertEqual(rows[f"{table}_default"], written * 3)
            made = {f"{table}_y{year}m{month:02}" for year, month in ((2026, 2), (2026, 6), (2027, 3), (2028, 5))}
            self.assertLessEqual(made, set(rows))

    async def test_a_month_with_too_much_in_the_default_stays_there_and_the_next_is_made(self) -> None:
        self.patch(partitions, "MOST_MOVED", 3)
        month = datetime(2031, 5, 15, tzinfo=UTC)
        samples = [a_sample(1, sampled_at=month + timedelta(seconds=second)) for second in range(4)]
        await self.write(lambda uow: uow.sessions.add_samples(samples))
        await self.database.maintain(month, kept(0))
        rows = self.partitions("meter_values")
        self.assertNotIn("meter_values_y2031m05", rows)
        self.assertEqual(rows["meter_values_default"], 4)
        self.assertLessEqual({"meter_values_y2031m04", "meter_values_y2031m06", "meter_values_y2031m07"}, set(rows))
        self.assertIn("charger_data_y2031m05", self.partitions("charger_data"))

    async def test_a_table_that_somebody_reads_for_long_keeps_nothing_else_from_being_done(self) -> None:
        await self.write(lambda uow: uow.consumed.first_times("consumer", ["old"], NOW - timedelta(days=1000)))
        await self.database.maintain(NOW - timedelta(days=1000), kept(0))
        self.patch(partitions, "_LOCK_TIMEOUT", "SET LOCAL lock_timeout = '100ms'")
        backup = psycopg2.connect(self.url)
        self.addCleanup(backup.close)
        backup.cursor().execute("LOCK TABLE meter_values, meter_values_default IN ACCESS SHARE MODE")
        await self.refused(self.database.maintain(NOW, kept(400)), DatabaseUnavailable)
        await self.a_charger()
        self.assertEqual(run(self.url, "SELECT count(*) FROM consumed_events"), [(0,)])
        self.assertNotIn("charger_data_y2023m06", self.partitions("charger_data"))
        self.assertIn("meter_values_y2023m06", self.partitions("meter_values"))
        backup.rollback()
        await self.database.maintain(NOW, kept(400))
        self.assertNotIn("meter_values_y2023m06", self.partitions("meter_values"))

    async def test_maintenance_waits_for_nobody_who_does_the_same(self) -> None:
        connection = psycopg2.connect(self.url)
        self.addCleanup(connection.close)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (0x63736D73,))
            await self.database.maintain(datetime(2031, 1, 1, tzinfo=UTC), kept(0))
        self.assertNotIn("meter_values_y2031m01", self.partitions("meter_values"))


def _months_around(now: datetime) -> list[datetime]:
    """The month before ``now``, its own, and two more."""
    first = now.replace(day=15)
    return [first + timedelta(days=days) for days in (-30, 0, 30, 61)]


del DatabaseCase, PostgresqlCase
