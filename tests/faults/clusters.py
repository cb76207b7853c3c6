"""A RabbitMQ cluster of three nodes that loses one: killed, frozen, or cut off from the others."""

from __future__ import annotations

import asyncio
import time

from tests.faults.catalogue import fault
from tests.faults.field import Field
from tests.faults.sites import ScaledOut
from tests.integration.processes import Service
from tests.servers import Cluster
from tests.servers.cluster import Node

QUEUE = "ocpp_messages.0"


class Clustered(ScaledOut):
    """RabbitMQ is a cluster of three nodes, which csms knows all."""

    cluster: Cluster

    @property
    def broker_url(self) -> str:
        return self.cluster.url()

    def start_servers(self) -> None:
        self.cluster = Cluster(self.directory / "rabbitmq", settings={"queue_leader_locator": "balanced"})
        self.postgresql = self.make_postgresql()
        self.servers += [self.postgresql, *self.cluster.nodes]
        self.postgresql.start()
        self.cluster.start()
        # Of those that live, one is asked about the cluster.
        self.rabbitmq = self.cluster.nodes[0]

    def busy_worker(self) -> Service:
        port = self.cluster.living().active_consumer(QUEUE)
        return next(worker for worker in self.workers if port in self.broker_ports(worker))

    def dead_letters(self) -> int:
        return self.cluster.living().depth("dead_letter_queue")

    def end(self) -> None:
        self.cluster.resume()
        super().end()
        self.cluster.kill()


async def _leader(field: Field) -> Node:
    leader: Node = await field.do(field.site.cluster.leader, "/", QUEUE)
    return leader


@fault("cluster-leader-killed", layout=Clustered, touches="broker")
async def leader_killed(field: Field) -> None:
    """SIGKILL of the node that leads a shard's queue; it comes back half a minute later."""
    await _without(field, await _leader(field), field.seconds(30, 1))


@fault("cluster-nodes-killed-in-turn", layout=Clustered, touches="broker")
async def nodes_killed_in_turn(field: Field) -> None:
    """SIGKILL of each node, one after the other has come back."""
    for node in field.site.cluster.nodes:
        await _without(field, node, 1.0)


async def _without(field: Field, node: Node, seconds: float) -> None:
    began = time.monotonic()
    await field.do(node.kill)
    try:
        await asyncio.sleep(0.5)
        await field.all_answered()
        gap_s = time.monotonic() - began
        field.note("all answered again after s", max(gap_s, field.figures.get("all answered again after s", 0.0)))
        await asyncio.sleep(seconds)
    finally:
        await field.do(field.site.cluster.revive)


@fault("cluster-node-frozen", layout=Clustered, touches="broker")
async def node_frozen(field: Field) -> None:
    """SIGSTOP of the node that leads a shard's queue, for less than the cluster takes to notice: other shards go on."""
    node = await _leader(field)
    began = time.monotonic()
    freezing = asyncio.create_task(field.paused(node, field.seconds(30, 12)))
    try:
        await asyncio.sleep(0.5)
        answered = field.ledger.answers
        await field.more_answers(3)
        field.note("answers go on after s", time.monotonic() - began)
    finally:
        await freezing
    field.note("answers meanwhile", field.ledger.answers - answered)
    await field.do(field.site.cluster.await_whole)


@fault("cluster-node-cut-off", layout=Clustered, touches="broker")
async def node_cut_off(field: Field) -> None:
    """The node that leads a shard's queue loses the others, and keeps its clients; it is started anew in the end."""
    node = await _leader(field)
    began = time.monotonic()
    await field.do(field.site.cluster.isolate, node)
    try:
        await field.all_answered()
        field.note("all answered again after s", time.monotonic() - began)
        await asyncio.sleep(field.seconds(30, 1))
    finally:
        await field.do(node.kill)
        await field.do(field.site.cluster.revive)
