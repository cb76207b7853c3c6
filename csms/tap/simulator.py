"""``twistd csms-simulator``: virtual chargers."""

from __future__ import annotations

from typing import ClassVar

from twisted.application.service import IService

from csms.tap.options import SettingsOptions


class Options(SettingsOptions):
    """Options of ``twistd csms-simulator``."""

    sections: ClassVar = ("simulator", "log")
    about: ClassVar = (
        "Virtual chargers that connect to a gateway, boot, report their state and charge cars with plausible power. "
        "The gateway must know them or accept unknown chargers."
    )
    examples: ClassVar = (
        ("twistd -n csms-simulator", "ten chargers for the csms on this machine"),
        ("twistd -n csms-simulator --simulator-chargers=100 --simulator-speed=60", "a busy site, an hour a minute"),
    )


def makeService(options: Options) -> IService:
    """The service, which opens nothing before it is started: twistd forks in between."""
    from csms.tap.composition import simulator_alone

    return simulator_alone(options.settings, options.parent)
