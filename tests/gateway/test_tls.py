"""Security profile 2: TLS and a password. Real sockets, and OpenSSL on both sides."""

from __future__ import annotations

import contextlib

from cryptography import x509
from OpenSSL import SSL

from csms.config.loading import ConfigError
from csms.config.settings import UnknownChargers
from csms.gateway import listening, tls
from tests.certificates import TestAuthority, key_pem, rsa_key
from tests.gateway.case import PASSWORD, until
from tests.gateway.tls_case import TLS10, TLS11, TLS12, ClientTls, TlsCase

MANDATORY = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
)
CBC = "AES128-SHA:AES256-SHA:AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA384"


def shaken(client: SSL.Connection, server: SSL.Connection) -> bytes:
    """Shake hands in memory; what the server sent. Raises SSL.Error when the two do not get on."""
    sent = b""
    for _ in range(10):
        for one, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                one.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                written = one.bio_read(65536)
                sent += written if one is server else b""
                other.bio_write(written)
            with contextlib.suppress(SSL.WantReadError):
                one.recv(1)
    return sent


def compression_of(server_hello: bytes) -> int:
    """The method that a server has chosen: RFC 5246, 6.2.1, 7.4 and 7.4.1.3."""
    record, handshake, version, random, cipher = 5, 4, 2, 32, 2
    session_id = record + handshake + version + random
    return server_hello[session_id + 1 + server_hello[session_id] + cipher]


class TransportTests(TlsCase):
    async def test_a_charger_with_its_password_is_served_by_tls(self) -> None:
        await self.start_tls()
        self.charger()
        peer = await self.tls()
        self.assertEqual(await self.upgrade(peer, password=PASSWORD), 101)
        peer.call("1", "Heartbeat")
        self.assertEqual((await peer.message())[:2], [3, "1"])

    async def test_both_mandatory_kinds_of_suites_are_there_with_two_certificates(self) -> None:
        self.authority.server(rsa_key()).write(self.file("rsa.pem"), self.file("rsa.key"))
        second = {
            "tls_second_certificate_file": str(self.file("rsa.pem")),
            "tls_second_key_file": str(self.file("rsa.key")),
        }
        await self.start_tls(**second)
        self.charger()
        for suite in MANDATORY:
            status = await self.tls_status(password=PASSWORD, version=TLS12, suites=suite)
            self.assertEqual(status, 101, suite)
        self.assertEqual(await self.tls_status(password=PASSWORD, version=SSL.TLS1_3_VERSION), 101)

    async def test_a_client_with_cbc_suites_only_is_refused(self) -> None:
        self.server = self.authority.server(rsa_key())
        self.server.write(self.file("server.pem"), self.file("server.key"))
        await self.start_tls()
        self.charger()
        self.assertEqual(await self.tls_status(password=PASSWORD, version=TLS12, suites=CBC), 0)
        self.assertEqual(self.tls_failures, ["no shared cipher"])
        self.assertEqual(await self.tls_status(password=PASSWORD, version=TLS12, suites="AES128-GCM-SHA256"), 101)

    async def test_tls_before_12_is_refused(self) -> None:
        await self.start_tls()
        self.charger()
        for version in (TLS10, TLS11):
            self.tls_failures.clear()
            # Security level 0, so that it is not the client that refuses.
            self.assertEqual(await self.tls_status(password=PASSWORD, version=version, suites="ALL:@SECLEVEL=0"), 0)
            self.assertEqual(self.tls_failures, ["unsupported protocol"])

    async def test_old_protocols_and_suites_are_told(self) -> None:
        await self.start_tls()
        await self.tls_status(password=PASSWORD, version=TLS11, suites="ALL:@SECLEVEL=0")
        await self.tls_status(password=PASSWORD, version=TLS12, suites=CBC)
        noise = await self.connect(door="tls")
        self.assertEqual(await self.upgrade(noise), 0)
        kept = self.database.rows.kept_events
        await until(lambda: len(kept) == 2)
        self.assertEqual({event.type for event in kept}, {"InvalidTLSVersion", "InvalidTLSCipherSuite"})

    async def test_nothing_is_compressed_and_nobody_can_negotiate_anew(self) -> None:
        await self.start_tls()
        door = next(door for door in self.gateway.listening._doors if door.tls is not None)
        assert door.tls is not None
        server = door.tls.serverConnectionForTLS(object())
        client = ClientTls(None, version=TLS12, suites=None).clientConnectionForTLS(None)
        server.set_accept_state()
        client.set_connect_state()
        self.assertEqual(compression_of(shaken(client, server)), 0)
        self.assertTrue(client.renegotiate())
        with self.assertRaisesRegex(SSL.Error, "no renegotiation"):
            shaken(client, server)

    async def test_plain_http_on_the_tls_port_is_cut(self) -> None:
        await self.start_tls()
        self.charger()
        peer = await self.connect(door="tls")
        self.assertEqual(await self.upgrade(peer, password=PASSWORD), 0)
        self.assertNotIn(b"HTTP", peer.buffer)
        self.assertEqual(self.tls_failures, ["http request"])

    async def test_a_handshake_that_never_comes_is_cut(self) -> None:
        await self.start_tls(handshake_timeout_s=1)
        peer = await self.connect(door="tls")
        await peer.gone()

    async def test_without_the_plain_port_there_are_only_the_others(self) -> None:
        gateway = await self.start_tls(plaintext=False)
        self.charger()
        self.assertEqual(gateway.port, 0)
        self.assertEqual(await self.tls_status(password=PASSWORD), 101)


