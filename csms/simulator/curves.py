"""A car at the plug: how much power it takes as its battery fills."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

_FULL_POWER_UNTIL = 80.0
"""Percent of charge up to which a battery takes what it can get; then it takes less and less."""
_LEAST_SHARE = 0.08
_VOLTAGE_V = 230.0


@dataclass(slots=True)
class Car:
    """A battery of ``capacity_wh`` that takes up to ``max_power_w`` and leaves at ``target_percent``."""

    capacity_wh: float
    max_power_w: float
    soc_percent: float
    target_percent: float

    @property
    def content(self) -> bool:
        """Whether it has what it came for."""
        return self.soc_percent >= self.target_percent

    def power_w(self, random: Random) -> float:
        """What it takes now, with the unrest that real meters show."""
        left = (100.0 - self.soc_percent) / (100.0 - _FULL_POWER_UNTIL)
        share = min(1.0, max(_LEAST_SHARE, left))
        return self.max_power_w * share * random.uniform(0.97, 1.0)

    def charge(self, power_w: float, seconds: float) -> float:
        """Take ``power_w`` for that long; returns the energy in Wh."""
        energy_wh = min(power_w * seconds / 3600.0, self.capacity_wh * (100.0 - self.soc_percent) / 100.0)
        self.soc_percent += 100.0 * energy_wh / self.capacity_wh
        return energy_wh


def random_car(random: Random) -> Car:
    """A car as they come to public chargers."""
    soc = random.uniform(10.0, 60.0)
    return Car(
        capacity_wh=random.choice((38_000.0, 52_000.0, 64_000.0, 77_000.0)),
        max_power_w=random.choice((3_700.0, 7_400.0, 11_000.0, 22_000.0)),
        soc_percent=soc,
        target_percent=min(97.0, soc + random.uniform(15.0, 45.0)),
    )


def current_a(power_w: float) -> float:
    """The current per phase of a three-phase charger at ``power_w``."""
    return power_w / (3 * _VOLTAGE_V)
