"""``twistd csms-gateway``: connections of chargers and browsers; the work is done by ``csms-worker``."""

from __future__ import annotations

from typing import ClassVar

from twisted.application.service import IService

from csms.tap.options import SettingsOptions


class Options(SettingsOptions):
    """Options of ``twistd csms-gateway``."""

    sections: ClassVar = ("gateway", "certificates", "http", "broker", "database", "log")
    about: ClassVar = (
        "Holds the connections of chargers and browsers and passes their messages through RabbitMQ to the workers. "
        "Run as many as you need, each with its own name, and let chargers reach them through a TCP load balancer."
    )
    examples: ClassVar = (
        (
            "twistd -n csms-gateway --gateway-name=gw1 --broker-url=amqp://csms@mq/csms "
            "--database-url=postgresql://csms@db/csms",
            "one of several gateways; passwords come from CSMS_BROKER_PASSWORD and CSMS_DATABASE_PASSWORD",
        ),
        ("twistd -n --pidfile= csms-gateway -c /etc/csms/tap.conf", "under systemd or in a container"),
    )

    def check(self) -> None:
        """Refuse a broker that nobody else can reach."""
        self.needs_outside_broker("csms-gateway")


def makeService(options: Options) -> IService:
    """The service, which opens nothing before it is started: twistd forks in between."""
    from csms.tap.composition import gateway_alone

    return gateway_alone(options.settings, options.parent)