class PasswordTests(TlsCase):
    async def test_a_password_is_needed_even_where_the_plain_port_needs_none(self) -> None:
        await self.start_tls(require_password=False, unknown_chargers=UnknownChargers.ACCEPT)
        self.charger()
        self.charger("NOPASS", password_hash="")
        self.assertEqual(await self.status("/ocpp/NOPASS"), 101)
        self.assertEqual(await self.tls_status("NOPASS"), 401)
        self.assertEqual(await self.tls_status("NOPASS", password=PASSWORD), 401)
        self.assertEqual(await self.tls_status("NEW"), 401)
        self.assertEqual(await self.tls_status("NEW", password=PASSWORD), 101)
        self.assertEqual(await self.tls_status(password="wrong-wrong-wrong"), 401)

    async def test_a_client_certificate_is_not_asked_for(self) -> None:
        await self.start_tls()
        self.bound()
        self.assertEqual(await self.tls_status(pair=self.authority.client("SN-1")), 401)


class ReloadTests(TlsCase):
    async def served(self) -> x509.Certificate:
        """What a new connection is shown."""
        peer = await self.tls()
        self.assertEqual(await self.upgrade(peer, password=PASSWORD), 101)
        shown = peer.transport.getPeerCertificate()  # type: ignore[union-attr]
        certificate: x509.Certificate = shown.to_cryptography()
        return certificate

    async def test_new_files_serve_new_connections_and_drop_no_old_one(self) -> None:
        self.patch(listening, "REFRESH_S", 0.0)
        await self.start_tls()
        self.charger()
        old = await self.tls()
        self.charger("OLD")
        self.assertEqual(await self.upgrade(old, "OLD", password=PASSWORD), 101)
        self.assertEqual(await self.served(), self.server.certificate)
        renewed = self.authority.server()
        renewed.write(self.file("server.pem"), self.file("server.key"))
        await until(lambda: self.serves(renewed.certificate))
        self.assertEqual(await self.served(), renewed.certificate)
        old.call("1", "Heartbeat")
        self.assertEqual((await old.message())[:2], [3, "1"])

    def serves(self, certificate: x509.Certificate) -> bool:
        door = next(door for door in self.gateway.listening._doors if door.tls is not None)
        assert door.tls is not None
        assert door.tls._context is not None
        connection = SSL.Connection(door.tls._context, None)
        served = connection.get_certificate(as_cryptography=True)
        return served == certificate

    async def test_files_that_do_not_fit_each_other_leave_the_old_ones_in_use(self) -> None:
        self.patch(listening, "REFRESH_S", 0.0)
        await self.start_tls()
        self.charger()
        refused: list[str] = []
        self.patch(tls._log, "error", lambda _, reason: refused.append(reason))
        renewed = self.authority.server()
        self.file("server.pem").write_bytes(renewed.pem)
        await until(lambda: refused)
        self.assertIn("is not the key of", refused[0])
        self.assertEqual(await self.served(), self.server.certificate)
        self.file("server.key").write_bytes(key_pem(renewed.key))
        await until(lambda: self.serves(renewed.certificate))
        self.assertEqual(await self.served(), renewed.certificate)


class SettingsTests(TlsCase):
    async def refused(self, **settings: object) -> str:
        before = list(self.gateways)
        try:
            await self.start_mutual(**settings)
        except ConfigError as error:
            self.gateways = before
            return str(error)
        raise AssertionError("it started")

    async def test_what_is_missing_or_wrong_is_named(self) -> None:
        self.file("rubbish").write_text("rubbish")
        other = TestAuthority().server()
        self.file("other.key").write_bytes(key_pem(other.key))
        for settings, expected in (
            ({"tls_certificate_file": ""}, "tls_certificate_file is needed"),
            ({"tls_key_file": str(self.file("no"))}, "No such file"),
            ({"tls_key_file": str(self.file("rubbish"))}, "tls_key_file: "),
            ({"tls_key_file": str(self.file("other.key"))}, "is not the key of"),
            ({"client_ca_file": ""}, "client_ca_file is needed"),
            ({"crl_file": str(self.file("ca.pem"))}, "no revocation list in it"),
            ({"plaintext": False, "tls_port": 0, "mtls_port": 0}, "tls_port or mtls_port is needed"),
        ):
            with self.subTest(expected):
                self.assertIn(expected, await self.refused(**settings))
