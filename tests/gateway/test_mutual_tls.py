"""Security profile 3: the charger's certificate. Real sockets, and OpenSSL on both sides."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.x509.oid import ExtendedKeyUsageOID

from csms.config.loading import ConfigError
from csms.config.settings import UnknownChargers
from csms.gateway import admission, alarms, directory, listening
from tests.certificates import DAY, TestAuthority, self_signed
from tests.gateway.case import PASSWORD, until
from tests.gateway.tls_case import TLS12, TlsCase


class HandshakeTests(TlsCase):
    """What TLS itself can tell."""

    async def test_the_chargers_own_certificate_opens_without_a_password(self) -> None:
        await self.start_mutual()
        self.bound()
        peer = await self.tls(self.authority.client("SN-1"), door="mtls")
        self.assertEqual(await self.upgrade(peer), 101)
        peer.call("1", "Heartbeat")
        self.assertEqual((await peer.message())[:2], [3, "1"])
        self.assertEqual(await self.mutual_status(self.authority.client("SN-1"), version=TLS12), 101)

    async def test_other_certificates_are_refused_in_the_handshake(self) -> None:
        await self.start_mutual()
        self.bound()
        now = datetime.now(UTC)
        for pair, reason in (
            (None, "peer did not return a certificate"),
            (self_signed("SN-1"), "self-signed"),
            (TestAuthority("Other root").client("SN-1"), "authority is not known"),
            (TestAuthority().client("SN-1"), "its authority has not signed it"),
            (self.authority.client("SN-1", valid_from=now - 2 * DAY, valid_to=now - DAY), "it has expired"),
            (self.authority.client("SN-1", valid_from=now + DAY, valid_to=now + 2 * DAY), "it is not valid yet"),
            (self.authority.client("SN-1", usage=ExtendedKeyUsageOID.SERVER_AUTH), "it is not meant for clients"),
        ):
            for version in (None, TLS12):
                self.tls_failures.clear()
                self.assertEqual(await self.mutual_status(pair, password=PASSWORD, version=version), 0, reason)
                self.assertEqual(len(self.tls_failures), 1)
                self.assertIn(reason, self.tls_failures[0])
        self.assertEqual(self.worker.messages, [])
        await until(lambda: len(self.database.rows.kept_events) == alarms.TOLD_PER_MINUTE)
        self.assertEqual(
            {(event.charger_id, event.type) for event in self.database.rows.kept_events},
            {(0, "InvalidChargePointCertificate")},
        )
        self.assertIn("from 127.0.0.1", self.database.rows.kept_events[0].tech_info)

    async def test_a_certificate_in_the_revocation_list_is_refused_in_the_handshake(self) -> None:
        revoked, good = self.authority.client("SN-1"), self.authority.client("SN-1")
        self.file("crl.pem").write_bytes(self.authority.revocations([revoked]))
        await self.start_mutual(crl_file=str(self.file("crl.pem")))
        self.bound()
        self.assertEqual(await self.mutual_status(good), 101)
        self.assertEqual(await self.mutual_status(revoked), 0)
        self.assertIn("it is revoked", self.tls_failures[0])

    async def test_a_new_revocation_list_counts_from_the_next_connection_on(self) -> None:
        self.patch(listening, "REFRESH_S", 0.0)
        pair = self.authority.client("SN-1")
        self.file("crl.pem").write_bytes(self.authority.revocations())
        await self.start_mutual(crl_file=str(self.file("crl.pem")))
        self.bound()
        peer = await self.tls(pair, door="mtls")
        self.assertEqual(await self.upgrade(peer), 101)
        door = next(door for door in self.gateway.listening._doors if door.name == "mtls")
        assert door.tls is not None
        before = door.tls._context
        self.file("crl.pem").write_bytes(self.authority.revocations([pair]))
        await until(lambda: door.tls is not None and door.tls._context is not before)
        self.assertEqual(await self.mutual_status(pair), 0)
        peer.call("1", "Heartbeat")
        self.assertEqual((await peer.message())[:2], [3, "1"])


class IdentityTests(TlsCase):
    """What only csms can tell: 403 before the upgrade."""

    def events(self) -> list[str]:
        return [note.data["event"] for note in self.database.rows.notifications if note.type == "security.event"]

    async def told(self, count: int) -> None:
        await until(lambda: len(self.events()) >= count)

    async def test_a_certificate_of_another_charger_or_operator_is_refused_and_told(self) -> None:
        await self.start_mutual()
        self.bound()
        self.bound("CP2", "SN-2")
        self.charger("UNBOUND")
        for pair, device_id in (
            (self.authority.client("SN-2"), "CP1"),
            (self.authority.client("SN-1"), "UNBOUND"),
            (self.authority.client("CP1"), "CP1"),
            (self.authority.client("sn-1"), "CP1"),
            (self.authority.client("SN-1", "Other operator"), "CP1"),
            (self.authority.client("SN-1", None), "CP1"),
        ):
            before = len(self.events())
            self.assertEqual(await self.mutual_status(pair, device_id), 403, pair.certificate.subject)
            await self.told(before + 1)
            self.assertEqual(self.events()[before:], ["InvalidChargePointCertificate"])
        kept = self.database.rows.kept_events
        self.assertEqual([event.type for event in kept], self.events())
        self.assertIn("SN-2", kept[0].tech_info)
        self.assertEqual(kept[0].charger_id, self.database.rows.by_id["CP1"].id)
        self.assertEqual(await self.mutual_status(self.authority.client("SN-2"), "CP2"), 101)
        self.assertEqual(self.worker.types(), [])

    async def test_unknown_identities_get_the_same_answer_and_are_not_enrolled(self) -> None:
        await self.start_mutual(unknown_chargers=UnknownChargers.ACCEPT, require_password=False)
        pair = self.authority.client("SN-1")
        self.assertEqual(await self.mutual_status(pair, "NEW", password=PASSWORD), 403)
        self.assertEqual((self.database.rows.by_id, self.events()), ({}, []))

    async def test_a_certificate_revoked_in_the_register_is_refused(self) -> None:
        await self.start_mutual()
        self.bound()
        pair = self.authority.client("SN-1")
        self.assertEqual(await self.mutual_status(pair), 101)
        self.database.rows.revoked_fingerprints.add(pair.fingerprint)
        self.assertEqual(await self.mutual_status(pair), 403)
        self.assertEqual(await self.mutual_status(self.authority.client("SN-1")), 101)

    async def test_a_serial_number_bound_a_moment_ago_opens(self) -> None:
        self.patch(directory, "FRESH_S", 60.0)
        self.patch(admission, "RECHECK_S", 0.0)
        await self.start_mutual()
        charger = self.bound(serial="OLD")
        pair = self.authority.client("SN-1")
        self.assertEqual(await self.mutual_status(pair), 403)
        charger.certificate_name = "SN-1"
        self.assertEqual(await self.mutual_status(pair), 101)

    async def test_user_name_that_is_not_the_identity_is_refused(self) -> None:
        await self.start_mutual()
        self.bound()
        peer = await self.tls(self.authority.client("SN-1"), door="mtls")
        peer.request("/ocpp/CP1", user="CP2", password=PASSWORD)
        self.assertEqual((await peer.response()).status, 401)

    async def test_trying_certificates_is_throttled(self) -> None:
        self.patch(admission, "FAILURES_PER_MINUTE", 2)
        await self.start_mutual()
        self.bound()
        wrong = self.authority.client("SN-2")
        self.assertEqual([await self.mutual_status(wrong) for _ in range(4)], [403, 403, 429, 429])
        await until(lambda: len(self.events()) == 2)

    async def test_an_operators_name_is_needed(self) -> None:
        self.operator = ""
        try:
            await self.start_mutual()
        except ConfigError as error:
            self.assertEqual(str(error), "[certificates] operator is needed for [gateway] mtls_port")
        else:
            self.fail("it started")
        self.gateways.clear()


class ProfileTests(TlsCase):
    """From profile to profile."""

    def told(self) -> list[str]:
        return [note.data["info"] for note in self.database.rows.notifications if note.type == "security.event"]

    async def test_a_profile_once_reached_is_not_left_for_a_lower_one(self) -> None:
        await self.start_mutual()
        charger = self.bound()
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 101)
        self.assertEqual(charger.security_profile, 0)
        self.assertEqual(await self.tls_status(password=PASSWORD), 101)
        self.assertEqual(charger.security_profile, 2)
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 403)
        self.assertEqual(await self.mutual_status(self.authority.client("SN-1")), 101)
        self.assertEqual(charger.security_profile, 3)
        self.assertEqual(await self.tls_status(password=PASSWORD), 403)
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 403)
        await until(lambda: len(self.told()) == 3)
        self.assertEqual(
            self.told(),
            ["security profile 1 after 2", "security profile 2 after 3", "security profile 1 after 3"],
        )

    async def test_who_does_not_know_the_password_learns_nothing_of_profiles(self) -> None:
        await self.start_mutual()
        self.bound(security_profile=3)
        self.assertEqual(await self.status("/ocpp/CP1", password="wrong-wrong-wrong"), 401)
        self.assertEqual(await self.status("/ocpp/CP1"), 401)

    async def test_a_charger_that_failed_to_rise_may_come_back_as_before(self) -> None:
        await self.start_mutual()
        self.bound()
        self.assertEqual(await self.mutual_status(self_signed("SN-1")), 0)
        self.assertEqual(await self.mutual_status(self.authority.client("SN-9")), 403)
        self.assertEqual(await self.tls_status(password="wrong-wrong-wrong"), 401)
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 101)

    async def test_a_lower_profile_that_the_operator_allows_is_taken_at_once(self) -> None:
        self.patch(directory, "FRESH_S", 60.0)
        self.patch(admission, "RECHECK_S", 0.0)
        await self.start_mutual()
        charger = self.bound(security_profile=3)
        self.assertEqual(await self.tls_status(password=PASSWORD), 403)
        charger.security_profile = 1
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 101)

    async def test_a_profile_reached_while_the_database_is_away_is_stored_the_next_time(self) -> None:
        await self.start_tls()
        charger = self.charger()
        self.assertEqual(await self.status("/ocpp/CP1", password=PASSWORD), 101)
        self.database.away = True
        self.assertEqual(await self.tls_status(password=PASSWORD), 101)
        self.assertEqual(charger.security_profile, 0)
        self.database.away = False
        self.assertEqual(await self.tls_status(password=PASSWORD), 101)
        self.assertEqual(charger.security_profile, 2)
