"""The analytics worker: energy and time of charging per charger and hour, from notifications.

For every session it keeps how much of its energy has been added up, and until when. Each further notification adds the
difference, spread evenly over the hours in between; so the hours of a session add up to its energy, whichever
notifications were missed, and one that comes late adds nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from twisted.internet.interfaces import IReactorTime

from csms.domain.messages import Notification, NotificationType, decode_notification
from csms.domain.model import HourlyUse, Session
from csms.domain.repositories import UnitOfWork
from csms.ports import Database, Message
from csms.walltime import utc
from csms.workers.outcomes import ACK, Outcome
from csms.workers.rollup import LONGEST_SPAN, hour_of, spread

CONSUMER = "analytics"
_TYPES = frozenset(
    {
        NotificationType.CHARGING_STARTED,
        NotificationType.CHARGING_UPDATED,
        NotificationType.CHARGING_STOPPED,
        NotificationType.METER_VALUES_UPDATED,
    }
)


class HourlyWork:
    """The work of the queue ``analytics``."""

    def __init__(self, database: Database, clock: IReactorTime) -> None:
        self._database = database
        self._clock = clock

    def decode(self, message: Message) -> Notification:
        """Read a notification; raises :class:`csms.domain.messages.BadMessage`."""
        return decode_notification(message.body)

    async def begin(self) -> None:
        """Nothing to prepare: repeats are told by their event ids."""

    async def commit(self, batch: Sequence[Notification]) -> Sequence[Outcome]:
        """Add up what is new in these notifications."""
        relevant = [one for one in batch if one.type in _TYPES and isinstance(one.data.get("sessionId"), int)]
        if relevant:
            now = utc(self._clock)
            await self._database.transact(lambda uow: add_up(relevant, uow, now), name="hourly use")
        return [ACK] * len(batch)


def add_up(notifications: Sequence[Notification], uow: UnitOfWork, now: datetime) -> None:
    """Add the notifications that had not been there before to the hours of their chargers."""
    event_ids = [one.event_id for one in notifications]
    new = set(uow.consumed.first_times(CONSUMER, event_ids, now, optimistic=True))
    mentioned = {one.data["sessionId"] for one in notifications if one.event_id in new}
    known = uow.analytics.registers(mentioned)
    begun = uow.sessions.fetch(mentioned - known.keys())
    hours = _Hours()
    registers: dict[int, _Register] = {}
    for notification in notifications:
        if notification.event_id not in new:
            continue
        new.discard(notification.event_id)
        session_id = notification.data["sessionId"]
        register = registers.get(session_id) or _register(known.get(session_id), begun.get(session_id))
        if register is None:
            continue
        registers[session_id] = register
        hours.count(notification)
        register.advance(notification, hours)
    uow.analytics.add_use(hours.uses.values())
    for session_id, register in registers.items():
        uow.analytics.set_register(session_id, register.energy_wh, register.at)


class _Hours:
    """What is to be added, by charger and hour."""

    def __init__(self) -> None:
        self.uses: dict[tuple[int, datetime], HourlyUse] = {}

    def add(self, charger_id: int, hour: datetime, *, energy_wh: float = 0.0, charging_s: float = 0.0) -> None:
        use = self._use(charger_id, hour)
        use = replace(use, energy_wh=use.energy_wh + energy_wh, charging_s=use.charging_s + charging_s)
        self.uses[charger_id, hour] = use

    def count(self, notification: Notification) -> None:
        """Count a session that began or ended."""
        hour = hour_of(_moment(notification))
        if notification.type == NotificationType.CHARGING_STARTED:
            use = self._use(notification.charger_id, hour)
            self.uses[notification.charger_id, hour] = replace(use, sessions_started=use.sessions_started + 1)
        elif notification.type == NotificationType.CHARGING_STOPPED:
            use = self._use(notification.charger_id, hour)
            self.uses[notification.charger_id, hour] = replace(use, sessions_ended=use.sessions_ended + 1)

    def _use(self, charger_id: int, hour: datetime) -> HourlyUse:
        return self.uses.get((charger_id, hour)) or HourlyUse(charger_id=charger_id, hour=hour)


@dataclass(slots=True)
class _Register:
    """How far a session has been added up: its energy until when."""

    energy_wh: float
    at: datetime

    def advance(self, notification: Notification, hours: _Hours) -> None:
        """Add what has come since. The last word of a session corrects in both directions."""
        at = _moment(notification)
        final = "stoppedAt" in notification.data
        if at <= self.at and not final:
            return
        energy_wh = notification.data.get("energyWh")
        gained_wh = float(energy_wh) - self.energy_wh if isinstance(energy_wh, int | float) else 0.0
        if not final:
            gained_wh = max(0.0, gained_wh)
        charger_id = notification.charger_id
        if self.at < at <= self.at + LONGEST_SPAN:
            span_s = (at - self.at).total_seconds()
            for hour, seconds in spread(self.at, at):
                hours.add(charger_id, hour, energy_wh=gained_wh * seconds / span_s, charging_s=seconds)
        else:
            hours.add(charger_id, hour_of(at), energy_wh=gained_wh)
            if at < self.at <= at + LONGEST_SPAN:
                for hour, seconds in spread(at, self.at):
                    hours.add(charger_id, hour, charging_s=-seconds)
        self.energy_wh += gained_wh
        self.at = at


def _register(known: tuple[float, datetime] | None, session: Session | None) -> _Register | None:
    """A session's register; at its beginning when nothing was added up yet. None: there is no such session."""
    if known is not None:
        return _Register(*known)
    return None if session is None else _Register(0.0, session.started_at)


def _moment(notification: Notification) -> datetime:
    """When it happened: by the charger's clock, but never after we heard of it."""
    data = notification.data
    if notification.type == NotificationType.CHARGING_STARTED:
        told = data.get("startedAt")
    else:
        told = data.get("stoppedAt") or data.get("sampledAt")
    if not isinstance(told, str):
        return notification.timestamp
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        return notification.timestamp
    return min(moment, notification.timestamp) if moment.tzinfo else notification.timestamp
