"""PostgreSQL that is away, frozen, full, locked, read-only, out of connections, or quarrelsome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg2

from csms.domain.topology import OCPP_MESSAGES
from tests.faults.catalogue import fault
from tests.faults.charger_faults import Script
from tests.faults.chargers import now
from tests.faults.disks import SmallDisk
from tests.faults.field import Field
from tests.faults.link import Unanswered
from tests.faults.sites import ScaledOut
from tests.servers import PostgreSQL

CSMS = "csms"
"""What the connections of csms call themselves."""
LIBPQ = "terminating connection due to administrator command"
"""libpq itself writes this to stderr for a connection that is ended while it is being made."""
DECISIONS = frozenset({"Authorize", "StartTransaction"})
_DEADLOCKS = "select sum(deadlocks) from pg_stat_database"


@fault("database-restarted", touches="database")
async def database_restarted(field: Field) -> None:
    """PostgreSQL is stopped in good order and started again."""
    await field.do(field.site.postgresql.stop)
    await field.do(field.site.postgresql.start)


@fault("database-killed", touches="database")
async def database_killed(field: Field) -> None:
    """SIGKILL of every process of PostgreSQL."""
    await field.do(field.site.postgresql.kill)
    await field.do(field.site.postgresql.start)


@fault("database-crashed-three-times", touches="database")
async def database_crashed(field: Field) -> None:
    """An immediate shutdown of PostgreSQL, again as soon as it serves."""
    for _ in range(3):
        await field.do(field.site.postgresql.crash)
        await field.do(field.site.postgresql.start)


@fault("database-away", touches="database")
async def database_away(field: Field) -> None:
    """PostgreSQL is away for minutes: facts are answered all the while, decisions wait, the queues are worked off."""
    reporter = Reporter(field, "reporter")
    await reporter.boot()
    began = time.monotonic()
    await field.do(field.site.postgresql.stop)
    gone_at = time.monotonic()
    try:
        while time.monotonic() - began < field.seconds(180, 12):
            await reporter.report()
        deepest = await field.do(_waiting, field)
    finally:
        back_at = time.monotonic()
        await field.do(field.site.postgresql.start)
    # Workers hold answers that they had committed just before.
    decided = [
        one
        for one in list(field.ledger.attempts)
        if (one.action in DECISIONS or '"idToken"' in one.frame)
        and one.sent_at > gone_at
        and 0 < one.answered_at < back_at
    ]
    field.check(not decided, f"decisions were answered without a database: {decided[:3]}")
    reporter.note()
    field.note("waiting in the end", deepest)
    field.over()
    on_their_way = 4 * len(field.chargers)  # the load goes on, and never were they all empty at once
    worked_off = await field.until(lambda: _waiting(field) <= on_their_way, "the queues are worked off")
    field.note("queues worked off after s", worked_off)
    await reporter.hang_up()


class Reporter(Script):
    """Says what needs no decision."""

    def __init__(self, field: Field, name: str) -> None:
        super().__init__(field, name)
        self.reports = 0
        self.unanswered = 0
        self.slowest_s = 0.0
        self._field = field

    async def report(self) -> None:
        """A status and a meter value of no session; whoever does not answer these at once is noted."""
        reading_wh = self._read_meter()
        sample = [{"timestamp": now(), "sampledValue": [{"value": str(reading_wh)}]}]
        began = time.monotonic()
        for action, payload in (
            ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}),
            ("MeterValues", {"connectorId": 1, "meterValue": sample}),
        ):
            try:
                await self._ask(next(self._numbers), 1, action, payload)
            except Unanswered:
                self.unanswered += 1
                await self._lost()
                await self.say(action, payload)
            self.reports += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        self._field.expected.readings[self.device_id, float(reading_wh)] += 1
        self.ledger.statuses[self.device_id] = "Available"
        await asyncio.sleep(0.2)

    def note(self) -> None:
        """Report how it went."""
        self._field.check(not self.unanswered, f"{self.unanswered} facts were not answered while it was away")
        self._field.note("facts answered meanwhile", self.reports)
        self._field.note("slowest of them s", self.slowest_s)


def _waiting(field: Field) -> int:
    """Messages in the shards' queues, with those that workers hold."""
    lines = field.site.rabbitmq.control("list_queues", "--silent", "name", "messages").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(OCPP_MESSAGES))


@fault("database-frozen", touches="database")
async def database_frozen(field: Field) -> None:
    """SIGSTOP of PostgreSQL for a minute and a half: its connections stay open, nothing comes, facts are answered."""
    reporter = Reporter(field, "reporter")
    await reporter.boot()
    freezing = asyncio.create_task(field.paused(field.site.postgresql, field.seconds(90, 10)))
    while not freezing.done():
        await reporter.report()
    await freezing
    field.over()
    reporter.note()
    await reporter.hang_up()


