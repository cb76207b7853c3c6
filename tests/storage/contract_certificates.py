"""What makes a charger's identity, and the register of certificates, for each kind of database."""

from __future__ import annotations

from datetime import timedelta

from csms.domain.model import Charger
from csms.domain.repositories_certificates import CertificateRequest, IssuedCertificate, RequestState
from csms.ports import DatabaseError
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase

HOUR = timedelta(hours=1)


def a_certificate(charger_id: int, number: int = 1, **values: object) -> IssuedCertificate:
    fields = {
        "charger_id": charger_id,
        "device_id": f"CP-{charger_id}",
        "fingerprint": f"f{number}",
        "serial_number": f"s{number}",
        "common_name": "SN",
        "issued_by": "CN=root",
        "pem": "pem",
        "not_before": NOW,
        "not_after": NOW + HOUR,
        "issued_at": NOW,
    } | values
    return IssuedCertificate(**fields)  # type: ignore[arg-type]


def a_request(charger_id: int, **values: object) -> CertificateRequest:
    fields = {"charger_id": charger_id, "csr": "csr", "received_at": NOW, "due_at": NOW} | values
    return CertificateRequest(**fields)  # type: ignore[arg-type]


class CertificatesContract(DatabaseCase):
    async def test_new_passwords_come_back_in_their_order(self) -> None:
        passwords = {"command-2": "sha256-1$00$11==", "command-1": "sha256-1$22$33"}
        one = Charger(device_id="CP-1", next_passwords=dict(passwords), security_profile=3, certificate_name="SN")
        await self.write(lambda uow: uow.chargers.add(one))
        found = await self.look(lambda uow: uow.chargers.by_device_id("CP-1"))
        assert found is not None
        self.assertEqual(list(found.next_passwords.items()), list(passwords.items()))
        self.assertEqual((found.security_profile, found.certificate_name), (3, "SN"))

        def settle(uow: SqlUnitOfWork) -> None:
            charger = uow.chargers.by_device_id("CP-1")
            assert charger is not None
            charger.next_passwords.pop("command-2")

        await self.write(settle)
        found = await self.look(lambda uow: uow.chargers.by_device_id("CP-1"))
        assert found is not None
        self.assertEqual(found.next_passwords, {"command-1": passwords["command-1"]})

    async def test_a_serial_number_is_bound_to_one_charger_and_none_is_bound_to_many(self) -> None:
        for name in ("CP-1", "CP-2"):
            await self.a_charger(name)

        def bind(uow: SqlUnitOfWork, device_id: str) -> None:
            charger = uow.chargers.by_device_id(device_id)
            assert charger is not None
            charger.certificate_name = "SN"

        await self.write(bind, "CP-1")
        with self.assertRaises(DatabaseError):
            await self.write(bind, "CP-2")
        bound = await self.look(lambda uow: uow.chargers.by_certificate_name("SN"))
        assert bound is not None
        self.assertEqual(bound.device_id, "CP-1")
        for name in ("sn", ""):
            self.assertIsNone(await self.look(lambda uow, text: uow.chargers.by_certificate_name(text), name))

    async def test_every_field_of_a_certificate_comes_back_newest_first(self) -> None:
        first, second = a_certificate(1, 1), a_certificate(2, 2, revoked_at=NOW, revocation_reason="stolen")
        for one in (first, second):
            await self.write(lambda uow, it: uow.issued_certificates.add(it), one)
        self.assertEqual(await self.look(lambda uow: uow.issued_certificates.page()), [second, first])
        self.assertEqual(await self.look(lambda uow: uow.issued_certificates.page(charger_id=1)), [first])
        self.assertEqual(await self.look(lambda uow: uow.issued_certificates.page(before_id=second.id)), [first])
        self.assertEqual(await self.look(lambda uow: uow.issued_certificates.by_serial_number("s1")), [first])

    async def test_revoked_ones_are_known_by_name_and_for_the_list(self) -> None:
        def issue(uow: SqlUnitOfWork) -> None:
            uow.issued_certificates.add(a_certificate(1, 1))
            uow.issued_certificates.add(a_certificate(1, 2, revoked_at=NOW))
            uow.issued_certificates.add(a_certificate(2, 3, revoked_at=NOW, not_after=NOW - HOUR, common_name="SN-2"))

        await self.write(issue)
        self.assertEqual(await self.look(lambda uow: uow.issued_certificates.revoked("SN")), {"f2"})
        self.assertEqual(await self.look(lambda uow: uow.issued_certificates.revoked("SN-2")), {"f3"})
        listed = await self.look(lambda uow: uow.issued_certificates.all_revoked(valid_at=NOW))
        self.assertEqual([one.fingerprint for one in listed], ["f2"])

    async def test_a_due_request_is_taken_by_one_and_again_only_later(self) -> None:
        asked = [await self.write(lambda uow: uow.issued_certificates.ask(a_request(1))) for _ in range(4)]

        def take(uow: SqlUnitOfWork, _: object) -> list[int]:
            taken = uow.issued_certificates.take_due(NOW, until=NOW + HOUR, limit=2)
            return [request.id for request in taken]

        taken = [request for some in await self.race(take, range(6)) for request in some]
        self.assertEqual(sorted(taken), [request.id for request in asked])
        again = await self.write(
            lambda uow: uow.issued_certificates.take_due(NOW + HOUR, until=NOW + 2 * HOUR, limit=9)
        )
        self.assertEqual(len(again), 4)

    async def test_a_settled_request_waits_no_more(self) -> None:
        request = await self.write(lambda uow: uow.issued_certificates.ask(a_request(1)))
        self.assertEqual(len(await self.look(lambda uow: uow.issued_certificates.waiting(1))), 1)

        def settle(uow: SqlUnitOfWork) -> None:
            found = uow.issued_certificates.request(request.id)
            assert found is not None
            found.state = RequestState.SIGNED

        await self.write(settle)
        self.assertEqual(await self.look(lambda uow: uow.issued_certificates.waiting(1)), [])
        self.assertEqual(
            await self.write(lambda uow: uow.issued_certificates.take_due(NOW, until=NOW + HOUR, limit=9)), []
        )


class SqliteCertificates(CertificatesContract, SqliteCase):
    pass


class PostgresqlCertificates(CertificatesContract, PostgresqlCase):
    pass


del CertificatesContract, DatabaseCase, SqliteCase, PostgresqlCase
