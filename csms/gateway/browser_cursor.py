"""Where one browser stands in the event ring: what it gets next, what it missed, whether it lags. Pure."""

from __future__ import annotations

from csms.gateway.events import EventRing, Filter


class RingMovedOn(Exception):  # noqa: N818 - it names what happened
    """Events that the browser has not got are gone: it must load the state anew."""


class BrowserCursor:
    """A place in ``ring``, for a browser that connects now.

    It is held at first and gives nothing, so that a browser can resume before it gets what is new. ``lag_bytes`` is
    how much may wait for the browser before it counts as lagging.
    """

    def __init__(self, ring: EventRing, lag_bytes: int) -> None:
        self._ring = ring
        self._lag_bytes = lag_bytes
        self._held = True
        self._start = self._next = ring.end
        self._skip = range(0)
        self._lagging = False
        self._waiting_bytes = 0
        self._weighed_to = 0
        self.filter = Filter()

    def release(self) -> None:
        """Give what there is from now on."""
        self._held = False

    def resume(self, event_id: str, feed: str = "") -> int | None:
        """Go back to what came after ``event_id``, without what this connection has had already.

        ``feed`` names the ring in which that was seen. In another one, some that came before it come, too. Returns how
        many events that brings, None when the id is not known (any more).
        """
        self._held = False
        start = self._ring.resume_at(event_id, feed)
        if start is None:
            return None
        if start < self._start:
            if self._next < self._skip.stop:  # still busy with an earlier resume, of which this one knows nothing
                return None
            self._skip = range(self._start, self._next)
            self._start = self._next = start
        return sum(self._is_due(missed) for missed in range(max(self._next, self._ring.begin), self._ring.end))

    def take(self, most_bytes: int) -> bytes:
        """The next piece for the browser, of ``most_bytes`` and an event at most; empty when nothing in it is for it.

        Ask again while :attr:`has_more`. Raises :class:`RingMovedOn` (once, then goes on with what is new).
        """
        if self._held:
            return b""
        if self._next < self._ring.begin:
            self._start = self._next = self._ring.end
            self._skip = range(0)
            self._lagging = False
            raise RingMovedOn
        if self._next in self._skip:
            self._next = self._skip.stop
        end = self._skip.start if self._next < self._skip.start else self._ring.end
        wire, self._next = self._ring.piece(self._next, end, self.filter, most_bytes)
        if not self.has_more:
            self._lagging = False
        return wire

    @property
    def has_more(self) -> bool:
        """Whether there is more to :meth:`take`."""
        return self._next < self._ring.end and not self._held

    def falls_behind(self) -> bool:
        """To be asked after new events while the browser takes none: true once, when too much waits for it."""
        if self._lagging:
            return False
        if self._weighed_to <= self._next:
            self._weighed_to, self._waiting_bytes = self._next, 0
        for position in range(max(self._weighed_to, self._ring.begin), self._ring.end):
            if self._is_due(position):
                self._waiting_bytes += len(self._ring[position].wire)
        self._weighed_to = self._ring.end
        self._lagging = self._waiting_bytes > self._lag_bytes
        return self._lagging

    def _is_due(self, position: int) -> bool:
        return position not in self._skip and self.filter.wants(self._ring[position])
