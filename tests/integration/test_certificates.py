"""A charger's way from a password to a certificate and to a new password, with csms as it really runs."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
import ssl
import tempfile
import unittest
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from csms.domain.credentials import generate_password
from tests.certificates import OPERATOR, csr, ec_key, key_pem
from tests.integration.people import post, sign_in
from tests.integration.processes import Service, admin
from tests.servers.daemon import free_port

BOOT = {"chargePointVendor": "Acme", "chargePointModel": "One", "chargePointSerialNumber": "SN-1"}
PATIENCE_S = 20.0


class CertificateTests(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.directory = Path(holder.name)
        self.ports = {profile: free_port() for profile in (1, 2, 3)}
        self.settings = {"CSMS_GATEWAY_PORT": str(self.ports[1])}
        self.password = self.admin("charger", "add", "CP1")["password"]
        self.started = 0

    def prepare_tls(self) -> None:
        """As the how-to has it."""
        self.settings |= {
            "CSMS_GATEWAY_TLS_PORT": str(self.ports[2]),
            "CSMS_GATEWAY_MTLS_PORT": str(self.ports[3]),
            "CSMS_GATEWAY_TLS_CERTIFICATE_FILE": "gateway.pem",
            "CSMS_GATEWAY_TLS_KEY_FILE": "gateway.key",
            "CSMS_GATEWAY_CLIENT_CA_FILE": "ca/ca.pem",
            "CSMS_CERTIFICATES_OPERATOR": OPERATOR,
            "CSMS_CERTIFICATES_CA_DIRECTORY": "ca",
        }
        self.admin("ca", "init")
        self.admin("ca", "server", "127.0.0.1", "--out", "gateway")
        self.admin("charger", "bind", "CP1", "SN-1")

    def admin(self, *words: str) -> Any:
        return admin(self.directory, self.settings, *words)

    def start(self) -> Service:
        self.started += 1
        service = Service("csms", self.directory, self.settings, name=f"csms-{self.started}")
        self.addCleanup(service.clean_up)
        service.start()
        return service

    def trusting(self, certificate: str = "", key: bytes = b"") -> ssl.SSLContext:
        """A charger's TLS: it trusts the authority, and shows ``certificate``."""
        context = ssl.create_default_context(cafile=str(self.directory / "ca" / "ca.pem"))
        if certificate:
            file = self.directory / "charger.pem"
            file.write_bytes(certificate.encode() + key)
            context.load_cert_chain(file)
        return context

    @asynccontextmanager
    async def charger(
        self, profile: int, *, password: str = "", context: ssl.SSLContext | None = None
    ) -> AsyncIterator[ClientConnection]:
        """CP1, connected."""
        headers = {}
        if password:
            headers["Authorization"] = "Basic " + base64.b64encode(f"CP1:{password}".encode()).decode()
        async with connect(
            f"{'ws' if profile == 1 else 'wss'}://127.0.0.1:{self.ports[profile]}/ocpp/CP1",
            subprotocols=[Subprotocol("ocpp1.6")],
            additional_headers=headers,
            ssl=context,
        ) as socket:
            yield socket

    async def status(self, profile: int, **options: Any) -> int:
        """What the handshake is answered."""
        try:
            async with self.charger(profile, **options):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    async def call(self, socket: ClientConnection, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The answer to a CALL."""
        await socket.send(json.dumps([2, action, action, payload]))
        frame = await self.frame(socket)
        self.assertEqual(frame[:2], [3, action], frame)
        answer: dict[str, Any] = frame[2]
        return answer

    async def frame(self, socket: ClientConnection) -> list[Any]:
        async with asyncio.timeout(PATIENCE_S):
            frame: list[Any] = json.loads(await socket.recv())
            return frame

    async def test_from_profile_1_to_3_and_back_only_with_the_operators_word(self) -> None:
        self.prepare_tls()
        service = self.start()
        key = ec_key()
        async with self.charger(1, password=self.password) as socket:
            await self.call(socket, "BootNotification", BOOT)
            wrong = await self.call(socket, "SignCertificate", {"csr": csr("SN-2", key=key)})
            self.assertEqual(wrong, {"status": "Rejected"})
        async with self.charger(2, password=self.password, context=self.trusting()) as socket:
            self.assertEqual(
                await self.call(socket, "SignCertificate", {"csr": csr("SN-1", key=key)}), {"status": "Accepted"}
            )
            _, number, action, payload = await self.frame(socket)
            self.assertEqual(action, "CertificateSigned")
            await socket.send(json.dumps([3, number, {"status": "Accepted"}]))
        chain = payload["certificateChain"]
        own = self.trusting(chain, key_pem(key))
        async with self.charger(3, context=own) as socket:
            self.assertIn("currentTime", await self.call(socket, "Heartbeat", {}))
        self.assertEqual(await self.status(2, password=self.password, context=self.trusting()), 403)
        self.assertEqual(await self.status(1, password=self.password), 403)
        service.terminate()
        self.assertEqual(service.complaints(), [])

        # The gateway remembers what it has asked the database for half a minute; a new process asks at once.
        serial = f"{x509.load_pem_x509_certificate(chain.encode()).serial_number:x}"
        self.admin("ca", "revoke", serial)
        self.admin("charger", "allow-profile", "CP1", "1")
        self.start()
        self.assertEqual(await self.status(3, context=own), 403)
        self.assertEqual(await self.status(1, password=self.password), 101)

    async def test_a_new_password_by_rest_replaces_the_old_one_and_stays_nowhere(self) -> None:
        service = self.start()
        cookie = sign_in(service.sign_in_link())
        new = generate_password()
        async with self.charger(1, password=self.password) as socket:
            await self.call(socket, "BootNotification", BOOT)
            asked = asyncio.create_task(
                asyncio.to_thread(
                    post,
                    service.http_port,
                    "/api/v1/chargers/CP1/commands/ChangeConfiguration",
                    {"key": "AuthorizationKey", "value": new},
                    cookie,
                )
            )
            _, number, action, payload = await self.frame(socket)
            self.assertEqual((action, payload["value"]), ("ChangeConfiguration", new))
            await socket.send(json.dumps([3, number, {"status": "Accepted"}]))
            status, answer = await asked
        self.assertEqual(status, 200, answer)
        self.assertNotIn(new, json.dumps(answer))
        service.terminate()
        dump = "\n".join(sqlite3.connect(self.directory / "var" / "csms.db").iterdump())
        self.assertIn("AuthorizationKey", dump)
        self.assertEqual([line for line in dump.splitlines() if new in line], [])
        self.assertFalse(new in service.output())
        self.start()
        self.assertEqual(await self.status(1, password=self.password), 401)
        self.assertEqual(await self.status(1, password=new), 101)
