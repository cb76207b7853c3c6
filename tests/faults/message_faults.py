"""Messages that no worker can handle, and commands whose way is broken."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pika

from csms.domain.messages import FORMAT_VERSION
from csms.domain.topology import OCPP_EXCHANGE, SHARD_HEADER, VERSION_HEADER, message_key, shard_of
from tests.faults.catalogue import fault
from tests.faults.charger_faults import Script
from tests.faults.chargers import now
from tests.faults.field import Field
from tests.integration.people import post

SHARDS = 4
START = "RemoteStartTransaction"
_STATE = "select state from commands where command_id = '{}'"


@fault("poison-message", touches="message")
async def poison_message(field: Field) -> None:
    """Messages that no worker can store, among those of the load: a dead letter each, and nothing else with it."""
    poisons = int(field.seconds(12, 4))
    before = await field.do(field.site.dead_letters)
    ids = dict(await field.do(field.site.query, "select device_id, id from chargers"))
    for number in range(poisons):
        charger = field.chargers[number % len(field.chargers)]
        await field.do(_publish, field.site.broker_url, charger.device_id, _poison(number, charger.device_id, ids))
        await field.more_answers()
    await field.until(lambda: field.site.dead_letters() >= before + poisons, "all of them are dead letters")
    field.dead_letters = poisons
    field.allowed.append("cannot be handled")
    field.note("poisons", poisons)


def _poison(number: int, device_id: str, ids: dict[str, int]) -> dict[str, Any]:
    """A message that reads well, and that PostgreSQL refuses, as no gateway would let it through."""
    return {
        "deviceId": device_id,
        "chargerId": ids[device_id],
        "messageType": "StatusNotification",
        "payload": {"connectorId": 9, "errorCode": "NoError", "status": "Available"},
        "timestamp": now(),
        "rawData": "\x00",
        "messageId": f"poison-{device_id}-{number}",
        "connectionId": "",
        "ocppVersion": "1.6",
        "gateway": "nobody",
    }


def _publish(url: str, device_id: str, body: dict[str, Any]) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        headers = {SHARD_HEADER: shard_of(device_id, SHARDS), VERSION_HEADER: FORMAT_VERSION}
        properties = pika.BasicProperties(message_id=body["messageId"], headers=headers, delivery_mode=2)
        channel = connection.channel()
        channel.confirm_delivery()
        key = message_key("StatusNotification")
        channel.basic_publish(OCPP_EXCHANGE, key, json.dumps(body).encode(), properties, mandatory=True)
    finally:
        connection.close()


@fault("gateway-killed-after-command", touches="gateway")
async def gateway_killed_after_command(field: Field) -> None:
    """SIGKILL of a gateway that has written RemoteStartTransaction: it is sent once, and nobody claims its outcome."""
    charger = Silent(field, "commanded")
    await charger.boot()
    known = f"select 1 from chargers where device_id = '{charger.device_id}' and ocpp_version <> ''"
    await field.until(lambda: field.site.query(known), "the database knows which OCPP it speaks")
    path = f"/api/v1/chargers/{charger.device_id}/commands/{START}?wait=false&timeout=5"
    gateway = field.site.gateways[field.site.charger_ports.index(charger.port)]
    code, command = await field.do(post, gateway.http_port, path, {"idTag": "TAG"}, field.site.cookie)
    field.check(code == 202, f"the command was answered by {code} {command}")
    await field.until(lambda: charger.commands, "the charger has the command")
    await field.kill(gateway, signal.SIGKILL)
    field.over()
    await field.start(gateway)
    await charger.boot()
    statement = _STATE.format(command["id"])
    await field.until(lambda: field.site.query(statement) == [("unknown",)], "the command's outcome is unknown")
    await charger.boot()
    field.check([action for action, _ in charger.commands] == [START], f"the charger got {charger.commands}")
    await charger.hang_up()


class Silent(Script):
    """Obeys nothing and refuses nothing: its commands are not answered."""

    async def boot(self) -> None:
        await super().boot()
        assert self.link is not None
        self.link.answers_commands = False


@fault("commands-while-workers-die", touches="worker")
async def commands_while_workers_die(field: Field) -> None:
    """Commands to every charger while workers are killed in turn: none comes twice, each has an end."""
    commanded = [charger for charger in field.chargers if charger.subprotocol == "ocpp1.6"]
    for charger in commanded:
        charger.command_answers["ClearCache"] = {"status": "Accepted"}
    ids: list[str] = []

    async def command() -> None:
        for _ in range(int(field.seconds(6, 2))):
            for charger in commanded:
                path = f"/api/v1/chargers/{charger.device_id}/commands/ClearCache?wait=false&timeout=10"
                port = field.site.gateways[0].http_port
                code, answer = await field.do(post, port, path, {}, field.site.cookie)
                if code == 202:
                    ids.append(answer["id"])

    commanding = asyncio.create_task(command())
    while not commanding.done():
        for worker in field.site.workers:
            await field.kill(worker)
            await field.start(worker)
    await commanding
    field.over()
    listed = ", ".join(f"'{one}'" for one in ids)
    statement = f"select command_id, state from commands where command_id in ({listed})"
    running = {"waiting", "sent", "queued"}
    await field.until(
        lambda: not any(state in running for _, state in field.site.query(statement)), "every command has an end"
    )
    states = [state for _, state in await field.do(field.site.query, statement)]
    came = sum(len(charger.commands) for charger in commanded)
    field.note("commands", len(ids))
    for state in sorted(set(states)):
        field.note(state, states.count(state))
    field.check(came <= len(ids), f"{len(ids)} commands came {came} times")
    field.check(came >= states.count("answered"), f"{states.count('answered')} answered, {came} came")
