"""Virtual chargers by wss://, against a gateway that wants their certificates."""

from __future__ import annotations

from twisted.internet import reactor

from csms.config.loading import ConfigError
from csms.config.settings import SimulatorSettings
from csms.simulator.service import Simulator
from tests.certificates import TestAuthority
from tests.gateway.case import PASSWORD, until
from tests.gateway.tls_case import TlsCase


class SimulatorTlsTests(TlsCase):
    async def simulated(self, door: str, **settings: str) -> None:
        """Let two chargers come, each with its own identity."""
        url = f"wss://127.0.0.1:{self.gateway.listening.port(door)}/ocpp"
        values = {"url": url, "ca_file": str(self.file("ca.pem")), "prefix": "CP"} | settings
        simulator = Simulator(SimulatorSettings(chargers=2, versions="ocpp1.6", **values), reactor)  # type: ignore[arg-type]
        try:
            await simulator.start()
            await self.worker.came("BootNotification", 2)
        finally:
            await simulator.stop()

    async def test_each_charger_shows_its_own_certificate(self) -> None:
        await self.start_mutual()
        for number in ("1", "2"):
            self.bound(f"CP000{number}", f"SN-{number}")
            pair = self.authority.client(f"SN-{number}")
            pair.write(self.file(f"CP000{number}.pem"), self.file(f"CP000{number}.key"))
        files = {"certificate_file": str(self.file("{deviceId}.pem")), "key_file": str(self.file("{deviceId}.key"))}
        await self.simulated("mtls", **files)

    async def test_password_over_tls(self) -> None:
        await self.start_tls()
        for number in ("1", "2"):
            self.charger(f"CP000{number}")
        await self.simulated("tls", password=PASSWORD)

    async def test_a_gateway_of_an_unknown_authority_is_not_trusted(self) -> None:
        await self.start_tls()
        self.charger("CP0001")
        self.file("other.pem").write_bytes(TestAuthority("Other root").pem)
        url = f"wss://127.0.0.1:{self.gateway.listening.port('tls')}/ocpp"
        settings = SimulatorSettings(
            chargers=1, url=url, ca_file=str(self.file("other.pem")), prefix="CP", password=PASSWORD
        )
        simulator = Simulator(settings, reactor)
        await simulator.start()
        try:
            await until(lambda: self.tls_failures)
        finally:
            await simulator.stop()
        self.assertEqual(self.tls_failures, ["tlsv1 alert unknown ca"])

    async def test_files_that_cannot_be_used_are_named(self) -> None:
        self.file("rubbish").write_text("rubbish")
        for settings, expected in (
            ({"ca_file": "/nowhere/ca"}, "ca_file: cannot read /nowhere/ca"),
            ({"ca_file": str(self.file("rubbish"))}, "there is no certificate in it"),
            ({"certificate_file": str(self.file("rubbish"))}, "certificate_file and key_file go together"),
            (
                {"certificate_file": str(self.file("rubbish")), "key_file": str(self.file("rubbish"))},
                "rubbish cannot be used",
            ),
        ):
            simulator = Simulator(SimulatorSettings(url="wss://127.0.0.1:1/ocpp", **settings), reactor)  # type: ignore[arg-type]
            with self.assertRaises(ConfigError) as raised:
                await simulator.start()
            self.assertIn(expected, str(raised.exception))
