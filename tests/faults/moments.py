"""Processes that die at an exact point: the database or the broker is made to wait there, not csms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import psycopg2

from tests.faults.catalogue import fault
from tests.faults.field import Field
from tests.faults.networks import Proxied
from tests.integration.processes import Service

# Backends that have written sessions in a transaction that is open, and wait for our lock before they can commit.
_IN_MID_BATCH = """
    select a.client_port from pg_stat_activity a where a.wait_event_type = 'Lock' and exists (
        select 1 from pg_locks l join pg_class c on c.oid = l.relation
        where l.pid = a.pid and l.granted and c.relname = 'charging_sessions' and l.mode = 'RowExclusiveLock')
"""
_IDLE_IN_TRANSACTION = "select client_port from pg_stat_activity where state = 'idle in transaction'"
_WRITTEN = "select d.unique_id, c.device_id from charger_data d join chargers c on c.id = d.charger_id"
ENOUGH = 6
"""Messages that are at the point where the process dies."""


@asynccontextmanager
async def worker_in_mid_batch(field: Field) -> AsyncIterator[Service]:
    """A worker that has written the sessions of a batch, and cannot log its messages before this context ends.

    The outbox is no place to wait at: a batch begins with the removal of what was told before.
    """
    holder = await field.do(psycopg2.connect, field.site.audit_url)
    victims: list[Service] = []

    def somebody_waits() -> bool:
        ports = _ports_of(field, _IN_MID_BATCH)
        victims.extend(worker for worker in field.site.workers if ports & field.site.database_ports(worker))
        return bool(victims)

    try:
        await field.do(holder.cursor().execute, "lock table charger_data in share mode")
        await field.until(somebody_waits, "a worker comes into the middle of a batch")
        yield victims[0]
    finally:
        holder.close()


@fault("worker-killed-before-commit", short=True, touches="worker")
async def worker_killed_before_commit(field: Field) -> None:
    """SIGKILL of a worker between the effects of a batch and their COMMIT."""
    async with worker_in_mid_batch(field) as victim:
        await field.kill(victim)
    field.over()
    await field.start(victim)


@fault("worker-killed-before-ack", layout=Proxied, touches="worker")
async def worker_killed_before_ack(field: Field) -> None:
    """SIGKILL of a worker between COMMIT and ack: nothing it says reaches the broker any more."""
    victim = await field.busy_worker()
    link = field.site.broker_links[victim.name]
    before = len(await field.do(field.site.query, _WRITTEN))
    await field.do(partial(link.stall, to_client=False))
    try:
        await field.until(
            lambda: len(field.site.query(_WRITTEN)) >= before + ENOUGH, "batches are committed and not acked"
        )
        await field.kill(victim)
    finally:
        await field.do(link.cut)
        await field.do(link.resume)
    field.over()
    await field.start(victim)


@fault("gateway-killed-before-answer", layout=Proxied, short=True, touches="gateway")
async def gateway_killed_before_answer(field: Field) -> None:
    """SIGKILL of a gateway between the broker's confirm, which it does not hear any more, and the answers."""
    victim = await field.busy_gateway()
    link = field.site.broker_links[victim.name]
    await field.do(partial(link.stall, to_server=False))

    def written_unanswered() -> int:
        unanswered = {(one.unique_id, one.device_id) for one in list(field.ledger.attempts) if not one.answered_at}
        return len(unanswered & set(field.site.query(_WRITTEN)))

    try:
        await field.until(lambda: written_unanswered() >= ENOUGH, "messages are worked off and not answered")
        await field.kill(victim)
    finally:
        await field.do(link.cut)
        await field.do(link.resume)
    field.over()
    field.note("written, never answered", await field.do(written_unanswered))
    await field.start(victim)


@fault("worker-frozen-in-transaction", touches="worker")
async def worker_frozen_in_transaction(field: Field) -> None:
    """SIGSTOP of a worker whose transaction is open: the others go on; woken up it may write nothing."""
    async with worker_in_mid_batch(field) as victim:
        victim.pause()
    try:
        await field.until(
            lambda: _ports_of(field, _IDLE_IN_TRANSACTION) & field.site.database_ports(victim),
            "its transaction is open",
        )
        field.note("gap s", await field.all_answered())
        await asyncio.sleep(field.seconds(30, 1))
    finally:
        victim.resume()


def _ports_of(field: Field, statement: str) -> set[Any]:
    return {port for (port,) in field.site.query(statement)}
