"""RabbitMQ that is stopped, killed, frozen, alarmed, locked, or robbed of a queue."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from urllib.parse import quote

from csms.domain.topology import shard_of
from tests.faults.catalogue import fault
from tests.faults.field import Field
from tests.integration.people import get
from tests.servers.daemon import ServerFailed

SHARDS = 4
QUEUE = "ocpp_messages.0"
_TRY_AGAIN_LATER = 1013


@fault("broker-restarted", touches="broker")
async def broker_restarted(field: Field) -> None:
    """RabbitMQ is stopped in good order and started again."""
    await field.do(field.site.rabbitmq.stop)
    await field.do(field.site.rabbitmq.start)


@fault("broker-killed", short=True, touches="broker")
async def broker_killed(field: Field) -> None:
    """SIGKILL of RabbitMQ."""
    await field.do(field.site.rabbitmq.kill)
    await field.do(field.site.rabbitmq.start)


@fault("broker-killed-three-times", touches="broker")
async def broker_killed_three_times(field: Field) -> None:
    """SIGKILL of RabbitMQ again as soon as it serves."""
    for _ in range(3):
        await field.do(field.site.rabbitmq.kill)
        await field.do(field.site.rabbitmq.start)


@fault("broker-frozen", touches="broker")
async def broker_frozen(field: Field) -> None:
    """SIGSTOP of RabbitMQ for a minute: chargers are closed with 1013, and refused with 503 until it is back."""
    began = time.monotonic()
    seconds = field.seconds(60, 14)
    freezing = asyncio.create_task(field.paused(field.site.rabbitmq, seconds))
    if field.alone:
        closed = field.ledger.closed
        await field.until(
            lambda: closed[_TRY_AGAIN_LATER] >= len(field.chargers) and field.ledger.refused[503],
            "every charger is closed with 1013, and refused with 503",
        )
        field.note("all closed after s", time.monotonic() - began)
        field.check(not freezing.done(), "the gateways closed only when the broker was back")
        field.check(set(closed) <= {_TRY_AGAIN_LATER}, f"chargers were closed otherwise: {dict(closed)}")
    await freezing


@fault("broker-memory-alarm", touches="broker")
async def broker_memory_alarm(field: Field) -> None:
    """RabbitMQ's memory alarm for 30 s: nothing is answered, browsers still read, nothing is lost."""
    await _alarm(field, ("set_vm_memory_high_watermark", "absolute", "1MB"), ("set_vm_memory_high_watermark", "0.4"))


@fault("broker-disk-alarm", touches="broker")
async def broker_disk_alarm(field: Field) -> None:
    """RabbitMQ's disk alarm for 30 s: the same."""
    await _alarm(field, ("set_disk_free_limit", "100000GB"), ("set_disk_free_limit", "50MB"))


async def _alarm(field: Field, on: tuple[str, ...], off: tuple[str, ...]) -> None:
    began = time.monotonic()
    await field.do(field.site.rabbitmq.control, *on)
    try:
        gateways = field.site.gateways
        if field.alone:
            await field.until(lambda: all(gateway.health()[0] == 503 for gateway in gateways), "the gateways know it")
            answers = field.ledger.answers
            await field.do(get, gateways[0].http_port, "/api/v1/chargers", field.site.cookie)
        await asyncio.sleep(max(1.0, field.seconds(30, 8) - (time.monotonic() - began)))
        if field.alone:
            field.check(field.ledger.answers == answers, "somebody was answered while the broker took nothing")
    finally:
        await field.do(field.site.rabbitmq.control, *off)


@fault("shard-queue-deleted", touches="broker")
async def shard_queue_deleted(field: Field) -> None:
    """A shard's queue is unbound and deleted under load: its messages come back, none is answered, it is made anew."""
    manage = field.site.rabbitmq.manage
    bindings = await field.do(manage, "GET", f"queues/%2F/{QUEUE}/bindings")
    binding = next(one for one in bindings if one["source"])
    key = quote(binding["properties_key"], safe="")
    await field.do(manage, "DELETE", f"bindings/%2F/e/{binding['source']}/q/{QUEUE}/{key}")
    unbound_at = time.monotonic()
    await field.do(manage, "GET", f"queues/%2F/{QUEUE}")
    victims = {charger.device_id for charger in field.chargers if shard_of(charger.device_id, SHARDS) == 0}
    field.check(victims, "no charger of the load is on this shard")
    # What was confirmed before must be out of the queue: to delete it with them is to delete them.
    await field.until(lambda: _unsettled(field) == 0, "the queue is empty")
    sent = [one for one in field.ledger.attempts if one.device_id in victims and one.sent_at > unbound_at]
    field.check(not any(one.answered_at for one in sent), "a message that no queue took was answered")
    field.note("returned, unanswered", len(sent))
    await field.do(manage, "DELETE", f"queues/%2F/{QUEUE}")


def _unsettled(field: Field) -> int:
    """Messages in the queue, with those that a worker has not acked: as RabbitMQ itself says now."""
    lines = field.site.rabbitmq.control("list_queues", "--silent", "name", "messages")
    counts = dict(line.split() for line in lines.splitlines() if line.startswith("ocpp_messages"))
    return int(counts[QUEUE])


@fault("connections-closed-by-broker", touches="broker")
async def connections_closed(field: Field) -> None:
    """An operator closes every connection of csms in RabbitMQ's management, three times."""
    for _ in range(3):
        for connection in await field.do(field.site.rabbitmq.manage, "GET", "connections"):
            with suppress(ServerFailed):  # it may be gone by itself
                await field.do(
                    field.site.rabbitmq.manage, "DELETE", f"connections/{quote(connection['name'], safe='')}"
                )
        await asyncio.sleep(2.0)


@fault("broker-password-changed", touches="broker")
async def broker_password_changed(field: Field) -> None:
    """The password of csms at the broker is changed, its connections are closed, and it is changed back."""
    control = field.site.rabbitmq.control
    await field.do(control, "change_password", "guest", "another")
    try:
        await field.do(control, "close_all_connections", "the password has changed")
        await field.until(
            lambda: all(service.health()[0] == 503 for service in field.site.services), "every process says so"
        )
        await asyncio.sleep(field.seconds(20, 2))
    finally:
        await field.do(control, "change_password", "guest", "guest")
