"""Readings that follow each other closely are told once.

A ``meter.values.updated`` says how far a session or a meter is, and the newest says that for those before. A charger
that was offline sends its readings all at once, some measure several times a second; every reading is stored, but
nobody needs to be told of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from csms.domain.messages import Notification, NotificationType

TOLD_ONCE = timedelta(minutes=5)
"""Readings of at most so long are told once: of what happened in which hour, somebody may keep an account."""

Place = tuple[int, Any, Any, Any]
"""What is measured: charger, session, EVSE and connector."""

_AT_THE_END = {"registerWh": "meterStopWh", "sampledAt": "stoppedAt"}
"""What a field of a reading is called when its session ends."""


def is_reading(notification: Notification) -> bool:
    """Whether a later one may say the same with newer values."""
    return notification.type == NotificationType.METER_VALUES_UPDATED


def place_of(notification: Notification) -> Place:
    """Where readings stand for one another."""
    data = notification.data
    return notification.charger_id, data.get("sessionId"), data.get("evseId"), data.get("connectorId")


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest reading of a place, and the time of the first that it stands for."""

    reading: Notification
    since: datetime

    @classmethod
    def following(cls, before: Latest | None, reading: Notification) -> Latest:
        """``reading`` as the latest, in the place of ``before`` if there is one that gives way."""
        return cls(reading, _moment(reading.data["sampledAt"]) if before is None else before.since)

    def gives_way_to(self, newer: Notification) -> bool:
        """Whether ``newer``, of the same place, says all that this reading says: a reading, or its session's end."""
        old, new = self.reading.data, newer.data
        if is_reading(newer):
            return self._is_close_to(new["sampledAt"]) and old.keys() <= new.keys()
        if newer.type != NotificationType.CHARGING_STOPPED or "sessionId" not in old or "stoppedAt" not in new:
            return False
        return self._is_close_to(new["stoppedAt"]) and all(_AT_THE_END.get(name, name) in new for name in old)

    def _is_close_to(self, moment: datetime | str) -> bool:
        return _moment(self.reading.data["sampledAt"]) <= _moment(moment) <= self.since + TOLD_ONCE


def condensed(notifications: Iterable[Notification], *, ends: bool = False) -> list[Notification]:
    """The notifications, in order, without the readings that a later one among them repeats with newer values.

    ``ends``: the end of a session stands for its last reading, too.
    """
    kept: dict[int, Notification] = {}
    latest: dict[Place, tuple[int, Latest]] = {}
    for number, one in enumerate(notifications):
        kept[number] = one
        if not (is_reading(one) or (ends and one.type == NotificationType.CHARGING_STOPPED)):
            continue
        place, before = place_of(one), None
        if place in latest:
            told, before = latest.pop(place)
            if before.gives_way_to(one):
                del kept[told]
            else:
                before = None
        if is_reading(one):
            latest[place] = number, Latest.following(before, one)
    return list(kept.values())


def _moment(value: datetime | str) -> datetime:
    """A time of a notification, which is text when it was read from its body."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
