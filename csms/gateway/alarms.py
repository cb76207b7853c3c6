"""Tells the operator of what looks like an attack on a charger's identity: in the log, and as a security event.

The event is kept beside those that chargers tell themselves, and goes to browsers and webhooks like them. Attackers
decide how often: so only some a minute are told, all are counted. They are written by the sweep, not when they happen,
because an answer that takes longer would tell a stranger which identities exist.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from csms import metrics
from csms.coroutines import spawn
from csms.domain.device_records import SecurityEvent
from csms.domain.identifiers import new_id
from csms.domain.messages import Notification, NotificationType
from csms.domain.repositories import OutboxRow, UnitOfWork
from csms.gateway.clock import Clock
from csms.gateway.liveness import Publish
from csms.ports import Database, DatabaseError
from csms.throttle import Throttle
from csms.walltime import utc

NO_CHARGER = 0
"""The charger of what happened before anybody said who they are."""
TOLD_PER_MINUTE = 10
"""Of one kind and charger."""
TOLD_OF_ALL_PER_MINUTE = 300
MAX_WAITING = 500
"""Events that may wait for the database; more are in the log only."""

_ALL = ""
_log = Logger(namespace="csms.gateway")


class Alarms:
    """Security events of the gateway's own; those of chargers come as their messages."""

    def __init__(self, database: Database, clock: Clock, publish: Publish) -> None:
        self._database = database
        self._publish = publish
        self._clock = clock
        self._told = Throttle(limit=TOLD_PER_MINUTE, window_s=60.0)
        self._all_told = Throttle(limit=TOLD_OF_ALL_PER_MINUTE, window_s=60.0)
        self._new: list[tuple[str, SecurityEvent]] = []
        """deviceIds and events."""
        self._waiting = 0
        self._storing: Deferred[None] | None = None

    def tell(self, charger_id: int, device_id: str, event: str, info: str) -> None:
        """Tell of ``event``, which concerns this charger. Returns at once and never fails."""
        metrics.SECURITY_ALARMS.labels(event).inc()
        now, key = self._clock.seconds(), f"{charger_id} {event}"
        if self._told.blocked_for_s(key, now) or self._all_told.blocked_for_s(_ALL, now):
            return
        self._told.failed(key, now)
        self._all_told.failed(_ALL, now)
        at = utc(self._clock)
        kept = SecurityEvent(
            charger_id=charger_id,
            message_id=new_id(int(at.timestamp() * 1000)),
            type=event,
            tech_info=info,
            critical=True,
            occurred_at=at,
            received_at=at,
        )
        self._new.append((device_id, kept))

    def sweep(self) -> None:
        """Write what is new, to the log and to the database."""
        new, self._new = self._new, []
        for device_id, event in new:
            _log.warn("{event} of {charger}: {info}", event=event.type, charger=device_id, info=event.tech_info)
        if new and self._waiting + len(new) <= MAX_WAITING:
            self._storing = spawn(self._store(new), "security events")

    async def finish(self) -> None:
        """Write what is left."""
        self.sweep()
        if self._storing is not None:
            await self._storing

    async def _store(self, events: Sequence[tuple[str, SecurityEvent]]) -> None:
        def work(uow: UnitOfWork) -> Sequence[OutboxRow]:
            for _, event in events:
                uow.devices.security_events.append(event)
            return uow.outbox.add([_notification(device_id, event) for device_id, event in events])

        self._waiting += len(events)
        try:
            self._publish(await self._database.transact(work, name="security events"))
        except DatabaseError as error:
            _log.warn("security events are in the log only: {error}", error=str(error))
        finally:
            self._waiting -= len(events)


def _notification(device_id: str, event: SecurityEvent) -> Notification:
    return Notification(
        type=NotificationType.SECURITY_EVENT,
        charger_id=event.charger_id,
        device_id=device_id,
        timestamp=event.occurred_at,
        event_id=event.message_id,
        data={
            "event": event.type,
            "info": event.tech_info,
            "critical": event.critical,
            "occurredAt": event.occurred_at,
        },
    )
