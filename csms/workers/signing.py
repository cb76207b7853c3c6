"""Signs what chargers have asked for (SignCertificate) and sends it to them, as soon as somebody can sign.

A request is taken for a while; a worker that dies with one leaves it to the next. Two may then sign the same request,
but only the first certificate gets into the register and to the charger.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from csms.authority import Authority, AuthorityError
from csms.config.settings import CertificateSettings
from csms.domain.certificate_signing import BadCertificate, not_signed, signed
from csms.domain.commands import to_publish
from csms.domain.handling import Notes
from csms.domain.identifiers import new_id
from csms.domain.repositories import OutboxRow, UnitOfWork
from csms.ports import Database
from csms.workers.relay import Relay

_log = Logger(namespace="csms.workers")

AT_ONCE = 20
MAX_OUTPUT = 64 * 1024
_GRACE_S = 30.0


class NotSigned(Exception):  # noqa: N818 - it names what happened
    """Nobody has signed; the text says why. It may go better later."""


Sign = Callable[[str, str, str], Coroutine[Deferred[Any], Any, str]]
"""CSR (PEM), deviceId, serial number: the certificate and its chain (PEM). Raises :class:`NotSigned`."""


def make_signer(settings: CertificateSettings, *, reactor: Any, now: Callable[[], datetime]) -> Sign | None:
    """Whoever signs, as the settings have it; None: nobody. Raises ValueError for what cannot be."""
    if not settings.sign_command and not settings.ca_directory:
        return None
    if not settings.operator:
        raise ValueError("[certificates] operator is needed where certificates are signed")
    if settings.sign_command:
        return partial(_by_program, shlex.split(settings.sign_command), settings.sign_timeout_s, reactor)
    Authority.load(Path(settings.ca_directory))
    return partial(_by_authority, settings, reactor, now)


class Signing:
    """Brings requests and whoever signs together."""

    def __init__(
        self,
        sign: Sign,
        settings: CertificateSettings,
        *,
        database: Database,
        relay: Relay,
        now: Callable[[], datetime],
    ) -> None:
        self._sign = sign
        self._operator = settings.operator
        self._patience = timedelta(seconds=AT_ONCE * (settings.sign_timeout_s + _GRACE_S))
        self._database = database
        self._relay = relay
        self._now = now
        self._stopping = False
        self._signing: Deferred[str] | None = None

    async def sign_due(self) -> None:
        """Sign all requests that are due. Raises DatabaseError."""
        more = True
        while more and not self._stopping:
            taken = await self._database.transact(self._take, name="take certificate requests")
            more = len(taken) == AT_ONCE
            for request_id, csr, device_id, name in taken:
                if not self._stopping:
                    await self._sign_one(request_id, csr, device_id, name)

    def stop(self) -> None:
        """Sign no more. What was taken is due again later, for whoever runs then."""
        self._stopping = True
        if self._signing is not None:
            self._signing.cancel()

    def _take(self, uow: UnitOfWork) -> list[tuple[int, str, str, str]]:
        now = self._now()
        taken = []
        for request in uow.issued_certificates.take_due(now, until=now + self._patience, limit=AT_ONCE):
            charger = uow.chargers.get(request.charger_id)
            names = (charger.device_id, charger.certificate_name) if charger is not None else ("", "")
            taken.append((request.id, request.csr, *names))
        return taken

    async def _sign_one(self, request_id: int, csr: str, device_id: str, name: str) -> None:
        command_id = new_id(int(self._now().timestamp() * 1000))

        def done(uow: UnitOfWork) -> list[OutboxRow]:
            now = self._now()
            notes = Notes(command_id, now)
            signed(uow, request_id, chain, operator=self._operator, command_id=command_id, now=now, notes=notes)
            return to_publish(uow, notes)

        def failed(uow: UnitOfWork) -> list[OutboxRow]:
            now = self._now()
            notes = Notes(command_id, now)
            not_signed(uow, request_id, reason, now=now, notes=notes)
            return to_publish(uow, notes)

        try:
            self._signing = Deferred.fromCoroutine(self._sign(csr, device_id, name))
            chain = await self._signing
            rows = await self._database.transact(done, name="certificate signed")
        except (NotSigned, BadCertificate) as error:
            reason = str(error)
            _log.warn("the certificate of {charger} is not signed: {reason}", charger=device_id, reason=reason)
            rows = await self._database.transact(failed, name="certificate not signed")
        except CancelledError:
            return
        else:
            _log.info("signed a certificate for {charger}", charger=device_id)
        finally:
            self._signing = None
        self._relay.publish(rows)


async def _by_authority(
    settings: CertificateSettings, reactor: Any, now: Callable[[], datetime], csr: str, device_id: str, name: str
) -> str:
    def sign() -> str:
        authority = Authority.load(Path(settings.ca_directory))
        return authority.sign_charger(csr, operator=settings.operator, name=name, now=now(), days=settings.days)

    try:
        return await deferToThreadPool(reactor, reactor.getThreadPool(), sign)
    except (AuthorityError, ValueError) as error:
        raise NotSigned(str(error)) from error


async def _by_program(command: list[str], timeout_s: float, reactor: Any, csr: str, device_id: str, name: str) -> str:
    program = _Program(csr.encode())
    # Of our own environment only what any program needs: the rest may hold our passwords.
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TZ") if key in os.environ}
    environment |= {"CHARGER_DEVICE_ID": device_id, "CHARGER_SERIAL_NUMBER": name}
    try:
        process = reactor.spawnProcess(program, command[0], command, env=environment)
    except OSError as error:
        raise NotSigned(f"{command[0]} cannot be started: {error.strerror}") from error
    timer = reactor.callLater(timeout_s, program.kill, process, f"it took longer than {timeout_s:g} s")
    try:
        return await program.done
    finally:
        if timer.active():
            timer.cancel()


class _Program(ProcessProtocol):
    """A program that reads its standard input and tells the result."""

    def __init__(self, data: bytes) -> None:
        self.done: Deferred[str] = Deferred(lambda _: self.kill(self.transport, "the worker stops"))
        self._input = data
        self._output = b""
        self._complaint = b""
        self._killed = ""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._input)
        self.transport.closeStdin()

    def outReceived(self, data: bytes) -> None:  # noqa: N802
        self._output += data
        if len(self._output) > MAX_OUTPUT:
            self.kill(self.transport, f"it wrote more than {MAX_OUTPUT} bytes")

    def errReceived(self, data: bytes) -> None:  # noqa: N802
        self._complaint = (self._complaint + data)[-500:]

    def kill(self, process: Any, reason: str) -> None:
        """End the program at once."""
        if not self._killed:
            self._killed = reason
            process.signalProcess("KILL")

    def processEnded(self, reason: Failure) -> None:  # noqa: N802
        if self.done.called:  # cancelled
            return
        if self._killed:
            self.done.errback(NotSigned(f"sign_command was ended: {self._killed}"))
        elif not reason.check(ProcessDone):
            complaint = self._complaint.decode("utf-8", "replace").strip()
            self.done.errback(NotSigned(f"sign_command failed: {complaint or reason.getErrorMessage()}"))
        else:
            self.done.callback(self._output.decode("utf-8", "replace"))
