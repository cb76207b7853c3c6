"""What operators do to an installation while it works: new processes for old ones, and a newer schema."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

import psycopg2

from tests.faults.catalogue import fault
from tests.faults.field import Field
from tests.faults.sites import READY_TIMEOUT_S
from tests.integration.processes import ROOT, Service, admin

NEWER = "9999"
_MIGRATION = f"""
from alembic import op

revision = "{NEWER}"
down_revision = "{{before}}"


def upgrade() -> None:
    op.execute("alter table charging_sessions add column if not exists tariff text not null default ''")
    op.execute("alter table meter_values add column if not exists signed_value text")
    op.execute("alter table outbox add column if not exists attempts bigint not null default 0")
    op.execute("create table if not exists tariffs (id bigserial primary key, name text not null unique)")
    op.execute("create index if not exists ix_charger_data_newer on charger_data (action)")
"""
"""What a newer version may do to the tables while processes of this one use them."""
_IN_USE = ("lock timeout", "deadlock")
"""Why a migration gives up, and is made once more."""


@fault("rolling-restart", short=True, touches="gateway worker", chargers=24)
async def rolling_restart(field: Field) -> None:
    """SIGTERM of every gateway and every worker, one after the other, each started again before the next."""
    for old in field.site.services:
        closed, port = field.ledger.closed.copy(), _charger_port(field, old)
        here = len([charger for charger in field.chargers if charger.port == port])
        code = await field.kill(old, signal.SIGTERM)
        field.check(code == -signal.SIGTERM, f"{old.name} ended with {code}")
        await field.all_answered()
        lost = field.ledger.closed - closed
        field.check(dict(lost) == ({1001: here} if here else {}), f"{here} chargers were at {old.name}: {dict(lost)}")
        await field.start(old)
    field.over()
    field.check(set(field.ledger.refused) <= {0, 503}, f"chargers were refused with {dict(field.ledger.refused)}")


@fault("schema-grows", short=True, touches="database worker")
async def schema_grows(field: Field) -> None:
    """A newer version's migration: what runs goes on, nothing of this version starts any more, the newer does."""
    site, old = field.site, list(field.site.workers)
    (before,) = site.query("select version_num from alembic_version")[0]
    settings = {**site.settings("newer"), "PYTHONPATH": str(await field.do(_newer_version, site.directory, before))}
    newer = Service("csms-worker", site.directory, settings, name=f"newer-{field.prefix}")
    try:
        await field.until(lambda: _migrated(site.directory, settings), "it migrates", timeout_s=READY_TIMEOUT_S)
        await field.all_answered()
        await _is_refused(field, before)
        site.workers.append(newer)
        await field.start(newer)
        await asyncio.gather(*(field.kill(worker, signal.SIGTERM) for worker in old))
        field.note("the newer takes over s", await field.all_answered())
    finally:
        await field.do(_execute, site.audit_url, f"update alembic_version set version_num = '{before}'")
    field.over()
    await field.start(*old)
    await field.kill(newer, signal.SIGTERM)
    field.check(not newer.complaints(), f"the newer version complains: {newer.complaints()}")
    site.workers.remove(newer)


async def _is_refused(field: Field, before: str) -> None:
    """A worker of this version ends at its start, and says why."""
    late = Service("csms-worker", field.site.directory, field.site.settings("late"), name=f"late-{field.prefix}")
    late.launch()
    try:
        await field.until(lambda: not late.alive, "it ends by itself", timeout_s=READY_TIMEOUT_S)
        code = late.wait()
    finally:
        late.destroy()
    said = late.complaints()
    field.check(code == 1, f"a worker started against a schema that it does not know, and ended with {code}")
    named = any(NEWER in line and before in line and "Run that version" in line for line in said)
    field.check(named, f"the refusal does not say what is wrong: {said}")


def _newer_version(directory: Path, before: str) -> Path:
    """This csms with one migration more; where it is."""
    newer = directory / "newer"
    if not newer.exists():
        for package in ("csms", "twisted"):
            shutil.copytree(ROOT / package, newer / package, ignore=shutil.ignore_patterns("console_dist"))
        steps = newer / "csms" / "storage" / "migrations" / "versions"
        (steps / f"{NEWER}_newer.py").write_text(_MIGRATION.format(before=before))
    return newer


def _migrated(directory: Path, settings: dict[str, str]) -> bool:
    """Run ``csms-admin migrate``; False: somebody used a table for too long."""
    try:
        done = admin(directory, settings, "migrate", timeout_s=READY_TIMEOUT_S)
    except AssertionError as failed:
        if any(words in str(failed) for words in _IN_USE):
            return False
        raise
    return bool(done["migrated"])


def _charger_port(field: Field, service: Service) -> int:
    gateways = field.site.gateways
    return int(field.site.charger_ports[gateways.index(service)]) if service in gateways else 0


def _execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
