"""Certificates for tests, made on the spot and valid relative to now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

OPERATOR = "Example Charging"
DAY = timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def write(self, certificate: Path, key: Path) -> None:
        certificate.write_bytes(self.pem)
        key.write_bytes(key_pem(self.key))


def key_pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def name(common_name: str | None, organisation: str | None = OPERATOR) -> x509.Name:
    attributes = []
    if organisation is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    if common_name is not None:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def csr(
    common_name: str | None,
    organisation: str | None = OPERATOR,
    *,
    key: Key | None = None,
    extension: x509.ExtensionType | None = None,
    algorithm: hashes.HashAlgorithm | None = None,
) -> str:
    """A charger's request."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(common_name, organisation))
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    signed = builder.sign(key or ec_key(), algorithm or hashes.SHA256())  # type: ignore[arg-type]
    return signed.public_bytes(Encoding.PEM).decode()


class TestAuthority:
    """Signs what a test asks for, also what no real authority would."""

    __test__ = False

    def __init__(self, common_name: str = "Test root") -> None:
        self.pair = _sign(name(common_name), ec_key(), None, authority=True)
        self.pem = self.pair.pem

    def server(self, key: Key | None = None) -> Pair:
        """For 127.0.0.1."""
        return _sign(name("127.0.0.1"), key or ec_key(), self.pair, usage=ExtendedKeyUsageOID.SERVER_AUTH)

    def client(
        self,
        common_name: str,
        organisation: str | None = OPERATOR,
        *,
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    ) -> Pair:
        """For a charger."""
        subject = name(common_name, organisation)
        return _sign(subject, ec_key(), self.pair, usage=usage, valid_from=valid_from, valid_to=valid_to)

    def revocations(self, revoked: Sequence[Pair] = ()) -> bytes:
        """The revocation list."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.pair.certificate.subject)
            .last_update(now - DAY)
            .next_update(now + DAY)
        )
        for pair in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(pair.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(now - DAY).build())
        return builder.sign(self.pair.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def self_signed(common_name: str) -> Pair:
    return _sign(name(common_name), ec_key(), None)


def _sign(
    subject: x509.Name,
    key: Key,
    issuer: Pair | None,
    *,
    authority: bool = False,
    usage: x509.ObjectIdentifier | None = None,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
) -> Pair:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from or now - DAY)
        .not_valid_after(valid_to or now + DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")])
        builder = builder.add_extension(address, critical=False)
    return Pair(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)
