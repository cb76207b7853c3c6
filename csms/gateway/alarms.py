"""Tells the operator of what looks like an attack on a charger's identity: in the log, and as a security event."""

from __future__ import annotations

from twisted.logger import Logger

from csms import metrics
from csms.coroutines import spawn
from csms.domain.identifiers import new_id
from csms.domain.messages import Notification, NotificationType
from csms.domain.repositories import UnitOfWork
from csms.gateway.clock import Clock, utc
from csms.ports import Database, DatabaseError

MAX_WAITING = 32
"""Events that may wait for the database; more are in the log only."""

_log = Logger(namespace="csms.gateway")


class Alarms:
    """Security events of the gateway's own; those of chargers come as their messages."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting = 0

    def tell(self, charger_id: int, device_id: str, event: str, info: str) -> None:
        """Tell of ``event``, which concerns this charger. Returns at once and never fails."""
        metrics.SECURITY_ALARMS.labels(event).inc()
        _log.warn("{event} of {charger}: {info}", event=event, charger=device_id, info=info)
        if self._waiting < MAX_WAITING:
            now = utc(self._clock)
            notification = Notification(
                type=NotificationType.SECURITY_EVENT,
                charger_id=charger_id,
                device_id=device_id,
                timestamp=now,
                event_id=new_id(int(now.timestamp() * 1000)),
                data={"event": event, "info": info, "occurredAt": now},
            )
            spawn(self._store(notification), "security event")

    async def _store(self, notification: Notification) -> None:
        def work(uow: UnitOfWork) -> None:
            uow.outbox.add([notification])

        self._waiting += 1
        try:
            await self._database.transact(work, name="security event")
        except DatabaseError as error:
            _log.warn("a security event is in the log only: {error}", error=str(error))
        finally:
            self._waiting -= 1
