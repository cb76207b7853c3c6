"""The built-in certificate authority: a key and a certificate in a directory, and what they sign.

``ca.key`` is readable for its owner only. Nothing here knows the database: which certificates were issued and revoked
is the register's business (``csms.domain.repositories_certificates``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERTIFICATE_FILE = "ca.pem"
KEY_FILE = "ca.key"
ROOT_DAYS = 20 * 365
RSA_BITS = 3072
SLOW_CLOCK = timedelta(hours=24)
"""Certificates are valid from this long before they are signed: clocks of chargers lag."""

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class AuthorityError(ValueError):
    """The authority cannot be made or used; the text names the file and says why."""


class Authority:
    """Signs certificates that end before it does."""

    def __init__(self, certificate: x509.Certificate, key: Key) -> None:
        self.certificate = certificate
        self._key = key

    @classmethod
    def create(cls, directory: Path, operator: str, *, now: datetime, with_rsa: bool = False) -> Authority:
        """A new one in ``directory``; never over one that is there. Raises :class:`AuthorityError`."""
        key = _new_key(with_rsa)
        subject = _subject(operator, f"{operator} charger CA"[:64])
        usage = _usage(digital_signature=True, key_cert_sign=True, crl_sign=True)
        builder = (
            _builder(subject, subject, key.public_key(), now, now + timedelta(days=ROOT_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        authority = cls(builder.sign(key, hashes.SHA256()), key)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(directory / KEY_FILE, _key_pem(key), mode=0o600)
        _write(directory / CERTIFICATE_FILE, authority.pem.encode(), mode=0o644)
        return authority

    @classmethod
    def load(cls, directory: Path) -> Authority:
        """The one in ``directory``. Raises :class:`AuthorityError`."""
        try:
            certificate = x509.load_pem_x509_certificate((directory / CERTIFICATE_FILE).read_bytes())
            key = load_pem_private_key((directory / KEY_FILE).read_bytes(), password=None)
        except OSError as error:
            raise AuthorityError(
                f"no authority in {directory} ({error.strerror}: {error.filename}); `csms-admin ca init` makes one"
            ) from error
        except (ValueError, TypeError) as error:
            raise AuthorityError(f"the authority in {directory} cannot be read: {error}") from error
        if not isinstance(key, Key) or key.public_key() != certificate.public_key():
            raise AuthorityError(f"{KEY_FILE} in {directory} is not the key of {CERTIFICATE_FILE}")
        return cls(certificate, key)

    @property
    def pem(self) -> str:
        """The certificate, for whoever is to trust the authority."""
        return _pem(self.certificate)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def sign_charger(self, csr: str, *, operator: str, name: str, now: datetime, days: int) -> str:
        """A client certificate (PEM) for the key of ``csr``, which was checked before."""
        request = x509.load_pem_x509_csr(csr.encode())
        builder = self._leaf(_subject(operator, name), request.public_key(), ExtendedKeyUsageOID.CLIENT_AUTH, now, days)
        return _pem(builder.sign(self._key, hashes.SHA256()))

    def make_server(self, names: Sequence[str], *, now: datetime, days: int, with_rsa: bool) -> tuple[str, str]:
        """A certificate (PEM) for a gateway with these host names or addresses, and its key (PEM)."""
        key = _new_key(with_rsa)
        builder = self._leaf(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]),
            key.public_key(),
            ExtendedKeyUsageOID.SERVER_AUTH,
            now,
            days,
        ).add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        return _pem(builder.sign(self._key, hashes.SHA256())), _key_pem(key).decode()

    def revocation_list(self, revoked: Sequence[tuple[str, datetime]], *, now: datetime, days: int) -> str:
        """The list (PEM) of these serial numbers (hexadecimal) with the times of their revocation."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now)
            .next_update(now + timedelta(days=days))
            .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
        )
        for serial_number, at in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(int(serial_number, 16)).revocation_date(at)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def _leaf(
        self,
        subject: x509.Name,
        public_key: object,
        purpose: x509.ObjectIdentifier,
        now: datetime,
        days: int,
    ) -> x509.CertificateBuilder:
        end = min(now + timedelta(days=days), self.certificate.not_valid_after_utc)
        # Key encipherment: the static RSA suites need it.
        usage = _usage(digital_signature=True, key_encipherment=isinstance(public_key, rsa.RSAPublicKey))
        return (
            _builder(subject, self.certificate.subject, public_key, now, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def write_key(path: Path, pem: str) -> None:
    """A private key, readable for its owner only; never over a file that is there. Raises :class:`AuthorityError`."""
    _write(path, pem.encode(), mode=0o600)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: object, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLOW_CLOCK)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)  # type: ignore[arg-type]
    )


def _usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(operator: str, name: str) -> x509.Name:
    try:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, operator),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
    except ValueError as error:
        raise AuthorityError(f"O={operator!r}, CN={name!r} cannot stand in a certificate: {error}") from error


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _new_key(with_rsa: bool) -> Key:
    return rsa.generate_private_key(65537, RSA_BITS) if with_rsa else ec.generate_private_key(ec.SECP256R1())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, data: bytes, *, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask
            file.write(data)
    except FileExistsError as error:
        raise AuthorityError(f"{path} is there already; it is not overwritten") from error
    except OSError as error:
        raise AuthorityError(f"cannot write {path}: {error.strerror}") from error
