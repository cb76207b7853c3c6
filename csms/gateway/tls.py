"""TLS towards chargers: contexts made from files, and made again when the files change.

Security profile 2 and 3 (1.6 Security Whitepaper A00.FR.312-319, 2.x the same numbers): TLS 1.2 or newer, no
compression, the four suites that every charger and CSMS has, forward-secret ones before them. Connections keep the
context that they began with, so new files drop nobody.

Sessions are not resumed: a charger whose certificate was revoked meanwhile must not come in by an old one.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from csms.config.loading import ConfigError
from csms.config.settings import GatewaySettings
from csms.domain.security import ClientCertificate

TLS12_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
)
TLS13_SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")

_OPTIONS = (
    SSL.OP_NO_COMPRESSION
    | SSL.OP_CIPHER_SERVER_PREFERENCE
    | SSL.OP_NO_TICKET
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_SINGLE_ECDH_USE
)
_REASONS = {
    3: "there is no revocation list of its authority",
    7: "its authority has not signed it",
    9: "it is not valid yet",
    10: "it has expired",
    12: "the revocation list of its authority has expired",
    18: "it is self-signed",
    19: "its authority is not known",
    20: "its authority is not known",
    21: "its authority is not known",
    23: "it is revoked",
    26: "it is not meant for clients",
}
"""X509_V_ERR_* of OpenSSL."""
_REFUSED = "the client's certificate is refused: "
_Stamp = tuple[int, int, int] | None

_log = Logger(namespace="csms.gateway")


class TlsTransport(BufferingTLSTransport):
    """A charger's TLS connection, which remembers why its certificate was refused."""

    refused = ""


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """The newest context of one port. ``clients``: a certificate is demanded of whoever connects."""

    def __init__(self, settings: GatewaySettings, *, clients: bool) -> None:
        self._settings = settings
        self._clients = clients
        self._context: SSL.Context | None = None
        self._stamps: Sequence[_Stamp] = ()

    def load(self) -> None:
        """Read the files. Raises :class:`ConfigError`, which names setting and file; then all stays as it was."""
        self._stamps = self._stamped()
        self._context = _context(self._settings, clients=self._clients)

    def refresh(self) -> None:
        """Read the files again if they have changed; what cannot be used is logged, and the old ones serve on."""
        if self._stamped() == self._stamps:
            return
        try:
            self.load()
        except ConfigError as error:
            _log.error("the TLS files have changed and cannot be used, the old ones stay: {reason}", reason=str(error))
        else:
            _log.info("the TLS files have changed and are in use for new connections")

    def wrap(self, factory: Any, clock: Any) -> TLSMemoryBIOFactory:
        """A factory whose connections speak TLS below those of ``factory``."""
        wrapped = TLSMemoryBIOFactory(self, False, factory, clock)
        wrapped.protocol = TlsTransport
        return wrapped

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:  # noqa: N802
        assert self._context is not None, "load() comes first"
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(protocol)
        return connection

    def _stamped(self) -> Sequence[_Stamp]:
        return [_stamp(path) for path in _files(self._settings, clients=self._clients)]


def client_certificate(transport: Any) -> ClientCertificate | None:
    """The certificate of the peer of a TLS connection."""
    peer = transport.getPeerCertificate()
    return None if peer is None else describe(peer.to_cryptography())


def describe(certificate: x509.Certificate) -> ClientCertificate:
    """What matters of ``certificate``."""

    def values(kind: x509.ObjectIdentifier) -> tuple[str, ...]:
        return tuple(str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(kind))

    return ClientCertificate(
        common_names=values(NameOID.COMMON_NAME),
        organisations=values(NameOID.ORGANIZATION_NAME),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        not_after=certificate.not_valid_after_utc,
    )


