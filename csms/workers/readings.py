"""Readings that follow another one of their charger closely are held for a moment, so that the newest stands for all.

A notification costs the broker and its consumers as much as the message that caused it. So the readings of a charger
are told about once a second: the first at once, then the newest of each session, or of each connector without one
(:mod:`csms.domain.condensing`). If their session ends meanwhile, its ``charging.stopped`` stands for them. Whatever
else the charger has to tell is told at once, behind those that were held when it came, and so is a reading that has a
value which the next one lacks.

The rows of held readings are in the outbox, where they are found if nobody publishes them. So are those for which
others stand, until they are removed: who reads the outbox leaves them out (:func:`covered`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from csms.domain.condensing import Latest, Place, condensed, is_reading, place_of
from csms.domain.messages import Notification, NotificationType, decode_notification
from csms.domain.repositories import OutboxRow
from csms.domain.topology import notification_type

HELD_S = 1.0
_COVERING = (NotificationType.METER_VALUES_UPDATED, NotificationType.CHARGING_STOPPED)
_TOGETHER_S = 0.05
"""Readings whose time comes within this are published together."""


class _Lane:
    """A charger of which a reading was told less than ``HELD_S`` ago, and those since, in their order."""

    __slots__ = ("held", "shard", "told_at_s")

    def __init__(self, shard: int, told_at_s: float) -> None:
        self.shard = shard
        self.told_at_s = told_at_s
        self.held: dict[Place, tuple[OutboxRow, Latest]] = {}

    def release(self) -> list[OutboxRow]:
        rows = [row for row, _ in self.held.values()]
        self.held.clear()
        return rows


class HeldReadings:
    """Decides which rows of shards are published now.

    ``publish(rows, shard)`` is called when the time of held rows has come, ``drop(ids)`` with the ids of those
    for which others stand.
    """

    def __init__(
        self,
        clock: IReactorTime,
        *,
        publish: Callable[[Sequence[OutboxRow], int], None],
        drop: Callable[[Sequence[int]], None],
    ) -> None:
        self._clock = clock
        self._publish = publish
        self._drop = drop
        self._lanes: OrderedDict[int, _Lane] = OrderedDict()
        """By charger, in the order in which their readings were told last."""
        self._timer: IDelayedCall | None = None
        self._closed = False

    def pass_on(self, rows: Sequence[OutboxRow], shard: int) -> list[OutboxRow]:
        """What of ``rows``, and of the rows held before, is to be published now, in this order."""
        if self._closed:
            return list(rows)
        now_s = self._clock.seconds()
        self._release(now_s - HELD_S)
        due: list[OutboxRow] = []
        dropped: list[int] = []
        for row in rows:
            one = row.notification
            if one is None:
                due.append(row)
                continue
            lane = self._lanes.get(one.charger_id)
            if lane is not None:
                if self._stays(lane, row, one, due, dropped):
                    continue
                if lane.held:
                    due += lane.release()
                    lane.told_at_s = now_s
                    self._lanes.move_to_end(one.charger_id)
            elif is_reading(one):
                self._lanes[one.charger_id] = _Lane(shard, now_s)
            due.append(row)
        if dropped:
            self._drop(dropped)
        self._wait()
        return due

    def forget(self, shard: int) -> None:
        """Somebody publishes from the outbox what the shard has there."""
        for lane in self._lanes.values():
            if lane.shard == shard:
                lane.held.clear()

    def close(self) -> None:
        """Publish all that is held, and hold no more."""
        self._closed = True
        self._release(self._clock.seconds())
        self._lanes.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- inside

    @staticmethod
    def _stays(lane: _Lane, row: OutboxRow, one: Notification, due: list[OutboxRow], dropped: list[int]) -> bool:
        """Whether the row is held; those for which it stands are not any more."""
        place = place_of(one)
        before: Latest | None = None
        if place in lane.held:
            held, before = lane.held[place]
            if before.gives_way_to(one):
                dropped.append(held.id)
                del lane.held[place]
            else:
                before = None
        if not is_reading(one):
            return False
        if place in lane.held:
            due += lane.release()
        lane.held[place] = row, Latest.following(before, one)
        return True

    def _release(self, told_until_s: float) -> None:
        """Publish what is held of chargers whose readings were told last until then; they are told now."""
        now_s = self._clock.seconds()
        rows: dict[int, list[OutboxRow]] = {}
        for charger_id, lane in list(takewhile(lambda item: item[1].told_at_s <= told_until_s, self._lanes.items())):
            if lane.held:
                rows.setdefault(lane.shard, []).extend(lane.release())
                lane.told_at_s = now_s
                self._lanes.move_to_end(charger_id)
            else:
                del self._lanes[charger_id]
        for shard, due in rows.items():
            self._publish(due, shard)

    def _wait(self) -> None:
        if self._timer is None and self._lanes and not self._closed:
            oldest = next(iter(self._lanes.values()))
            due_in_s = oldest.told_at_s + HELD_S - self._clock.seconds()
            self._timer = self._clock.callLater(max(_TOGETHER_S, due_in_s), self._look)

    def _look(self) -> None:
        self._timer = None
        try:
            self._release(self._clock.seconds() - HELD_S)
        finally:
            self._wait()


def covered(rows: Iterable[OutboxRow]) -> set[int]:
    """The ids of readings for which another one of ``rows``, which are in their order, stands."""
    told = {row.id: decode_notification(row.body) for row in rows if notification_type(row.routing_key) in _COVERING}
    kept = {one.event_id for one in condensed(told.values(), ends=True)}
    return {row_id for row_id, one in told.items() if one.event_id not in kept}
