"""Readings that follow each other closely are told once, when they are handled together.

A ``meter.values.updated`` says how far a session or a meter is, and the newest says that for those before. A charger
that was offline sends its readings all at once; every one of them is stored, but nobody needs to be told of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from csms.domain.messages import Notification, NotificationType

TOLD_ONCE = timedelta(minutes=5)
"""Readings of at most so long are told once: of what happened in which hour, somebody may keep an account."""


def condensed(notifications: Iterable[Notification]) -> list[Notification]:
    """The notifications, in order, without the readings that a later one among them repeats with newer values."""
    kept: dict[int, Notification] = {}
    newest: dict[tuple[object, ...], tuple[int, datetime]] = {}
    """For a place: the last reading there, and the time of the first that it stands for."""
    for number, one in enumerate(notifications):
        kept[number] = one
        if one.type != NotificationType.METER_VALUES_UPDATED:
            continue
        data = one.data
        at = data["sampledAt"]
        place = (one.charger_id, data.get("sessionId"), data.get("evseId"), data.get("connectorId"))
        before, since = newest.get(place, (number, at))
        if before != number:
            replaced = kept[before].data
            if replaced["sampledAt"] <= at <= since + TOLD_ONCE and replaced.keys() <= data.keys():
                del kept[before]
            else:
                since = at
        newest[place] = (number, since)
    return list(kept.values())
