"""pika keeps the contract, against a real RabbitMQ."""

from __future__ import annotations

from tests.broker.contract_amqp import AmqpContract


class PikaContract(AmqpContract):
    """The contract of brokers and that of AMQP."""

    __test__ = True
    amqp_client = "pika"
