"""The notifications of the last while, in order, for browsers to follow and to resume from.

Every event has a position: 0, 1, 2 ... since the process started. A browser is a cursor into the ring, so that a
slow one costs no memory, and one that comes back needs only the id of the last event that it saw. An event is read
when the first browser needs it: most gateways see thousands a second, and many have no browser.

Events of one charger come in their order everywhere, those of several may come to each gateway in another one. So the
last event that a browser saw says what it has missed only in the ring where it saw it. In another, all that was told a
little before it is given again.
"""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from twisted.logger import Logger

from csms import metrics
from csms.domain.messages import BadMessage, Notification, NotificationType, decode_notification

SPECIFIC_EVENTS = {
    NotificationType.CHARGING_STARTED: "charging:started",
    NotificationType.CHARGING_STOPPED: "charging:stopped",
    NotificationType.CHARGER_STATUS_CHANGED: "charger:status:changed",
}
"""Notifications that browsers also get under a name of their own."""

OVERLAP_S = 15.0
"""How far gateways' orders may be apart: as late as the stream may be, and workers' clocks differ."""
PIECES = 16
"""Pieces of the ring that are kept for the next browser that stands at the same place."""
_WEIGHT, _WEIGHT_BYTES = 3, 500
"""What an event takes for each byte of its body, and beyond, at most: read, it is there under two names."""

_encode = msgspec.json.Encoder().encode
_log = Logger(namespace="csms.gateway")


def event_texts(notification: Notification) -> list[bytes]:
    """The JSON texts that tell a browser of ``notification``: the generic one, then the specific one, if any."""
    fields = {
        "type": notification.type,
        "chargerId": notification.charger_id,
        "deviceId": notification.device_id,
        "data": notification.data,
        "timestamp": notification.timestamp,
        "id": notification.event_id,
    }
    names = ["notification"]
    if notification.type in SPECIFIC_EVENTS:
        names.append(SPECIFIC_EVENTS[notification.type])
    return [_encode({"event": name, **fields}) for name in names]


class Event:
    """A notification for browsers, read when the first of them needs it, once for all."""

    __slots__ = ("_body", "_device_id", "_to_wire", "_wire", "id", "told_at_s", "type", "weight")

    def __init__(
        self, event_id: str, kind: str, body: bytes, told_at_s: float, to_wire: Callable[[list[bytes]], bytes]
    ) -> None:
        self.id = event_id
        self.type = kind
        self.told_at_s = told_at_s
        self.weight = _WEIGHT * len(body) + _WEIGHT_BYTES
        self._body = body
        self._to_wire = to_wire
        self._device_id: str | None = None
        self._wire = b""

    @property
    def device_id(self) -> str:
        """Whose it is; empty when it cannot be read."""
        self._read()
        return self._device_id or ""

    @property
    def wire(self) -> bytes:
        """What goes to browsers' sockets; nothing when it cannot be read."""
        self._read()
        return self._wire

    def _read(self) -> None:
        if self._device_id is not None:
            return
        self._device_id = ""
        body, self._body = self._body, b""
        notification = _readable(self.id, body)
        if notification is not None:
            self._wire = self._to_wire(event_texts(notification))
            self._device_id = notification.device_id


def _readable(event_id: str, body: bytes) -> Notification | None:
    try:
        return decode_notification(body)
    except BadMessage as error:
        metrics.EVENTS_UNREADABLE.inc()
        _log.warn("an event that cannot be read: {reason}", reason=str(error), event_id=event_id)
        return None


@dataclass(frozen=True, slots=True)
class Filter:
    """What a browser wants to see; None: everything."""

    chargers: frozenset[str] | None = None
    types: frozenset[str] | None = None

    def wants(self, event: Event) -> bool:
        """Whether the event goes to the browser."""
        return (self.types is None or event.type in self.types) and (
            self.chargers is None or event.device_id in self.chargers
        )


