"""Who is let in, decided before the WebSocket is opened.

========================================  ======================================================================
the charger                               is answered
========================================  ======================================================================
wrong, malformed or foreign credentials   401; an unknown identity looks the same, in status and in time
none, though its password is stored       401
none stored, ``require_password``         401
rejected by the operator                  403, after its credentials were found right
unknown, ``unknown_chargers = reject``    401; 404 when passwords are not required, as the specification has it
unknown, ``accept`` or ``pending``        let in and written down, with the password that it presented, if any
below the highest profile it has had      403, after its credentials were found right
a certificate that is not this charger's  403; an unknown identity looks the same (profile 3, ``mtls_port``)
failing too often                         429, for this identity from this address; see below
the database away, nothing remembered     503
========================================  ======================================================================

Failures are counted for (identity, address), so that nobody can lock a charger out from elsewhere, nor one of its
neighbours behind the same address. Nor can they from the same address, if the charger's password is a random key as
csms makes them: keys are looked at however often others have failed, as nobody guesses them. An address with very many
failures is not banned: what it makes us ask the database is asked in a lane (see :mod:`csms.gateway.directory`).

Sources: OCPP-J 1.6 section 3.1.2 and Security Whitepaper A00; OCPP 2.x part 4 section 3 and part 2 A00.FR.201-207.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NoReturn

from twisted.logger import Logger

from csms.addresses import network_of
from csms.config.settings import GatewaySettings, UnknownChargers
from csms.domain import credentials, password_rotation
from csms.domain.model import Charger, Registration
from csms.domain.security import ClientCertificate, SecurityProfile, objection
from csms.gateway.alarms import Alarms
from csms.gateway.channel import Channel
from csms.gateway.clock import Clock
from csms.gateway.directory import UNKNOWN_FRESH_S, Directory, Known
from csms.gateway.handshake import basic_credentials
from csms.ocpp.quirks import NOBODY, Station
from csms.ports import DatabaseError
from csms.throttle import Throttle
from csms.walltime import utc

FAILURES_PER_MINUTE = 10
FAILURES_PER_ADDRESS_AND_MINUTE = 300
ENROLMENTS_PER_ADDRESS_AND_MINUTE = 1000
RECHECK_S = UNKNOWN_FRESH_S
"""A password that does not fit a remembered one older than this is compared with the database's: it may be new.

As long as unknown identities are remembered, so that a wrong password takes as long for them as for known ones.
"""

INVALID_CREDENTIALS = "InvalidCredentials"
"""Security event: somebody came under this identity without its password."""

_NOBODYS = credentials.hash_password(credentials.generate_password())
_log = Logger(namespace="csms.gateway")


class Refusal(Exception):  # noqa: N818 - it names the answer
    """The handshake ends with this HTTP status."""

    def __init__(self, status: int, reason: str, *, retry_after_s: float = 0.0, attack: bool = False) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.attack = attack
        """Counts as a failed attempt, and the charger's operator is told."""
        self.reason = reason
        self.retry_after_s = math.ceil(retry_after_s)


@dataclass(frozen=True, slots=True)
class Identity:
    """A charger that may come in."""

    device_id: str
    charger_id: int
    registration: Registration
    station: Station = NOBODY


