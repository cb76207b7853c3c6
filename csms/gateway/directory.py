"""What the database says about chargers, remembered: handshakes go on while it is away, and cannot wear it out.

A lookup younger than ``FRESH_S`` is believed. An older one (up to ``STALE_S``) is used when the database does not
answer, or not soon. Lookups of the same charger at the same time are one. Ids that nobody knows are remembered
apart and shortly, so that a scan of ids displaces no real charger.

Lookups wait for each other in lanes, so that thousands of chargers that come at once cost a few dozen queries. Those
for addresses that fail much have a lane of their own: a flood of guesses costs one of the database's connections at
most, and the good chargers behind the same router wait a moment longer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from csms.coroutines import spawn
from csms.domain import password_rotation
from csms.domain.model import Charger, Registration
from csms.domain.repositories import UnitOfWork
from csms.gateway.clock import Clock, limit
from csms.gateway.lookup_lane import LookupLane
from csms.ocpp.quirks import Station
from csms.ports import Database, DatabaseError, DatabaseUnavailable

FRESH_S = 30.0
STALE_S = 24 * 3600.0
UNKNOWN_FRESH_S = 2.0
PATIENCE_S = 2.0
"""How long a lookup may take before a stale answer is used instead."""
LAST_PATIENCE_S = 6.0
"""How long, when there is none: then the charger is refused, before its own patience or the handshake's is over."""
MAX_KNOWN = 100_000
MAX_UNKNOWN = 10_000
QUERIES = 2
"""At once; another one for crowds."""
MAX_WAITING = 5000
"""Lookups that wait; more are refused, as if the database were away."""
MAX_IN_CROWD = 1000
"""The same for lookups of crowds."""

_Found = tuple[Charger, frozenset[str]]

_log = Logger(namespace="csms.gateway")


@dataclass(frozen=True, slots=True)
class Known:
    """A charger as the database knew it at ``asked_at`` (the clock's seconds)."""

    charger_id: int
    registration: Registration
    password_hash: str
    asked_at: float
    next_passwords: Mapping[str, str]
    """New passwords on their way to the charger: see ``csms.domain.password_rotation``."""
    security_profile: int
    certificate_name: str
    revoked: frozenset[str]
    """Fingerprints of its certificates that are revoked."""
    station: Station
    """What it said of itself when it booted the last time."""


