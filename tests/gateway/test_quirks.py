"""Profiles of odd chargers in the gateway: from the boot, from the database, and from the operator's file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from csms.config.loading import ConfigError
from csms.gateway.quirk_file import load_quirks
from csms.ocpp.quirks import shipped
from tests.gateway.case import BOOT, GatewayCase

STATUS = {"connectorId": "1", "errorCode": "NoError", "status": "Available"}
OWN = """
[[profile]]
name = "mine"
vendor = "Mine"
tolerate = ["number-as-text"]
"""


class QuirksTests(GatewayCase):
    def own_file(self, text: str) -> str:
        directory = tempfile.TemporaryDirectory(prefix="csms-quirks-")
        self.addCleanup(directory.cleanup)
        path = Path(directory.name, "own.toml")
        path.write_text(text, encoding="utf-8")
        return str(path)

    async def test_a_charger_is_known_by_what_the_database_says_of_its_last_boot(self) -> None:
        await self.start(quirks_file=self.own_file(OWN))
        self.charger("MINE-1", vendor="mine")
        peer = await self.open("MINE-1")
        peer.call("1", "StatusNotification", STATUS)
        message = await self.worker.came("StatusNotification")
        self.assertEqual(message.payload, STATUS | {"connectorId": 1})
        (deviation,) = message.deviations
        self.assertEqual((deviation.kind, deviation.path), ("number-as-text", "$.connectorId"))
        self.assertEqual(await peer.message(), [3, "1", {}])

    async def test_a_charger_is_known_by_its_boot_at_once(self) -> None:
        await self.start(quirks_file=self.own_file(OWN))
        peer = await self.open()
        peer.call("1", "BootNotification", BOOT | {"chargePointVendor": "Mine"})
        await peer.message()
        peer.call("2", "StatusNotification", STATUS)
        self.assertEqual(await peer.message(), [3, "2", {}])

    async def test_without_a_profile_the_schema_holds(self) -> None:
        await self.start()
        self.charger("OTHER", vendor="Other")
        peer = await self.open("OTHER")
        peer.call("1", "StatusNotification", STATUS)
        self.assertEqual((await peer.message())[:3], [4, "1", "TypeConstraintViolation"])

    def test_own_profiles_come_beside_the_shipped_ones(self) -> None:
        names = [profile.name for profile in load_quirks(self.own_file(OWN)).profiles]
        self.assertEqual(names, [*(profile.name for profile in shipped()), "mine"])

    def test_a_file_that_cannot_be_used_is_named_with_the_reason(self) -> None:
        for path, told in (
            ("/nowhere/own.toml", "quirks_file: cannot read /nowhere/own.toml: No such file"),
            (self.own_file("[[profile]]"), "quirks_file: .*own.toml: profile 1 has no name"),
        ):
            with self.assertRaisesRegex(ConfigError, told):
                load_quirks(path)
