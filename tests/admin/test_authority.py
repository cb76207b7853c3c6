"""``csms-admin ca ...`` against a database and a directory of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from cryptography import x509

from csms.config.settings import CertificateSettings
from tests.admin.test_commands import CommandCase
from tests.certificates import OPERATOR, csr


class AuthorityCommandTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        certificates = CertificateSettings(operator=OPERATOR, ca_directory=str(self.directory / "ca"))
        self.settings = dataclasses.replace(self.settings, certificates=certificates)

    async def ready(self, request: str) -> Path:
        """An authority, a bound charger, and its request in a file."""
        await self.admin("ca", "init")
        await self.admin("charger", "add", "CP1")
        await self.admin("charger", "bind", "CP1", "SN-1")
        file = self.directory / "cp1.csr"
        file.write_text(request)
        return file

    async def test_init_makes_what_show_shows(self) -> None:
        made = await self.admin("ca", "init")
        shown = await self.admin("ca", "show")
        self.assertEqual(made.data, shown.data)
        self.assertIn(f"O={OPERATOR}", shown.text)
        self.assertIn("-----BEGIN CERTIFICATE-----", shown.text)
        self.assertIn("is there already", await self.refused("ca", "init"))

    async def test_settings_that_are_missing_are_named(self) -> None:
        self.settings = dataclasses.replace(self.settings, certificates=CertificateSettings(operator=OPERATOR))
        self.assertIn("ca_directory", await self.refused("ca", "init"))
        nowhere = CertificateSettings(ca_directory=str(self.directory))
        self.settings = dataclasses.replace(self.settings, certificates=nowhere)
        self.assertIn("operator", await self.refused("ca", "init"))
        self.assertIn("csms-admin ca init", await self.refused("ca", "show"))

    async def test_sign_list_revoke_and_the_revocation_list(self) -> None:
        file = await self.ready(csr("SN-1"))
        out = self.directory / "cp1.pem"
        signed = await self.admin("ca", "sign", str(file), "CP1", "--days", "5", "--out", str(out))
        certificate = x509.load_pem_x509_certificate(out.read_bytes())
        serial = f"{certificate.serial_number:x}"
        self.assertEqual(signed.data["serialNumber"], serial)
        (row,) = (await self.admin("ca", "list")).data
        self.assertEqual((row["deviceId"], row["serialNumber"], row["revokedAt"]), ("CP1", serial, None))
        await self.admin("ca", "revoke", serial.upper(), "--reason", "stolen")
        (row,) = (await self.admin("ca", "list")).data
        self.assertEqual(row["reason"], "stolen")
        self.assertIsNotNone(row["revokedAt"])
        crl = x509.load_pem_x509_crl((await self.admin("ca", "crl")).text.encode())
        self.assertIsNotNone(crl.get_revoked_certificate_by_serial_number(certificate.serial_number))

    async def test_a_second_revocation_changes_nothing(self) -> None:
        file = await self.ready(csr("SN-1"))
        serial = (await self.admin("ca", "sign", str(file), "CP1")).data["serialNumber"]
        await self.admin("ca", "revoke", serial, "--reason", "stolen")
        before = (await self.admin("ca", "list")).data
        await self.admin("ca", "revoke", serial, "--reason", "other")
        self.assertEqual((await self.admin("ca", "list")).data, before)
        self.assertIn("there is no certificate", await self.refused("ca", "revoke", "0"))

    async def test_what_would_not_be_signed_for_a_charger_is_not_signed_by_hand(self) -> None:
        file = await self.ready(csr("SN-2"))
        self.assertIn("is not the serial number of this charger", await self.refused("ca", "sign", str(file), "CP1"))
        self.assertEqual(await self.refused("ca", "sign", str(file), "NO"), "there is no charger NO")
        self.assertEqual((await self.admin("ca", "list")).data, [])

    async def test_a_gateways_certificate_and_key_are_written_once(self) -> None:
        await self.admin("ca", "init")
        prefix = str(self.directory / "gateway")
        await self.admin("ca", "server", "gw.example", "127.0.0.1", "--out", prefix)
        chain = x509.load_pem_x509_certificates(Path(f"{prefix}.pem").read_bytes())
        self.assertEqual(len(chain), 2)
        self.assertEqual(Path(f"{prefix}.key").stat().st_mode & 0o777, 0o600)
        self.assertIn("is there already", await self.refused("ca", "server", "gw.example", "--out", prefix))