def failure_reason(transport: Any, failure: Failure) -> str:
    """Why the TLS handshake of ``transport`` failed, in words; empty when it was no failure of TLS."""
    error = failure.value
    if not isinstance(error, SSL.Error):
        return ""
    refused = getattr(transport, "refused", "")
    if refused:
        return _REFUSED + refused
    details = error.args[0] if error.args and isinstance(error.args[0], list) else ()
    return "; ".join(str(detail[-1]) for detail in details) or "the connection was cut"


def tls_event(reason: str) -> str:
    """The security event (2.x part 2, appendix 1) that a :func:`failure_reason` is; empty for none, as for noise."""
    if reason.startswith(_REFUSED) or "did not return a certificate" in reason:
        return "InvalidChargePointCertificate"
    return {"unsupported protocol": "InvalidTLSVersion", "no shared cipher": "InvalidTLSCipherSuite"}.get(reason, "")


def _context(settings: GatewaySettings, *, clients: bool) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(":".join(TLS12_SUITES).encode())
    context.set_tls13_ciphersuites(":".join(TLS13_SUITES).encode())
    _use(context, "tls_certificate_file", settings.tls_certificate_file, "tls_key_file", settings.tls_key_file)
    if settings.tls_second_certificate_file or settings.tls_second_key_file:
        _use(
            context,
            "tls_second_certificate_file",
            settings.tls_second_certificate_file,
            "tls_second_key_file",
            settings.tls_second_key_file,
        )
    if clients:
        _demand_certificates(context, settings)
    return context


def _use(context: SSL.Context, certificate_name: str, certificate: str, key_name: str, key: str) -> None:
    """Serve the certificate; OpenSSL keeps one for each kind of key."""
    chain = _parsed(certificate_name, certificate, x509.load_pem_x509_certificates)
    private = _parsed(key_name, key, lambda pem: load_pem_private_key(pem, password=None))
    if chain[0].public_key() != private.public_key():
        raise ConfigError(f"[gateway] {key_name}: {key} is not the key of the first certificate in {certificate}")
    try:
        context.use_certificate_chain_file(certificate)
        context.use_privatekey(private)
        context.check_privatekey()
    except SSL.Error as error:
        raise ConfigError(f"[gateway] {certificate_name}: {certificate} cannot be used: {error}") from error


def _demand_certificates(context: SSL.Context, settings: GatewaySettings) -> None:
    authorities = settings.client_ca_file
    _parsed("client_ca_file", authorities, x509.load_pem_x509_certificates)
    context.load_verify_locations(authorities)
    context.load_client_ca(authorities.encode())
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verified)
    if settings.crl_file:
        store = context.get_cert_store()
        assert store is not None
        for revocations in _parsed("crl_file", settings.crl_file, _revocation_lists):
            store.add_crl(revocations)
        store.set_flags(crypto.X509StoreFlags.CRL_CHECK)


def _verified(connection: SSL.Connection, _: Any, error: int, depth: int, ok: int) -> bool:
    if not ok:
        connection.get_app_data().refused = _REASONS.get(error, f"OpenSSL's reason {error}")
    return bool(ok)


def _revocation_lists(pem: bytes) -> list[x509.CertificateRevocationList]:
    end = b"-----END X509 CRL-----"
    parts = [part + end for part in pem.split(end)[:-1]]
    if not parts:
        raise ValueError("there is no revocation list in it")
    return [x509.load_pem_x509_crl(part) for part in parts]


def _parsed(name: str, path: str, parse: Any) -> Any:
    if not path:
        raise ConfigError(f"[gateway] {name} is needed")
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd but usable certificates
            return parse(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"[gateway] {name}: cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"[gateway] {name}: {path} cannot be used: {error}") from error


def _files(settings: GatewaySettings, *, clients: bool) -> Sequence[str]:
    files = [
        settings.tls_certificate_file,
        settings.tls_key_file,
        settings.tls_second_certificate_file,
        settings.tls_second_key_file,
    ]
    if clients:
        files += [settings.client_ca_file, settings.crl_file]
    return [file for file in files if file]


def _stamp(path: str) -> _Stamp:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