@fault("database-sessions-ended", touches="database")
async def sessions_ended(field: Field) -> None:
    """Every backend of csms is terminated, in mid-transaction or not, again and again."""
    field.allowed.append(LIBPQ)
    end = time.monotonic() + field.seconds(30, 4)
    ended = 0
    while time.monotonic() < end:
        ended += await field.do(field.site.postgresql.end_sessions, CSMS)
        await asyncio.sleep(field.random.uniform(0.0, 0.3))
    field.check(ended, "there was no backend to terminate")
    field.note("backends", ended)


@fault("database-out-of-connections", touches="database")
async def out_of_connections(field: Field) -> None:
    """Others take every connection that PostgreSQL has, and those of csms are ended."""
    field.allowed.append(LIBPQ)
    taken = []
    try:
        end = time.monotonic() + field.seconds(30, 4)
        while time.monotonic() < end:
            with suppress(psycopg2.OperationalError):
                taken.append(await field.do(psycopg2.connect, field.site.postgresql.url()))
                if len(taken) == 1:
                    keeper = taken[0]
                    keeper.autocommit = True
                continue
            with keeper.cursor() as cursor:
                statement = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s"
                await field.do(cursor.execute, statement, (CSMS,))
    finally:
        for connection in taken:
            connection.close()
    field.note("connections", len(taken))


@fault("database-read-only", touches="database")
async def database_read_only(field: Field) -> None:
    """PostgreSQL refuses to write, as a standby or a full one does."""
    await field.do(field.site.postgresql.set, "default_transaction_read_only", "on")
    try:
        await asyncio.sleep(field.seconds(30, 3))
    finally:
        await field.do(field.site.postgresql.set, "default_transaction_read_only", "")


@fault("database-serializable", touches="database")
async def database_serializable(field: Field) -> None:
    """Every transaction is serializable, so that PostgreSQL fails those of the workers that meet."""
    await field.do(field.site.postgresql.set, "default_transaction_isolation", "serializable")
    try:
        await asyncio.sleep(field.seconds(40, 3))
    finally:
        await field.do(field.site.postgresql.set, "default_transaction_isolation", "")


@asynccontextmanager
async def _session(field: Field) -> AsyncIterator[psycopg2.extensions.connection]:
    connection = await field.do(psycopg2.connect, field.site.audit_url)
    try:
        yield connection
    finally:
        connection.close()


@fault("database-lock-held", touches="database")
async def lock_held(field: Field) -> None:
    """Somebody locks the table of sessions for longer than a statement may take."""
    async with _session(field) as holder:
        await field.do(holder.cursor().execute, "lock table charging_sessions in access exclusive mode")
        await asyncio.sleep(field.seconds(60, 5))


@fault("database-deadlocks", touches="database")
async def deadlocks(field: Field) -> None:
    """Somebody locks tables in the order in which a worker will never win: its transactions are the victims."""
    before = (await field.do(field.site.query, _DEADLOCKS))[0][0]
    wanted = int(field.seconds(20, 2))

    def victims() -> int:
        return int(field.site.query(_DEADLOCKS)[0][0] - before)

    async with _session(field) as rival:
        cursor = rival.cursor()
        await field.do(cursor.execute, "set deadlock_timeout = '5s'")  # who waits for less long is the victim
        rival.commit()
        while await field.do(victims) < wanted:
            with suppress(psycopg2.errors.DeadlockDetected):
                await field.do(cursor.execute, "lock table outbox in share mode")
                await asyncio.sleep(0.2)
                await field.do(cursor.execute, "lock table charging_sessions in access exclusive mode")
            rival.rollback()
    field.note("victims", await field.do(victims))


class SmallDatabase(ScaledOut):
    """PostgreSQL has a disk of its own, which can be filled."""

    disk: SmallDisk

    def start_servers(self) -> None:
        self.disk = SmallDisk(self.directory / "postgresql", 160)
        super().start_servers()

    def make_postgresql(self) -> PostgreSQL:
        settings = {"max_wal_size": "32MB", "min_wal_size": "32MB", "shared_buffers": "16MB"}
        return PostgreSQL(self.directory / "postgresql", settings=settings)

    def end(self) -> None:
        super().end()
        self.disk.close()


@fault("database-disk-full", layout=SmallDatabase, touches="database")
async def database_disk_full(field: Field) -> None:
    """PostgreSQL's disk is full; should it panic, it does not come up again before there is room."""
    server = field.site.postgresql
    await field.do(field.site.disk.fill)
    try:
        await asyncio.sleep(field.seconds(30, 5))
    finally:
        await field.do(field.site.disk.free)
    field.note("it had ended", not server.alive)
    if not server.alive:
        await field.do(server.kill)
        await field.do(server.start)
