"""Which certificates a charger has."""

from __future__ import annotations

import hashlib
import unittest
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from csms.domain.device_records import InstalledCertificate
from csms.domain.installed_certificates import OWN
from csms.domain.messages import NotificationType
from tests.domain.commanding import ACCEPTED, CommandedStation
from tests.domain.station import NOON

CENTRAL, MAKER = "CentralSystemRootCertificate", "ManufacturerRootCertificate"


def certificate(name: str, serial_number: int) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial_number)
        .not_valid_before(NOON)
        .not_valid_after(NOON + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


def pem(one: x509.Certificate) -> str:
    return one.public_bytes(serialization.Encoding.PEM).decode()


def named(one: x509.Certificate, algorithm: str = "SHA256", key_hash: str = "0a") -> dict[str, str]:
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": hashlib.new(algorithm, one.issuer.public_bytes()).hexdigest().upper(),
        "issuerKeyHash": key_hash,
        "serialNumber": f"00{one.serial_number:X}",
    }


ONE, TWO = certificate("one", 0xABC), certificate("two", 0xDEF)


class InstalledCertificates(unittest.TestCase):
    def setUp(self) -> None:
        self.station = CommandedStation()

    def install(self, one: x509.Certificate, use: str = CENTRAL, answer: str = "Accepted") -> None:
        request = {"certificateType": use, "certificate": pem(one)}
        self.station.command("InstallCertificate", request, {"status": answer})

    def report(self, *found: dict[str, str], use: str = CENTRAL) -> None:
        response = {"status": "Accepted", "certificateHashData": list(found)} if found else {"status": "NotFound"}
        self.station.command("GetInstalledCertificateIds", {"certificateType": use}, response)

    def delete(self, name: dict[str, str], answer: str = "Accepted") -> None:
        self.station.command("DeleteCertificate", {"certificateHashData": name}, {"status": answer})

    @property
    def certificates(self) -> list[InstalledCertificate]:
        return list(self.station.devices.certificates.of(self.station.charger.id))

    def test_an_installed_one_is_found_again_in_the_report(self) -> None:
        self.install(ONE)
        (kept,) = self.certificates
        self.assertEqual((kept.use, kept.pem, kept.serial_number, kept.reported_at), (CENTRAL, pem(ONE), "abc", None))
        for algorithm in ("SHA256", "SHA384", "SHA512"):
            self.report(named(ONE, algorithm))
            self.assertEqual(self.certificates, [kept])
        self.assertEqual((kept.hash_algorithm, kept.serial_number), ("SHA512", "00ABC"))
        self.assertIsNotNone(kept.reported_at)
        self.assertEqual(self.station.kinds(), [NotificationType.CERTIFICATES_CHANGED])

    def test_a_refused_one_is_not_there(self) -> None:
        for answer in ("Rejected", "Failed"):
            self.install(ONE, answer=answer)
        self.assertEqual(self.certificates, [])

    def test_installed_twice_it_is_there_once(self) -> None:
        self.install(ONE)
        self.install(ONE)
        self.assertEqual(len(self.certificates), 1)

    def test_a_report_is_all_there_is_of_its_use(self) -> None:
        self.install(ONE)
        self.install(TWO, MAKER)
        self.report(named(TWO))
        self.assertEqual([(one.use, bool(one.pem)) for one in self.certificates], [(MAKER, True), (CENTRAL, False)])
        self.report()
        self.assertEqual([one.use for one in self.certificates], [MAKER])

    def test_another_key_of_the_same_issuer_is_another_certificate(self) -> None:
        self.report(named(ONE, key_hash="aa"), named(ONE, key_hash="bb"))
        self.assertEqual(len(self.certificates), 2)
        self.delete(named(ONE, key_hash="bb"))
        self.assertEqual([one.issuer_key_hash for one in self.certificates], ["aa"])

    def test_a_deleted_one_is_gone_reported_before_or_not(self) -> None:
        self.install(ONE)
        self.report(named(TWO), use=MAKER)
        self.delete(named(ONE), "Failed")
        self.assertEqual(len(self.certificates), 2)
        self.delete(named(ONE))
        self.delete(named(TWO), "NotFound")
        self.assertEqual(self.certificates, [])
        self.assertEqual(self.station.last(NotificationType.CERTIFICATES_CHANGED)["use"], MAKER)

    def test_what_is_no_certificate_is_kept_until_the_charger_reports_otherwise(self) -> None:
        request = {"certificateType": CENTRAL, "certificate": "nonsense"}
        self.station.command("InstallCertificate", request)
        self.assertEqual([one.serial_number for one in self.certificates], [""])
        self.report(named(ONE))
        self.assertEqual([one.pem for one in self.certificates], [""])

    def test_a_signed_certificate_takes_the_place_of_the_chargers_own(self) -> None:
        self.station.command("CertificateSigned", {"certificateChain": pem(ONE)}, {"status": "Rejected"})
        self.assertEqual(self.certificates, [])
        for one in (ONE, TWO):
            self.station.command("CertificateSigned", {"certificateChain": pem(one) + pem(ONE)}, ACCEPTED)
        self.assertEqual([(one.use, one.serial_number) for one in self.certificates], [(OWN, "def")])
        self.delete(named(TWO))
        self.assertEqual(len(self.certificates), 1)
