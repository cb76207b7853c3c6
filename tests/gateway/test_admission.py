"""Who gets in, told by the HTTP status before the upgrade."""

from __future__ import annotations

from csms.config.settings import MissingSubprotocol, UnknownChargers
from csms.domain import credentials
from csms.domain.model import Registration
from csms.gateway import admission, directory
from tests.gateway.case import BOOT, PASSWORD, GatewayCase
from tests.gateway.client import CLOSE


class CredentialTests(GatewayCase):
    async def test_right_password_gets_in_with_the_offered_subprotocol(self) -> None:
        await self.start()
        self.charger()
        peer = await self.connect()
        peer.request("/ocpp/CP1", password=PASSWORD, protocols="ocpp2.1, ocpp1.6")
        response = await peer.response()
        self.assertEqual((response.status, response.headers["sec-websocket-protocol"]), (101, "ocpp2.1"))

    async def test_wrong_or_missing_credentials_and_unknown_identities_look_the_same(self) -> None:
        await self.start()
        self.charger()
        self.charger("NOPASS", password_hash="")
        seen = []
        for path, request in (
            ("/ocpp/CP1", {"password": "wrong"}),
            ("/ocpp/CP1", {}),
            ("/ocpp/CP1", {"password": PASSWORD, "user": "CP2"}),
            ("/ocpp/CP1", {"password": PASSWORD, "user": "cp1"}),
            ("/ocpp/CP1", {"headers": {"Authorization": "Bearer x"}}),
            ("/ocpp/UNKNOWN", {"password": PASSWORD}),
            ("/ocpp/UNKNOWN", {}),
            ("/ocpp/NOPASS", {"password": PASSWORD}),
            ("/ocpp/NOPASS", {}),
        ):
            peer = await self.connect()
            peer.request(path, **request)
            response = await peer.response()
            seen.append((response.status, response.headers["www-authenticate"], sorted(response.headers)))
            await peer.gone()
        self.assertEqual(seen, [(401, 'Basic realm="ocpp", charset="UTF-8"', seen[0][2])] * len(seen))
        self.assertEqual(self.gateway.connections, 0)
        self.assertEqual(self.worker.messages, [])

    async def test_hex_key_and_its_raw_bytes_both_open(self) -> None:
        await self.start()
        key = credentials.generate_password()
        self.charger(password_hash=credentials.hash_password(key))
        self.assertEqual(await self.status("/ocpp/CP1", password=key), 101)
        self.assertEqual(await self.status("/ocpp/CP1", password=key.upper()), 101)
        self.assertEqual(await self.status("/ocpp/CP1", password=bytes.fromhex(key)), 101)

    async def test_password_with_colons_and_identity_with_odd_characters(self) -> None:
        await self.start()
        password = "a:b:c:d:e:f:g:h:i:j"
        self.charger("Säule 1|x", password_hash=credentials.hash_password(password))
        await self.open("Säule 1|x", password=password)
        self.assertEqual(self.worker.messages[0].device_id, "Säule 1|x")

    async def test_without_required_passwords_only_those_that_have_none_come_without(self) -> None:
        await self.start(require_password=False)
        self.charger()
        self.charger("NOPASS", password_hash="")
        self.assertEqual(await self.status("/ocpp/NOPASS"), 101)
        self.assertEqual(await self.status("/ocpp/NOPASS", password="whatever"), 101)
        self.assertEqual(await self.status("/ocpp/CP1"), 401)
        self.assertEqual(await self.status("/ocpp/CP1", password="wrong"), 401)
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 101)

    async def test_new_password_works_at_once_and_the_old_one_no_more(self) -> None:
        self.patch(admission, "RECHECK_S", 0.0)
        await self.start()
        charger = self.charger()
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 101)
        charger.password_hash = credentials.hash_password("another-password-42")
        self.assertEqual(await self.status("/ocpp/CP1", password="another-password-42"), 101)
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 401)

    async def test_rejected_charger_gets_403_only_with_its_password(self) -> None:
        await self.start()
        self.charger(registration=Registration.REJECTED)
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 403)
        self.assertEqual(await self.status("/ocpp/CP1", password="wrong"), 401)


class PathTests(GatewayCase):
    async def test_other_paths_are_404(self) -> None:
        await self.start()
        for path in ("/", "/ocpp/", "/ocpp/a/b", "/ocpp/a%2Fb", "/ocpp/" + "x" * 49, "/ocpp/a%00", "/events"):
            self.assertEqual(await self.status(path, password=PASSWORD), 404, path)

    async def test_plain_http_is_told_to_upgrade_and_redirects_nobody(self) -> None:
        await self.start()
        for path in ("/", "/?redirect=http://evil.example/"):
            peer = await self.connect()
            peer.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            response = await peer.response()
            self.assertEqual(response.status, 426)
            self.assertNotIn("location", response.headers)

    async def test_origin_is_nobodys_business(self) -> None:
        await self.start()
        self.charger()
        for origin in ("https://github.com/gilmaimon/TinyWebsockets", "null", "rubbish", "http://[", ""):
            status = await self.status("/ocpp/CP1", password=PASSWORD, headers={"Origin": origin})
            self.assertEqual(status, 101, origin)


