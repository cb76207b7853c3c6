"""Who works for which shard, in which order, and where dead letters go, while that is being changed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from csms.domain.topology import DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, shard_queues
from tests.faults.catalogue import fault
from tests.faults.field import Field
from tests.faults.message_faults import SHARDS, _poison, _publish
from tests.integration.processes import Service


@fault("workers-added-and-removed", touches="worker")
async def workers_come_and_go(field: Field) -> None:
    """Workers are added, and the first ones stopped, under load: each shard has one active consumer throughout."""
    site = field.site
    first = list(site.workers)
    added = [site.add_worker(f"extra-{number}-{field.prefix}") for number in (1, 2)]
    try:
        await field.start(*added)
        await _each_shard_has_one(field, site.workers)
        for worker in first:
            await field.do(worker.terminate)
            await _each_shard_has_one(field, [one for one in site.workers if one.alive])
        field.note("shards of the added", _shares(field, added))
        await field.more_answers()
        await field.start(*first)
        for worker in added:
            await field.do(worker.terminate)
        await _each_shard_has_one(field, first)
        field.note("shards of the first", _shares(field, first))
    finally:
        for worker in added:
            worker.destroy()
            site.workers.remove(worker)


def _active(field: Field, workers: list[Service]) -> Counter[str]:
    """The workers by how many shards they work for."""
    names = {port: worker.name for worker in workers for port in field.site.broker_ports(worker)}
    return Counter(names.get(field.site.rabbitmq.active_consumer(queue), "nobody") for queue in shard_queues(SHARDS))


async def _each_shard_has_one(field: Field, workers: list[Service]) -> None:
    """Wait until RabbitMQ says so: what its management tells is some seconds old."""
    await field.until(lambda: "nobody" not in _active(field, workers), "each shard has a worker that lives")


def _shares(field: Field, workers: list[Service]) -> str:
    return " + ".join(str(count) for count in sorted(_active(field, workers).values(), reverse=True))


@fault("order-under-kills", touches="worker broker", chargers=30)
async def order_under_kills(field: Field) -> None:
    """Workers are killed at random moments while RabbitMQ is restarted twice: every charger's order stands."""

    async def restart_broker() -> None:
        for _ in range(2):
            await field.do(field.site.rabbitmq.kill)
            await field.do(field.site.rabbitmq.start)
            await asyncio.sleep(field.seconds(10, 1))

    restarting = asyncio.create_task(restart_broker())
    kills = 0
    while not restarting.done():
        victim: Service = field.random.choice(field.site.workers)
        await field.kill(victim)
        kills += 1
        victim.launch()
        await field.until(lambda one=victim: one.health()[0] == 200, "it is back", timeout_s=120.0)  # type: ignore[misc]
        await asyncio.sleep(field.random.uniform(0.2, 3.0))
    await restarting
    field.note("kills", kills)


@fault("dead-letter-queue-missing", touches="broker message")
async def dead_letter_queue_missing(field: Field) -> None:
    """Messages that no worker can store while no queue takes dead letters: they are there once one does."""
    manage = field.site.rabbitmq.manage
    path = f"bindings/%2F/e/{DEAD_LETTER_EXCHANGE}/q/{DEAD_LETTER_QUEUE}"
    before = await field.do(field.site.dead_letters)
    ids = dict(await field.do(field.site.query, "select device_id, id from chargers"))
    poisons = int(field.seconds(6, 2))
    await field.do(manage, "DELETE", f"{path}/~")
    try:
        for number in range(poisons):
            device_id = field.chargers[number].device_id
            poison = _poison(1000 + number, device_id, ids)
            await field.do(_publish, field.site.broker_url, device_id, poison)
        began = time.monotonic()
        while time.monotonic() - began < field.seconds(20, 3):
            await field.more_answers()
        field.check(await field.do(field.site.dead_letters) == before, "a dead letter went somewhere")
    finally:
        await field.do(manage, "POST", path, {"routing_key": "", "arguments": {}})
    await field.until(lambda: field.site.dead_letters() >= before + poisons, "they are all there", timeout_s=90.0)
    field.dead_letters = poisons
    field.allowed += ["cannot be handled", "no dead letter could be written"]
    field.note("poisons", poisons)
