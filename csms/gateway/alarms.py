"""Tells the operator of what looks like an attack on a charger's identity: in the log, and as a security event.

The event is kept beside those that chargers tell themselves, and goes to browsers and webhooks like them.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from csms.walltime import utc

MAX_WAITING = 32
"""Events that may wait for the database; more are in the log only."""

_log = Logger(namespace="csms.gateway")


class Alarms:
    """Security events of the gateway's own; those of chargers come as their messages."""

    def __init__(self, database: Database, clock: Clock, publish: Publish) -> None:
        self._database = database
        self._publish = publish
        self._clock = clock
        self._waiting = 0

    def tell(self, charger_id: int, device_id: str, event: str, info: str) -> None:
        """Tell of ``event``, which concerns this charger. Returns at once and never fails."""
        metrics.SECURITY_ALARMS.labels(event).inc()
        _log.warn("{event} of {charger}: {info}", event=event, charger=device_id, info=info)
        if self._waiting < MAX_WAITING:
            now = utc(self._clock)
            kept = SecurityEvent(
                charger_id=charger_id,
                message_id=new_id(int(now.timestamp() * 1000)),
                type=event,
                tech_info=info,
                critical=True,
                occurred_at=now,
                received_at=now,
            )
            spawn(self._store(device_id, kept), "security event")

    async def _store(self, device_id: str, event: SecurityEvent) -> None:
        notification = Notification(
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

        def work(uow: UnitOfWork) -> Sequence[OutboxRow]:
            uow.devices.security_events.append(event)
            return uow.outbox.add([notification])

        self._waiting += 1
        try:
            self._publish(await self._database.transact(work, name="security event"))
        except DatabaseError as error:
            _log.warn("a security event is in the log only: {error}", error=str(error))
        finally:
            self._waiting -= 1