class SubprotocolTests(GatewayCase):
    async def test_no_common_subprotocol_finishes_the_handshake_without_one_and_closes(self) -> None:
        await self.start()
        self.charger()
        for offered in ("ocpp9.9", "soap, mqtt", None):
            peer = await self.connect()
            peer.request("/ocpp/CP1", password=PASSWORD, protocols=offered)
            response = await peer.response()
            self.assertEqual(response.status, 101)
            self.assertNotIn("sec-websocket-protocol", response.headers)
            opcode, payload = await peer.frame()
            self.assertEqual((opcode, payload[:2]), (CLOSE, b"\x03\xea"))
        self.assertEqual(self.worker.messages, [])

    async def test_without_credentials_the_subprotocol_does_not_matter(self) -> None:
        await self.start()
        self.charger()
        self.assertEqual(await self.status("/ocpp/CP1", protocols="ocpp9.9"), 401)

    async def test_missing_subprotocol_may_be_taken_as_16(self) -> None:
        await self.start(missing_subprotocol=MissingSubprotocol.OCPP16)
        peer = await self.open(protocols=None)
        peer.call("1", "Heartbeat")
        self.assertEqual((await peer.message())[:2], [3, "1"])
        self.assertEqual(self.worker.messages[0].ocpp_version, "1.6")


class UnknownChargerTests(GatewayCase):
    async def test_rejected_with_404_where_passwords_are_not_needed(self) -> None:
        await self.start(require_password=False)
        self.assertEqual(await self.status("/ocpp/NEW"), 404)
        self.assertEqual(self.database.rows.by_id, {})

    async def test_accepted_and_written_down(self) -> None:
        await self.start(unknown_chargers=UnknownChargers.ACCEPT, require_password=False)
        self.assertEqual(await self.status("/ocpp/NEW"), 101)
        charger = self.database.rows.by_id["NEW"]
        self.assertEqual((charger.registration, charger.password_hash), (Registration.ACCEPTED, ""))
        self.assertIsNotNone(charger.created_at)

    async def test_password_of_the_first_time_is_the_password(self) -> None:
        await self.start(unknown_chargers=UnknownChargers.ACCEPT)
        self.assertEqual(await self.status("/ocpp/NEW"), 401)
        self.assertEqual(await self.status("/ocpp/NEW", password="short"), 401)
        self.assertEqual(self.database.rows.by_id, {})
        self.assertEqual(await self.status("/ocpp/NEW", password=PASSWORD), 101)
        self.assertEqual(await self.status("/ocpp/NEW", password=PASSWORD), 101)
        self.assertEqual(await self.status("/ocpp/NEW", password="something-else-77"), 401)

    async def test_pending_may_boot_and_no_more_until_accepted(self) -> None:
        self.patch(directory, "FRESH_S", 0.0)
        await self.start(unknown_chargers=UnknownChargers.PENDING, require_password=False)
        peer = await self.connect()
        peer.request("/ocpp/NEW", protocols="ocpp2.0.1")
        self.assertEqual((await peer.response()).status, 101)
        status = {"timestamp": "2026-01-01T00:00:00Z", "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
        boot = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}
        peer.call("1", "StatusNotification", status)
        self.assertEqual((await peer.message())[:3], [4, "1", "SecurityError"])
        peer.call("2", "BootNotification", boot)
        self.assertEqual((await peer.message())[2]["status"], "Pending")
        self.database.rows.by_id["NEW"].registration = Registration.ACCEPTED
        peer.call("3", "BootNotification", boot)
        self.assertEqual((await peer.message())[2]["status"], "Accepted")
        peer.call("4", "StatusNotification", status)
        self.assertEqual(await peer.message(), [3, "4", {}])

    async def test_boot_keeps_the_registration_while_the_database_is_away(self) -> None:
        await self.start()
        peer = await self.open()
        self.database.away = True
        self.patch(directory, "FRESH_S", 0.0)
        peer.call("1", "BootNotification", BOOT)
        self.assertEqual((await peer.message())[2]["status"], "Accepted")

    async def test_enrolments_are_bounded(self) -> None:
        self.patch(admission, "ENROLMENTS_PER_ADDRESS_AND_MINUTE", 3)
        await self.start(unknown_chargers=UnknownChargers.ACCEPT, require_password=False)
        statuses = [await self.status(f"/ocpp/NEW{number}") for number in range(5)]
        self.assertEqual(statuses, [101, 101, 101, 429, 429])
        self.assertEqual(await self.status("/ocpp/NEW0"), 101)


class OutageTests(GatewayCase):
    async def test_known_chargers_get_in_while_the_database_is_away(self) -> None:
        self.patch(directory, "FRESH_S", 0.0)
        await self.start()
        self.charger()
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 101)
        self.database.away = True
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 101)
        self.assertEqual(await self.status("/ocpp/CP1", password="wrong"), 401)
        self.assertEqual(await self.status("/ocpp/CP2", password=PASSWORD), 503)

    async def test_reconnect_storm_asks_once_a_charger(self) -> None:
        await self.start()
        for number in range(20):
            self.charger(f"S{number}")
        for _ in range(3):
            for number in range(20):
                await self.open(f"S{number}")
        self.assertEqual(self.database.reads, 20)
