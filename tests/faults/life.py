"""What operators do to an installation while it works: new processes for old ones, and a newer schema."""

from __future__ import annotations

import asyncio
import signal

import psycopg2

from tests.faults.catalogue import fault
from tests.faults.field import Field
from tests.integration.processes import Service

NEWER = "9999"
EXPANSION = (
    "alter table charging_sessions add column tariff text not null default ''",
    "alter table meter_values add column signed_value text",
    "alter table outbox add column attempts bigint not null default 0",
    "create table tariffs (id bigserial primary key, name text not null unique)",
    "create index ix_charger_data_newer on charger_data (action)",
)
"""What a newer version may do to the tables while processes of this one use them."""


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
    """A newer version's additive migration: the processes that run go on, others of this version refuse to start."""
    site = field.site
    (before,) = site.query("select version_num from alembic_version")[0]
    await field.do(_execute, site.audit_url, (*EXPANSION, f"update alembic_version set version_num = '{NEWER}'"))
    try:
        await field.all_answered()
        late = Service("csms-worker", site.directory, site.settings("late"), name="late")
        late.launch()
        code = await field.do(late.wait)
        said = late.complaints()
        field.check(code == 1, f"a worker started against a schema that it does not know, and ended with {code}")
        named = any(NEWER in line and before in line and "Run that version" in line for line in said)
        field.check(named, f"the refusal does not say what is wrong: {said}")
        await field.all_answered()
    finally:
        await field.do(_execute, site.audit_url, (f"update alembic_version set version_num = '{before}'",))
    field.over()
    await asyncio.gather(*(field.kill(worker, signal.SIGTERM) for worker in site.workers))
    await field.start(*site.workers)


def _charger_port(field: Field, service: Service) -> int:
    gateways = field.site.gateways
    return int(field.site.charger_ports[gateways.index(service)]) if service in gateways else 0


def _execute(url: str, statements: tuple[str, ...]) -> None:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()
