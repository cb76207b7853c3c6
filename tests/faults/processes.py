"""Processes of csms that are killed, told to stop, or frozen."""

from __future__ import annotations

import asyncio
import signal
import time

from tests.faults.catalogue import fault
from tests.faults.field import Field
from tests.faults.sites import READY_TIMEOUT_S, Clocked, Embedded
from tests.integration.processes import Service


async def _end(field: Field, victim: Service, number: signal.Signals) -> None:
    code = await field.kill(victim, number)
    field.check(code == -number, f"{victim.name} ended with {code}")
    field.over()
    await field.start(victim)


@fault("worker-killed", touches="worker")
async def worker_killed(field: Field) -> None:
    """SIGKILL of the worker that holds the shards."""
    await _end(field, await field.busy_worker(), signal.SIGKILL)


@fault("worker-stopped", touches="worker")
async def worker_stopped(field: Field) -> None:
    """SIGTERM of the worker that holds the shards."""
    await _end(field, await field.busy_worker(), signal.SIGTERM)


@fault("gateway-killed", touches="gateway")
async def gateway_killed(field: Field) -> None:
    """SIGKILL of a gateway; its chargers go to the other one."""
    await _end(field, await field.busy_gateway(), signal.SIGKILL)


@fault("gateway-stopped", touches="gateway")
async def gateway_stopped(field: Field) -> None:
    """SIGTERM of a gateway; its chargers go to the other one."""
    await _end(field, await field.busy_gateway(), signal.SIGTERM)


@fault("embedded-killed", layout=Embedded, short=True, touches="gateway worker")
async def embedded_killed(field: Field) -> None:
    """SIGKILL of the only process, broker and database in it."""
    await _end(field, field.site.gateways[0], signal.SIGKILL)


@fault("embedded-stopped", layout=Embedded, touches="gateway worker")
async def embedded_stopped(field: Field) -> None:
    """SIGTERM of the only process."""
    await _end(field, field.site.gateways[0], signal.SIGTERM)


@fault("all-killed", touches="gateway worker")
async def all_killed(field: Field) -> None:
    """SIGKILL of every process of csms at once."""
    for service in field.site.services:
        await field.kill(service)
    field.over()
    await field.start(*field.site.services)


@fault("gateway-frozen", touches="gateway")
async def gateway_frozen(field: Field) -> None:
    """SIGSTOP of a gateway for a minute: its chargers time out, and go to the other one."""
    await field.paused(await field.busy_gateway(), field.seconds(60, 20))


@fault("worker-frozen", touches="worker")
async def worker_frozen(field: Field) -> None:
    """SIGSTOP of a worker for a minute: another one takes its shards; woken up it may write nothing."""
    began = time.monotonic()
    freezing = asyncio.create_task(field.paused(await field.busy_worker(), field.seconds(60, 30)))
    await asyncio.sleep(1.0)
    await field.all_answered()
    field.note("gap s", time.monotonic() - began)
    await freezing


@fault("clock-set-back", layout=Clocked, touches="gateway worker")
async def clock_set_back(field: Field) -> None:
    """The clock of every process is set back by an hour, and a minute later it is right again."""
    await _clock_set(field, "-3600")


@fault("clock-set-forward", layout=Clocked, touches="gateway worker")
async def clock_set_forward(field: Field) -> None:
    """The clock of every process is set forward by an hour, and a minute later it is right again."""
    await _clock_set(field, "+3600")


async def _clock_set(field: Field, offset: str) -> None:
    await field.do(field.site.set_clock, offset)
    try:
        await field.all_answered()
        # What waits for a timer must come, too: heartbeats of the broker, sweeps, a worker's reconnection.
        victim = await field.busy_worker()
        await field.kill(victim)
        await field.start(victim)
        await field.all_answered()
        await asyncio.sleep(field.seconds(45, 5))
        await field.all_answered()
    finally:
        await field.do(field.site.set_clock, "+0")


@fault("workers-killed-50-times", touches="worker", chargers=24)
async def workers_killed_often(field: Field) -> None:
    """50 kills of workers, one or the other, at random moments."""
    kills = int(field.seconds(50, 5))
    for number in range(kills):
        victim = field.site.workers[field.random.randrange(len(field.site.workers))]
        await field.kill(victim)
        victim.launch()
        if number % 2:
            await field.do(victim.wait_ready, READY_TIMEOUT_S)
        await asyncio.sleep(field.random.uniform(0.0, 1.5))
    field.note("kills", kills)
    field.over()
    for worker in field.site.workers:
        await field.do(worker.wait_ready, READY_TIMEOUT_S)