class EventRing:
    """The newest events, at most ``kept`` of them and at most ``max_bytes`` of memory.

    ``shared``: what others tell reaches this ring, too, and what was told before it began.
    """

    def __init__(
        self,
        kept: int,
        to_wire: Callable[[list[bytes]], bytes],
        *,
        shared: bool = True,
        max_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self.feed = secrets.token_hex(8)
        """Names this ring, for browsers that come back to it."""
        self._shared = shared
        self.kept = kept
        self._max_bytes = max_bytes
        self._to_wire = to_wire
        self._events: deque[Event] = deque()
        self._positions: dict[int, int] = {}
        """By the hashes of event ids: of the events, and of more that were here before them."""
        self._remembered: deque[int] = deque()
        """Those hashes, the oldest first."""
        self._pieces: dict[tuple[int, int, Filter, int], tuple[bytes, int]] = {}
        self._bytes = 0
        self._listeners: list[Callable[[], None]] = []
        self._watchers: list[tuple[str, Callable[[Notification | None], None]]] = []
        self._gone_to_s = -math.inf
        """When the newest was told of those that were here and are not any more: they are not taken in again."""
        self._filled_since_s = math.inf
        """Whatever was told from then on has come here."""
        self.begin = 0
        """Position of the oldest event."""
        self.end = 0
        """Position that the next event will get."""

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, position: int) -> Event:
        """The event at ``position``: begin <= position < end."""
        return self._events[position - self.begin]

    def piece(self, position: int, end: int, wanted: Filter, most_bytes: int) -> tuple[bytes, int]:
        """What goes to a browser that has had all before ``position``, and the position behind it.

        It is of ``most_bytes`` and one event at most. Most browsers stand at the same place: it is made once for them.
        """
        key = position, end, wanted, most_bytes
        known = self._pieces.get(key)
        if known is None:
            if len(self._pieces) >= PIECES:
                self._pieces.clear()
            known = self._pieces[key] = self._made_piece(position, end, wanted, most_bytes)
        return known

    def _made_piece(self, position: int, end: int, wanted: Filter, most_bytes: int) -> tuple[bytes, int]:
        wires, size = [], 0
        while position < end and size < most_bytes:
            event = self[position]
            position += 1
            if wanted.wants(event):
                wires.append(event.wire)
                size += len(event.wire)
        return b"".join(wires), position

    def position(self, event_id: str) -> int | None:
        """Where the event stands; None when it was never here or is gone."""
        position = self._positions.get(hash(event_id), -1)
        return position if self.begin <= position < self.end else None

    def resume_at(self, event_id: str, feed: str) -> int | None:
        """Where a browser goes on that saw ``event_id`` last, in the ring that is named ``feed``.

        None when it may have missed events that are not here.
        """
        position = self.position(event_id)
        if position is None:
            return None
        if feed == self.feed:
            return position + 1
        since_s = self[position].told_at_s - OVERLAP_S
        if not self._shared or since_s <= max(self._filled_since_s, self._gone_to_s):
            return None
        return next(place for place in range(self.begin, self.end) if self[place].told_at_s >= since_s)

    def has_had(self, event_id: str) -> bool:
        """Whether the event was here lately, as far as is remembered."""
        return hash(event_id) in self._positions

    def reaches_back_to(self, since_s: float) -> None:
        """The ring is about to be filled with all that was told since then (Unix time)."""
        self._filled_since_s = since_s

    def append(self, event_id: str, kind: str, body: bytes, told_at_s: float) -> bool:
        """Add the newest event, a notification's ``body``, published at ``told_at_s``, and tell the listeners.

        False when it was here before: brokers deliver twice.
        """
        if self.has_had(event_id):
            return False
        self._remember(hash(event_id))
        self.pass_by(event_id, kind, body)
        event = Event(event_id, kind, body, told_at_s, self._to_wire)
        self._events.append(event)
        self._bytes += event.weight
        self.end += 1
        while len(self._events) > self.kept or (self._bytes > self._max_bytes and len(self._events) > 1):
            self._drop_oldest()
        self._tell()
        return True

    def pass_by(self, event_id: str, kind: str, body: bytes) -> None:
        """Tell the watchers of a notification, and keep nothing of it."""
        for watched, watcher in self._watchers:
            if kind == watched:
                watcher(_readable(event_id, body))

    def break_off(self, now_s: float) -> None:
        """Forget all events because some were missed: whoever stands anywhere in the ring finds it moved on."""
        self._gone_to_s = max([self._gone_to_s, *(event.told_at_s for event in self._events)])
        self._events.clear()
        self._filled_since_s = now_s
        self._bytes = 0
        self.end += 1
        self.begin = self.end
        self._tell()
        self.gap_passes_by()

    def gap_passes_by(self) -> None:
        """Tell the watchers that some may have been missed."""
        for _, watcher in self._watchers:
            watcher(None)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every change."""
        self._listeners.append(listener)

    def watch(self, kind: str, watcher: Callable[[Notification | None], None]) -> None:
        """Call ``watcher`` with every new notification of ``kind``, and with None when some may have been missed."""
        self._watchers.append((kind, watcher))

    def _remember(self, hashed: int) -> None:
        # Longer than the events themselves: after a lost connection the stream repeats the last minute.
        self._positions[hashed] = self.end
        self._remembered.append(hashed)
        if len(self._remembered) > 4 * self.kept:
            del self._positions[self._remembered.popleft()]

    def _drop_oldest(self) -> None:
        oldest = self._events.popleft()
        self._bytes -= oldest.weight
        self._gone_to_s = max(self._gone_to_s, oldest.told_at_s)
        self.begin += 1

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
