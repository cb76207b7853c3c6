"""From settings to a broker."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from random import randrange
from typing import Any

from csms.broker.address import Address, parse_addresses
from csms.broker.amqp import AmqpBroker
from csms.broker.memory import MemoryBroker, StoreDeadLetter
from csms.broker.wire import Connect
from csms.domain.topology import topology

MEMORY = "memory:"
PIKA = "pika"
TXAMQP = "txamqp"


def open_broker(
    url: str,
    *,
    shards: int,
    amqp_client: str = PIKA,
    declare: bool = True,
    password: str = "",
    ca_file: str = "",
    heartbeat_s: int = 10,
    name: str = "csms",
    consumed_queues: Collection[str] = (),
    store_dead_letter: StoreDeadLetter | None = None,
    reactor: Any = None,
) -> MemoryBroker | AmqpBroker:
    """The broker at ``url``, not yet started. Raises ValueError for a URL that cannot be right.

    ``name`` is shown to the broker's operator. For ``memory:`` alone: ``consumed_queues`` are the queues that this
    process will consume, so that their messages wait for the first consumer; dead letters go to ``store_dead_letter``.
    ``declare``: whether to make what there is on RabbitMQ, or only to look whether it is there.
    Installs the reactor, if none is given and none was installed.
    """
    if reactor is None:
        from twisted.internet import reactor as installed

        reactor = installed
    if url.startswith(MEMORY):
        return MemoryBroker(
            topology(shards), clock=reactor, consumed_queues=consumed_queues, store_dead_letter=store_dead_letter
        )
    addresses = parse_addresses(url, password=password, ca_file=ca_file, heartbeat_s=heartbeat_s)
    return AmqpBroker(
        _in_turn(addresses, f"{name} publish"),
        _in_turn(addresses, f"{name} consume"),
        _connector(amqp_client, reactor),
        topology(shards),
        reactor,
        declare=declare,
    )


def _in_turn(addresses: Sequence[Address], connection_name: str) -> list[Address]:
    """All nodes, beginning with one by chance, so that many processes spread over a cluster."""
    first = randrange(len(addresses))
    turn = (*addresses[first:], *addresses[:first])
    return [dataclasses.replace(address, connection_name=connection_name) for address in turn]


def _connector(amqp_client: str, reactor: Any) -> Connect:
    """The library's way to connect; imported here because pika's Twisted adapter installs the reactor."""
    if amqp_client == PIKA:
        from csms.broker.amqp_pika import connector as pika_connector

        return pika_connector(reactor)
    if amqp_client == TXAMQP:
        from csms.broker.amqp_txamqp import connector as txamqp_connector

        return txamqp_connector(reactor)
    raise ValueError(f"amqp_client {amqp_client} is neither {PIKA} nor {TXAMQP}")
