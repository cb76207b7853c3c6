"""``twistd csms``: gateway, all workers, console and API in one process."""

from __future__ import annotations

from typing import ClassVar

from twisted.application.service import IService

from csms.tap.options import SettingsOptions


class Options(SettingsOptions):
    """Options of ``twistd csms``."""

    sections: ClassVar = ("gateway", "certificates", "http", "worker", "retention", "broker", "database", "log")
    about: ClassVar = (
        "The whole charging station management system in one process: chargers connect by OCPP over WebSocket, "
        "people by browser. As it comes, it needs no other server: messages stay in the process and everything is "
        "stored in an SQLite file. Given a RabbitMQ and a PostgreSQL it uses those instead."
    )
    examples: ClassVar = (
        ("twistd -n csms", "in the foreground; -n is twistd's, see `twistd --help` for its other options"),
        (
            "twistd -n csms --gateway-unknown-chargers=accept --gateway-require-password=no",
            "let every charger in: to try it out, on a network that you trust",
        ),
        ("twistd -n csms --gateway-listen=0.0.0.0", "let chargers in from other machines"),
        ("twistd -n --pidfile= csms -c /etc/csms/tap.conf", "under systemd or in a container"),
    )


def makeService(options: Options) -> IService:
    """The service, which opens nothing before it is started: twistd forks in between."""
    from csms.tap.composition import all_in_one

    return all_in_one(options.settings, options.parent)
