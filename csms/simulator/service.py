"""Many virtual chargers as one service."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.logger import Logger

from csms.config.settings import SimulatorSettings
from csms.ocpp.versions import choose_version
from csms.simulator.charger import VirtualCharger, wall_clock
from csms.simulator.client import ChargerFactory
from csms.simulator.tls import ClientTls

_log = Logger(namespace="csms.simulator")
_CONNECTS_PER_S = 50.0
"""Chargers come one after the other, as after a power cut, not all in one moment."""


class Simulator:
    """``settings.chargers`` chargers that keep connecting, booting, charging and obeying until stopped."""

    def __init__(self, settings: SimulatorSettings, reactor: Any) -> None:
        self._settings = settings
        self._reactor = reactor
        random = Random(settings.seed or None)
        subprotocols = settings.versions.split()
        start = wall_clock()
        self.chargers: list[VirtualCharger] = []
        self._randoms: list[Random] = []
        self._factories: list[ChargerFactory] = []
        self._timers: list[Any] = []
        for number in range(settings.chargers):
            version = choose_version([subprotocols[number % len(subprotocols)]], missing_is_16=False)
            assert version is not None, "the settings allow only known subprotocols"
            own = Random(random.getrandbits(64))
            charger = VirtualCharger(
                f"{settings.prefix}{number + 1:04d}",
                version,
                reactor,
                own,
                connectors=settings.connectors,
                speed=settings.speed,
                meter_interval_s=settings.meter_interval_s,
                start=start,
            )
            self.chargers.append(charger)
            self._randoms.append(own)

    async def start(self) -> None:
        """Switch them on, one after the other. Raises :class:`ConfigError` for certificates that cannot be used."""
        settings = self._settings
        tls = ClientTls(settings)
        self._factories = [
            ChargerFactory(settings.url, charger, self._reactor, own, password=settings.password, tls=tls)
            for charger, own in zip(self.chargers, self._randoms, strict=True)
        ]
        _log.info("{count} virtual chargers are coming", count=len(self.chargers))
        for number, (charger, factory) in enumerate(zip(self.chargers, self._factories, strict=True)):
            charger.start()
            self._timers.append(self._reactor.callLater(number / _CONNECTS_PER_S, factory.connect))

    async def stop(self) -> None:
        """Switch them off."""
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        for charger in self.chargers:
            charger.stop()
        for factory in self._factories:
            await factory.stop()
