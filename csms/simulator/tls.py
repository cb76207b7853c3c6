"""TLS of virtual chargers: whom they trust, and the certificates that they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from zope.interface import implementer

from csms.config.loading import ConfigError
from csms.config.settings import SimulatorSettings

_PLACE = "{deviceId}"
_END = b"-----END CERTIFICATE-----"


class ClientTls:
    """Reads the files of the settings. Raises :class:`ConfigError`, which names setting and file."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self._roots = _parsed("ca_file", settings.ca_file, _trusted) if settings.ca_file else None
        if bool(settings.certificate_file) != bool(settings.key_file):
            raise ConfigError("[simulator] certificate_file and key_file go together")

    def options(self, host: str, device_id: str) -> Any:
        """What ``wrapClientTLS`` takes, for a charger that connects to ``host``."""
        verifying = optionsForClientTLS(host, trustRoot=self._roots)
        if not self._settings.certificate_file:
            return verifying
        certificate = self._settings.certificate_file.replace(_PLACE, device_id)
        key = self._settings.key_file.replace(_PLACE, device_id)
        return _Shown(
            verifying,
            _parsed("certificate_file", certificate, x509.load_pem_x509_certificate),
            _parsed("key_file", key, lambda pem: load_pem_private_key(pem, password=None)),
        )


@implementer(IOpenSSLClientConnectionCreator)
class _Shown:
    """Connections that verify the server and show a certificate; Twisted's own way to do so is deprecated below it."""

    def __init__(self, verifying: Any, certificate: x509.Certificate, key: Any) -> None:
        self._verifying = verifying
        self._certificate = certificate
        self._key = key

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:  # noqa: N802
        connection: SSL.Connection = self._verifying.clientConnectionForTLS(protocol)
        connection.use_certificate(self._certificate)
        connection.use_privatekey(self._key)
        return connection


def _trusted(pem: bytes) -> Any:
    certificates = [Certificate.loadPEM(part + _END) for part in pem.split(_END)[:-1]]
    if not certificates:
        raise ValueError("there is no certificate in it")
    return trustRootFromCertificates(certificates)


def _parsed(name: str, path: str, parse: Any) -> Any:
    try:
        return parse(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"[simulator] {name}: cannot read {path}: {error.strerror}") from error
    except (ValueError, crypto.Error) as error:
        raise ConfigError(f"[simulator] {name}: {path} cannot be used: {error}") from error