class Admission:
    """Credentials, registration and the throttle of failures."""

    def __init__(
        self, settings: GatewaySettings, directory: Directory, alarms: Alarms, clock: Clock, *, operator: str = ""
    ) -> None:
        """``operator``: the organisation that client certificates must name."""
        self._settings = settings
        self._directory = directory
        self._alarms = alarms
        self._operator = operator
        self._clock = clock
        self._failures = Throttle(limit=FAILURES_PER_MINUTE, window_s=60.0)
        self._address_failures = Throttle(limit=FAILURES_PER_ADDRESS_AND_MINUTE, window_s=60.0)
        self._enrolments = Throttle(limit=ENROLMENTS_PER_ADDRESS_AND_MINUTE, window_s=60.0)

    async def admit(self, device_id: str, authorization: str | None, channel: Channel) -> Identity:
        """Let a charger in or raise :class:`Refusal`."""
        now = self._clock.seconds()
        address = channel.address
        network = network_of(address)
        pair = f"{network} {device_id}"
        wait_s = self._failures.blocked_for_s(pair, now)
        crowd_s = self._address_failures.blocked_for_s(network, now)
        crowd = crowd_s > 0
        counted = False
        try:
            presented = self._presented(device_id, authorization)
            if wait_s and not _is_no_guess(presented, channel):
                _refuse_for(wait_s)
            # Counted before it is known, so that many guesses at the same time count, too.
            self._failures.failed(pair, now)
            counted = True
            known = await self._identified(device_id, presented, channel, network, crowd=crowd)
            await self._verify_profile(device_id, known, _profile(channel, known), crowd=crowd)
        except DatabaseError as error:
            self._failures.take_back(pair)
            if crowd:
                _refuse_for(crowd_s)
            raise Refusal(503, "Try again later", retry_after_s=10) from error
        except Refusal as refusal:
            if refusal.status not in {401, 404} and not refusal.attack:
                if counted:
                    self._failures.take_back(pair)
            else:
                if not counted:
                    self._failures.failed(pair, now)
                self._address_failures.failed(network, now)
                _log.info(
                    "charger {charger} from {address} refused: {reason}",
                    charger=device_id,
                    address=address,
                    reason=str(refusal),
                )
            raise
        self._failures.forget(pair)
        if known.registration is Registration.REJECTED:
            raise Refusal(403, "This charger is rejected")
        return Identity(device_id, known.charger_id, known.registration, known.station)

    async def _identified(
        self, device_id: str, presented: bytes | None, channel: Channel, network: str, *, crowd: bool
    ) -> Known:
        """The charger, which has proved that it is."""
        known = await self._directory.find(device_id, crowd=crowd)
        if channel.certificate is not None:
            return await self._verify_certificate(device_id, known, channel.certificate, crowd=crowd)
        needs_password = self._settings.require_password or channel.tls
        if known is None:
            known = await self._enrol(device_id, presented, network, needs_password=needs_password)
        address = channel.address
        return await self._verify(device_id, known, presented, address, crowd=crowd, needs_password=needs_password)

    async def registration(self, device_id: str) -> Registration | None:
        """The charger's registration as of now or some seconds ago; None when it cannot be had."""
        try:
            known = await self._directory.find(device_id)
        except DatabaseError:
            return None
        return known.registration if known is not None else None

    def _presented(self, device_id: str, authorization: str | None) -> bytes | None:
        """The password that the charger presents; None when it presents nothing."""
        if authorization is None:
            return None
        pair = basic_credentials(authorization)
        if pair is None or pair[0] != device_id.encode():
            raise _unauthorized()
        return pair[1]

    async def _verify(
        self,
        device_id: str,
        known: Known,
        presented: bytes | None,
        address: str,
        *,
        crowd: bool,
        needs_password: bool,
    ) -> Known:
        """The charger, its password found right."""
        without = not known.password_hash and not needs_password
        # Its first password may be on its way to it: then its coming with it settles that it has one.
        if presented is not None and (known.next_passwords or not without):
            if await self._fits(device_id, known, presented):
                return known
            newer = await self._directory.find(device_id, fresh_s=RECHECK_S, crowd=crowd)
            if newer is not None and newer is not known and await self._fits(device_id, newer, presented):
                return newer
        if without:
            return known
        what = "wrong password" if presented is not None else "no password"
        self._alarms.tell(known.charger_id, device_id, INVALID_CREDENTIALS, f"{what} from {address}")
        raise _unauthorized()

    async def _fits(self, device_id: str, known: Known, presented: bytes) -> bool:
        """Whether it is the charger's password, or a new one on its way to it: then it has arrived by now."""
        if credentials.verify(known.password_hash, presented):
            return True
        arrived = password_rotation.arrived(known.next_passwords, presented)
        if arrived is None:
            return False
        await self._directory.password_arrived(device_id, arrived)
        return True

    async def _verify_certificate(
        self, device_id: str, known: Known | None, certificate: ClientCertificate, *, crowd: bool
    ) -> Known:
        """The charger whose certificate this is."""
        why_not = self._objection(known, certificate)
        if why_not and known is not None:
            newer = await self._directory.find(device_id, fresh_s=RECHECK_S, crowd=crowd)
            if newer is not known:
                known, why_not = newer, self._objection(newer, certificate)
        if known is None or why_not:
            if known is not None:
                info = f"{why_not}; CN {', '.join(certificate.common_names)}, SHA-256 {certificate.fingerprint}"
                self._alarms.tell(known.charger_id, device_id, "InvalidChargePointCertificate", info)
            raise Refusal(403, f"The certificate is not this charger's: {why_not}", attack=True)
        return known

    def _objection(self, known: Known | None, certificate: ClientCertificate) -> str:
        if known is None:
            return "there is no such charger"
        return objection(
            certificate,
            operator=self._operator,
            certificate_name=known.certificate_name,
            revoked=known.revoked,
            now=utc(self._clock),
        )

    async def _verify_profile(self, device_id: str, known: Known, profile: SecurityProfile, *, crowd: bool) -> None:
        """Refuse less security than the charger has had before (A05.FR.09); remember more."""
        if profile < known.security_profile:
            newer = await self._directory.find(device_id, fresh_s=RECHECK_S, crowd=crowd)
            if newer is None or profile < newer.security_profile:
                info = f"security profile {profile:d} after {known.security_profile}"
                self._alarms.tell(known.charger_id, device_id, "SecurityProfileDowngrade", info)
                raise Refusal(403, f"Too little security: {info}", attack=True)
            known = newer
        if profile > known.security_profile and profile >= SecurityProfile.TLS:
            await self._directory.profile_reached(device_id, profile)

    async def _enrol(self, device_id: str, presented: bytes | None, network: str, *, needs_password: bool) -> Known:
        """What becomes of a charger that nobody knows."""
        policy = self._settings.unknown_chargers
        if policy is UnknownChargers.REJECT:
            credentials.verify(_NOBODYS, presented or b"")
            raise _unauthorized() if needs_password else Refusal(404, "No such charger")
        usable = presented is not None and _may_be_kept(presented)
        if needs_password and not usable:
            raise _unauthorized()
        now = self._clock.seconds()
        wait_s = self._enrolments.blocked_for_s(network, now)
        if wait_s:
            raise Refusal(429, "Too many new chargers", retry_after_s=wait_s)
        self._enrolments.failed(network, now)
        accepted = policy is UnknownChargers.ACCEPT
        known = await self._directory.enrol(
            Charger(
                device_id=device_id,
                registration=Registration.ACCEPTED if accepted else Registration.PENDING,
                password_hash=credentials.hash_password(presented) if presented is not None and usable else "",
                created_at=utc(self._clock),
            )
        )
        _log.info("charger {charger} is new: {policy}", charger=device_id, policy=policy.value)
        return known


def _profile(channel: Channel, known: Known) -> SecurityProfile:
    if channel.certificate is not None:
        return SecurityProfile.MUTUAL_TLS
    if channel.tls:
        return SecurityProfile.TLS
    return SecurityProfile.BASIC if known.password_hash else SecurityProfile.NONE


def _is_no_guess(presented: bytes | None, channel: Channel) -> bool:
    return presented is not None and channel.certificate is None and credentials.is_random_key(presented)


def _refuse_for(wait_s: float) -> NoReturn:
    raise Refusal(429, "Too many failed attempts", retry_after_s=wait_s)


def _unauthorized() -> Refusal:
    return Refusal(401, "Credentials needed")


def _may_be_kept(password: bytes) -> bool:
    """Whether an unknown charger's password is worth storing; a 1.6 key may be raw bytes."""
    if password.isascii():
        return not credentials.objection(password.decode())
    return credentials.MIN_LENGTH <= len(password) <= credentials.MAX_LENGTH