class Directory:
    """Chargers by deviceId."""

    def __init__(self, database: Database, clock: Clock, *, with_certificates: bool = False) -> None:
        self._database = database
        self._with_certificates = with_certificates
        """Whether it matters which certificates are revoked."""
        self._clock = clock
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._lookups: dict[str, Deferred[bool | None]] = {}
        self._lane = LookupLane(self._look_up, queries=QUERIES, room=MAX_WAITING)
        self._crowd = LookupLane(self._look_up, queries=1, room=MAX_IN_CROWD)

    async def find(self, device_id: str, *, fresh_s: float | None = None, crowd: bool = False) -> Known | None:
        """The charger, or None when there is none.

        ``fresh_s``: how old a remembered answer may be; None: ``FRESH_S``. ``crowd``: to be asked in the crowd's lane.

        Raises DatabaseUnavailable when the answer is not remembered and cannot be had now.
        """
        known = self._known.get(device_id)
        now = self._clock.seconds()
        if known is not None and now - known.asked_at < (FRESH_S if fresh_s is None else fresh_s):
            return known
        if known is None and now - self._unknown.get(device_id, -STALE_S) < UNKNOWN_FRESH_S:
            return None
        usable = known is not None and now - known.asked_at < STALE_S
        patience_s = PATIENCE_S if usable else LAST_PATIENCE_S
        if await self._looked_up(device_id, patience_s=patience_s, crowd=crowd):
            return self._known.get(device_id)
        if usable:
            return known
        raise DatabaseUnavailable("the charger cannot be looked up now")

    async def enrol(self, charger: Charger) -> Known:
        """Add a charger; who came first under this deviceId stays as it is. Raises DatabaseError."""

        def work(uow: UnitOfWork) -> Charger:
            return uow.chargers.add(charger)

        return self._remember(charger.device_id, await self._database.transact(work, name="enrol charger"))

    async def password_arrived(self, device_id: str, name: str) -> None:
        """The charger has come with its new password of this name: the old one opens no more."""
        await self._change(device_id, lambda charger: password_rotation.confirm(charger, name), "new password arrived")

    async def profile_reached(self, device_id: str, profile: int) -> None:
        """The charger has come with this security profile: lower ones are refused from now on."""

        def change(charger: Charger) -> None:
            charger.security_profile = max(charger.security_profile, profile)

        await self._change(device_id, change, "security profile reached")

    async def _change(self, device_id: str, change: Callable[[Charger], None], name: str) -> None:
        """Write something down about a charger; while the database is away the next connection will do it."""

        def work(uow: UnitOfWork) -> _Found | None:
            charger = uow.chargers.by_device_id(device_id)
            if charger is None:
                return None
            change(charger)
            return charger, self._revoked(uow, charger)

        try:
            found = await self._database.transact(work, name=name)
        except DatabaseError as error:
            _log.warn("{charger}: {what} is not stored: {e}", charger=device_id, what=name, e=str(error))
        else:
            if found is not None:
                self._remember(device_id, *found)

    def _revoked(self, uow: UnitOfWork, charger: Charger) -> frozenset[str]:
        if not self._with_certificates or not charger.certificate_name:
            return frozenset()
        return uow.issued_certificates.revoked(charger.certificate_name)

    def _remember_unknown(self, device_id: str) -> None:
        self._known.pop(device_id, None)
        self._unknown.pop(device_id, None)
        if len(self._unknown) >= MAX_UNKNOWN:
            self._unknown.popitem(last=False)
        self._unknown[device_id] = self._clock.seconds()

    def _remember(self, device_id: str, charger: Charger, revoked: frozenset[str] = frozenset()) -> Known:
        self._known.pop(device_id, None)
        self._unknown.pop(device_id, None)
        if len(self._known) >= MAX_KNOWN:
            self._known.popitem(last=False)
        known = self._known[device_id] = Known(
            charger.id,
            charger.registration,
            charger.password_hash,
            self._clock.seconds(),
            dict(charger.next_passwords),
            charger.security_profile,
            charger.certificate_name,
            revoked,
            Station(charger.vendor, charger.model, charger.firmware_version),
        )
        return known

    async def _looked_up(self, device_id: str, *, patience_s: float, crowd: bool) -> bool:
        """Look up, or join a lookup that runs; whether the answer is known now."""
        lookup = self._lookups.get(device_id)
        if lookup is None:
            lane = self._crowd if crowd else self._lane
            if lane.is_full:
                return False
            lookup = spawn(lane.take(device_id), "look up charger")
            if not lookup.called:
                self._lookups[device_id] = lookup
                lookup.addCallback(self._landed, device_id)
        mine = _branch(lookup)
        limit(mine, patience_s, self._clock)
        try:
            return await mine is True
        except defer.TimeoutError:
            return False

    def _landed(self, answered: bool | None, device_id: str) -> bool | None:
        del self._lookups[device_id]
        return answered

    async def _look_up(self, device_ids: Sequence[str]) -> bool:
        def work(uow: UnitOfWork) -> list[_Found | None]:
            chargers = uow.chargers.by_device_ids(device_ids)
            found = map(chargers.get, device_ids)
            return [None if charger is None else (charger, self._revoked(uow, charger)) for charger in found]

        try:
            answers = await self._database.read(work, name="look up charger")
        except DatabaseError as error:
            _log.debug("cannot look up {charger}: {error}", charger=", ".join(device_ids), error=str(error))
            return False
        for device_id, found in zip(device_ids, answers, strict=True):
            if found is None:
                self._remember_unknown(device_id)
            else:
                self._remember(device_id, *found)
        return True


def _branch(deferred: Deferred[bool | None]) -> Deferred[bool | None]:
    """One more to wait for ``deferred``, which never fails; giving up leaves the others waiting."""
    waiter: Deferred[bool | None] = Deferred()

    def fire(result: bool | None) -> bool | None:
        if not waiter.called:
            waiter.callback(result)
        return result

    deferred.addCallback(fire)
    return waiter
