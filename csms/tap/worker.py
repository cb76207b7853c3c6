"""``twistd csms-worker``: takes messages of chargers from RabbitMQ, decides, and writes the database."""

from __future__ import annotations

from typing import ClassVar

from twisted.application.service import IService

from csms.tap.options import SettingsOptions


class Options(SettingsOptions):
    """Options of ``twistd csms-worker``."""

    sections: ClassVar = ("worker", "retention", "certificates", "broker", "database", "log")
    about: ClassVar = (
        "Takes the messages of chargers from RabbitMQ, decides the answers and writes the database; sends webhooks and "
        "adds up statistics. Run two or more: they share the chargers among them, and when one dies another takes over."
    )
    examples: ClassVar = (
        (
            "twistd -n csms-worker --broker-url=amqp://csms@mq/csms --database-url=postgresql://csms@db/csms",
            "all kinds of work; passwords come from CSMS_BROKER_PASSWORD and CSMS_DATABASE_PASSWORD",
        ),
        ("twistd -n csms-worker --worker-run=ocpp", "only the messages of chargers"),
        ("twistd -n csms-worker --worker-http-port=8081", "with /health and /metrics on loopback"),
    )

    def check(self) -> None:
        """Refuse a broker that nobody else can reach."""
        self.needs_outside_broker("csms-worker")


def makeService(options: Options) -> IService:
    """The service, which opens nothing before it is started: twistd forks in between."""
    from csms.tap.composition import worker_alone

    return worker_alone(options.settings, options.parent)
