"""Notifications for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from csms.domain.messages import Notification, NotificationType, encode_notification
from csms.gateway.events import EventRing
from csms.ports import Message

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def note(
    number: int, kind: str = NotificationType.METER_VALUES_UPDATED, device_id: str = "CP-1", **data: Any
) -> Notification:
    """The notification with the id ``event-<number>``."""
    return Notification(
        type=kind, charger_id=7, device_id=device_id, timestamp=NOON, event_id=f"event-{number}", data=data
    )


def message(notification: Notification) -> Message:
    """The same as it comes from the broker."""
    return Message(body=encode_notification(notification), message_id=notification.event_id)


def tell(ring: EventRing, notification: Notification, told_at_s: float = NOON.timestamp()) -> bool:
    """Add the notification to the ring."""
    return ring.append(notification.event_id, notification.type, encode_notification(notification), told_at_s)
