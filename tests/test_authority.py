"""The built-in authority: its files, and what OpenSSL thinks of what it signs."""

from __future__ import annotations

import stat
import tempfile
import unittest
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from csms.authority import CERTIFICATE_FILE, KEY_FILE, Authority, AuthorityError
from tests.certificates import OPERATOR, csr, ec_key, rsa_key

NOW = datetime.now(UTC).replace(microsecond=0)


class AuthorityTests(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.directory = Path(holder.name, "ca")

    def create(self, **options: bool) -> Authority:
        return Authority.create(self.directory, OPERATOR, now=NOW, **options)

    def test_the_key_is_for_its_owner_only(self) -> None:
        self.create()
        self.assertEqual(stat.S_IMODE((self.directory / KEY_FILE).stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.directory.stat().st_mode), 0o700)

    def test_it_is_the_same_when_loaded(self) -> None:
        made = self.create()
        loaded = Authority.load(self.directory)
        self.assertEqual((loaded.certificate, loaded.fingerprint), (made.certificate, made.fingerprint))

    def test_one_that_is_there_is_never_overwritten(self) -> None:
        self.create()
        before = (self.directory / KEY_FILE).read_bytes()
        with self.assertRaisesRegex(AuthorityError, "is there already"):
            self.create()
        self.assertEqual((self.directory / KEY_FILE).read_bytes(), before)

    def test_what_is_missing_or_foreign_is_named(self) -> None:
        with self.assertRaisesRegex(AuthorityError, "csms-admin ca init"):
            Authority.load(self.directory)
        self.create()
        other = Authority.create(self.directory / "other", OPERATOR, now=NOW)
        (self.directory / CERTIFICATE_FILE).write_text(other.pem)
        with self.assertRaisesRegex(AuthorityError, "is not the key of"):
            Authority.load(self.directory)
        (self.directory / KEY_FILE).write_text("rubbish")
        with self.assertRaisesRegex(AuthorityError, "cannot be read"):
            Authority.load(self.directory)

    def test_a_chargers_certificate_says_what_the_rules_demand_and_nothing_of_the_requests_wishes(self) -> None:
        for with_rsa, key in ((False, ec_key()), (True, rsa_key())):
            with self.subTest(with_rsa):
                self.directory = self.directory / "further"
                authority = self.create(with_rsa=with_rsa)
                wishes = x509.BasicConstraints(ca=True, path_length=None)
                pem = authority.sign_charger(
                    csr("SN-1", key=key, extension=wishes), operator=OPERATOR, name="SN-1", now=NOW, days=10
                )
                certificate = x509.load_pem_x509_certificate(pem.encode())
                self.assertEqual(certificate.subject.rfc4514_string(), f"CN=SN-1,O={OPERATOR}")
                self.assertEqual(certificate.public_key(), key.public_key())
                self.assertEqual(certificate.not_valid_after_utc, NOW + timedelta(days=10))
                self.assertLess(certificate.not_valid_before_utc, NOW)
                self.assertIsInstance(certificate.signature_hash_algorithm, hashes.SHA256)
                constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
                self.assertFalse(constraints.ca)
                usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
                self.assertEqual(list(usage), [ExtendedKeyUsageOID.CLIENT_AUTH])
                certificate.verify_directly_issued_by(authority.certificate)

    def test_nothing_outlives_the_authority(self) -> None:
        authority = self.create()
        pem = authority.sign_charger(csr("SN-1"), operator=OPERATOR, name="SN-1", now=NOW, days=100_000)
        end = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
        self.assertEqual(end, authority.certificate.not_valid_after_utc)

    def test_a_gateways_certificate_is_good_for_its_names(self) -> None:
        authority = self.create()
        for with_rsa, kind in ((False, ec.EllipticCurvePrivateKey), (True, rsa.RSAPrivateKey)):
            pem, key = authority.make_server(["gw.example", "127.0.0.1"], now=NOW, days=10, with_rsa=with_rsa)
            certificate = x509.load_pem_x509_certificate(pem.encode())
            self.assertIsInstance(load_pem_private_key(key.encode(), None), kind)
            verifier = PolicyBuilder().store(Store([authority.certificate])).time(NOW)
            verifier.build_server_verifier(x509.DNSName("gw.example")).verify(certificate, [])

    def test_the_revocation_list_names_what_is_revoked(self) -> None:
        authority = self.create()
        pem = authority.revocation_list([("1f", NOW)], now=NOW, days=7)
        revoked = x509.load_pem_x509_crl(pem.encode())
        self.assertIsNotNone(revoked.get_revoked_certificate_by_serial_number(0x1F))
        self.assertIsNone(revoked.get_revoked_certificate_by_serial_number(0x2F))
        self.assertEqual(revoked.next_update_utc, NOW + timedelta(days=7))
        self.assertEqual(revoked.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value, OPERATOR)

    def test_names_that_cannot_stand_in_a_certificate_are_refused(self) -> None:
        authority = self.create()
        with self.assertRaisesRegex(AuthorityError, "cannot stand in a certificate"):
            authority.sign_charger(csr("SN-1"), operator=OPERATOR, name="x" * 65, now=NOW, days=1)
