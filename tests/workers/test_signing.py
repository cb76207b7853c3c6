"""From a charger's SignCertificate to the command that brings it the certificate: handler, register, whoever signs."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from csms.authority import Authority, AuthorityError
from csms.config.settings import CertificateSettings
from csms.domain import certificate_signing
from csms.domain.actions import handle
from csms.domain.command_model import Command, CommandState, Source
from csms.domain.handling import Handled, Policy
from csms.domain.messages import ChargerMessage
from csms.domain.model import Charger
from csms.domain.repositories import OutboxRow
from csms.domain.repositories_certificates import CertificateRequest, IssuedCertificate
from csms.storage.unit_of_work import SqlUnitOfWork
from csms.workers.relay import Relay
from csms.workers.signing import Signing, make_signer
from tests.certificates import OPERATOR, Key, csr, ec_key
from tests.storage.databases import SqliteCase

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class SigningCase(SqliteCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.directory = Path(holder.name)
        self.now = datetime.now(UTC)
        self.authority = Authority.create(self.directory / "ca", OPERATOR, now=self.now)
        self.settings = CertificateSettings(operator=OPERATOR, ca_directory=str(self.directory / "ca"), days=30)
        self.published: list[OutboxRow] = []
        self.charger = await self.write(lambda uow: uow.chargers.add(self.new_charger()))
        self.asked = 0

    def new_charger(self) -> Charger:
        return Charger(device_id="CP1", certificate_name="SN-1", ocpp_version="1.6")

    def publish(self, rows: list[OutboxRow]) -> None:
        """The part of a relay that is used."""
        self.published += rows

    def signing(self, **settings: Any) -> Signing:
        values: dict[str, Any] = {
            "operator": OPERATOR,
            "ca_directory": self.settings.ca_directory,
            "days": 30,
        } | settings
        chosen = CertificateSettings(**values)
        sign = make_signer(chosen, reactor=reactor, now=lambda: self.now)
        assert sign is not None
        return Signing(sign, chosen, database=self.database, relay=cast(Relay, self), now=lambda: self.now)

    def by_program(self, code: str, **settings: Any) -> Signing:
        """Signed by a Python program."""
        program = self.directory / "sign.py"
        program.write_text(code)
        return self.signing(sign_command=f"{sys.executable} {program}", **settings)

    async def asks(self, request: str, *, version: str = "1.6", signs: bool = True, **payload: str) -> Handled:
        """A SignCertificate."""
        self.asked += 1
        message = ChargerMessage(
            device_id="CP1",
            charger_id=self.charger.id,
            message_type="SignCertificate",
            payload={"csr": request, **payload},
            timestamp=self.now,
            raw_data="[]",
            message_id=f"m{self.asked}",
            connection_id="c",
            ocpp_version=version,
            gateway="g",
        )
        policy = Policy(signs_certificates=signs, operator=OPERATOR)
        return await self.write(lambda uow: handle(message, uow, policy))

    async def status(self, request: str, **options: Any) -> str:
        handled = await self.asks(request, **options)
        assert handled.answer is not None
        return str(handled.answer["status"])

    async def issued(self) -> list[IssuedCertificate]:
        return list(await self.look(lambda uow: uow.issued_certificates.page()))

    async def commands(self) -> list[Command]:
        return list(await self.look(lambda uow: uow.commands.page(device_id="CP1")))

    async def settled(self) -> CertificateRequest:
        """The only request there is."""
        waiting: list[CertificateRequest] = await self.look(
            lambda uow: uow.issued_certificates.waiting(self.charger.id)
        )
        self.assertEqual(len(waiting), 1)
        return waiting[0]


class BuiltInTests(SigningCase):
    async def test_a_request_becomes_a_registered_certificate_on_its_way_to_the_charger(self) -> None:
        key: Key = ec_key()
        self.assertEqual(await self.status(csr("SN-1", key=key)), "Accepted")
        self.assertEqual((await self.issued(), await self.commands()), ([], []))
        await self.signing().sign_due()
        (issued,), (command,) = await self.issued(), await self.commands()
        payload = json.loads(command.payload)
        certificate = x509.load_pem_x509_certificate(payload["certificateChain"].encode())
        certificate.verify_directly_issued_by(self.authority.certificate)
        self.assertEqual(certificate.public_key(), key.public_key())
        self.assertEqual(
            (command.action, command.source, list(payload)), ("CertificateSigned", Source.SYSTEM, ["certificateChain"])
        )
        self.assertEqual((command.state, command.kept), (CommandState.WAITING, True))
        self.assertEqual((issued.device_id, issued.common_name), ("CP1", "SN-1"))
        self.assertEqual(issued.serial_number, f"{certificate.serial_number:x}")
        self.assertIn(command.command_id, [row.event_id for row in self.published])
        await self.signing().sign_due()
        self.assertEqual(len(await self.issued()), 1)

    async def test_a_newer_request_takes_the_place_of_an_older_one(self) -> None:
        newer: Key = ec_key()
        for request in (csr("SN-1"), csr("SN-1", key=newer)):
            self.assertEqual(await self.status(request), "Accepted")
        await self.signing().sign_due()
        (issued,) = await self.issued()
        certificate = x509.load_pem_x509_certificate(issued.pem.encode())
        self.assertEqual(certificate.public_key(), newer.public_key())

    async def test_a_wrong_request_is_rejected_and_told(self) -> None:
        for request, options, reason in (
            (csr("SN-2"), {}, "its name (CN) is not the serial number of this charger"),
            (csr("SN-1", "Other"), {}, "its organisation (O) is not the operator's name"),
            ("rubbish", {}, "it cannot be read"),
            (csr("SN-1"), {"signs": False}, "no authority is set up"),
            (
                csr("SN-1"),
                {"version": "2.0.1", "certificateType": "V2GCertificate"},
                "only certificates of the charging",
            ),
        ):
            handled = await self.asks(request, **options)
            self.assertEqual(handled.answer, {"status": "Rejected"})
            (told,) = [note for note in handled.notifications if note.type == "security.event"]
            self.assertEqual(told.data["event"], "InvalidCertificateSigningRequest")
            self.assertIn(reason, told.data["info"])
        kept = await self.look(lambda uow: uow.devices.security_events.page(charger_id=self.charger.id))
        self.assertEqual([event.type for event in kept], ["InvalidCertificateSigningRequest"] * 5)
        await self.signing().sign_due()
        self.assertEqual(await self.issued(), [])

    async def test_a_charger_that_asks_for_ever_is_stopped(self) -> None:
        self.patch(certificate_signing, "MAX_PER_DAY", 2)
        for expected in ("Accepted", "Accepted", "Rejected"):
            self.assertEqual(await self.status(csr("SN-1")), expected)
            await self.signing().sign_due()
        self.now += DAY
        self.assertEqual(await self.status(csr("SN-1")), "Accepted")

    async def test_2x_gets_the_kind_of_certificate_that_it_asked_for(self) -> None:
        kind = "ChargingStationCertificate"
        self.assertEqual(await self.status(csr("SN-1"), version="2.0.1", certificateType=kind), "Accepted")
        await self.signing().sign_due()
        (command,) = await self.commands()
        self.assertEqual(json.loads(command.payload)["certificateType"], kind)

    async def test_a_serial_number_bound_anew_meanwhile_gets_no_certificate_for_the_old_one(self) -> None:
        self.assertEqual(await self.status(csr("SN-1")), "Accepted")

        def bind(uow: SqlUnitOfWork) -> None:
            charger = uow.chargers.by_device_id("CP1")
            assert charger is not None
            charger.certificate_name = "SN-9"

        program = f"print({Path(await self.signed_elsewhere()).read_text()!r})"
        await self.write(bind)
        await self.by_program(program).sign_due()
        self.assertEqual(await self.issued(), [])
        self.assertIn("is not the charger's serial number", (await self.settled()).error)

    async def signed_elsewhere(self) -> str:
        request = (await self.settled()).csr
        pem = self.authority.sign_charger(request, operator=OPERATOR, name="SN-1", now=self.now, days=1)
        file = self.directory / "elsewhere.pem"
        file.write_text(pem)
        return str(file)

    async def test_settings_that_cannot_be_are_named(self) -> None:
        now = lambda: self.now  # noqa: E731
        self.assertIsNone(make_signer(CertificateSettings(), reactor=reactor, now=now))
        with self.assertRaisesRegex(ValueError, "operator is needed"):
            make_signer(CertificateSettings(ca_directory="x"), reactor=reactor, now=now)
        with self.assertRaisesRegex(AuthorityError, "csms-admin ca init"):
            make_signer(CertificateSettings(operator="O", ca_directory="/nowhere"), reactor=reactor, now=now)


SIGNER = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from csms.authority import Authority
authority = Authority.load(Path({directory!r}))
request = sys.stdin.read()
assert os.environ["CHARGER_DEVICE_ID"] == "CP1", os.environ
assert "CSMS_DATABASE_PASSWORD" not in os.environ
name = os.environ["CHARGER_SERIAL_NUMBER"]
pem = authority.sign_charger(request, operator={operator!r}, name=name, now=datetime.now(UTC), days=1)
print(pem + authority.pem)
"""


class ProgramTests(SigningCase):
    def signer(self) -> str:
        root = str(Path(__file__).parents[2])
        code = SIGNER.format(directory=self.settings.ca_directory, operator=OPERATOR)
        return f"import sys; sys.path.insert(0, {root!r})\n{code}"

    async def test_a_program_gets_the_request_and_gives_the_chain(self) -> None:
        self.patch(os, "environ", {**os.environ, "CSMS_DATABASE_PASSWORD": "secret"})
        await self.status(csr("SN-1"))
        await self.by_program(self.signer()).sign_due()
        (command,) = await self.commands()
        chain = json.loads(command.payload)["certificateChain"]
        self.assertEqual(len(x509.load_pem_x509_certificates(chain.encode())), 2)

    async def test_what_a_program_does_wrong_is_kept_and_tried_again_later(self) -> None:
        foreign = self.authority.sign_charger(csr("SN-1"), operator=OPERATOR, name="SN-1", now=self.now, days=1)
        await self.status(csr("SN-1"))
        for code, reason in (
            ("import sys; sys.exit('no token in the HSM')", "sign_command failed: no token in the HSM"),
            ("print('sorry')", "what was given back is no certificate (PEM)"),
            (f"print({foreign!r})", "the certificate is for another key"),
            ("print('x' * 200000)", "it wrote more than"),
        ):
            await self.by_program(code).sign_due()
            self.assertIn(reason, (await self.settled()).error)
            self.assertEqual(await self.issued(), [])
            self.now += HOUR
        await self.by_program(self.signer()).sign_due()
        self.assertEqual((len(await self.issued()), len(await self.commands())), (1, 1))

    async def test_a_program_that_hangs_is_ended(self) -> None:
        await self.status(csr("SN-1"))
        await self.by_program("import time; time.sleep(60)", sign_timeout_s=0.2).sign_due()
        self.assertIn("it took longer than 0.2 s", (await self.settled()).error)

    async def test_a_program_that_is_not_there_is_named(self) -> None:
        await self.status(csr("SN-1"))
        await self.signing(sign_command="/nowhere/sign").sign_due()
        self.assertIn("/nowhere/sign cannot be started", (await self.settled()).error)

    async def test_after_many_tries_it_is_given_up_and_told(self) -> None:
        self.patch(certificate_signing, "MAX_ATTEMPTS", 2)
        await self.status(csr("SN-1"))
        failing = self.by_program("import sys; sys.exit(1)")
        await failing.sign_due()
        await failing.sign_due()
        self.assertEqual((await self.settled()).attempts, 1)
        self.now += DAY
        await failing.sign_due()
        self.assertEqual(await self.look(lambda uow: uow.issued_certificates.waiting(self.charger.id)), [])
        self.assertIn(b"CertificateNotSigned", self.published[-1].body)

    async def test_a_stop_ends_the_program_and_leaves_the_request_for_later(self) -> None:
        await self.status(csr("SN-1"))
        started = self.directory / "started"
        slow = self.by_program(f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(60)")
        running = Deferred.fromCoroutine(slow.sign_due())
        while slow._signing is None:
            await self.look(lambda uow: uow.issued_certificates.page())
        slow.stop()
        await running
        self.assertEqual((await self.settled()).attempts, 0)
        self.now += DAY
        await self.signing().sign_due()
        self.assertEqual(len(await self.issued()), 1)


del SigningCase, SqliteCase
