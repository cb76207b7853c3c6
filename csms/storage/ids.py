"""Ids of new rows of a shard, fetched ahead while many are needed: one round trip less in most transactions.

They are used within a second, so that ids still tell about when a row was written, also where several processes write;
and while few are needed, none is fetched ahead.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

from sqlalchemy import Connection, Table

from csms.storage.bulk import Bulk

AHEAD = 16
"""How many times as many as are needed are fetched, if the last ones were fetched a moment ago ..."""
MOST_AHEAD = 5000
"""... and how many more at most."""
KEPT_S = 1.0


@dataclass(slots=True)
class _Fetched:
    """The ids of a table that nobody has yet, ascending, and when they were fetched."""

    ids: deque[int] = field(default_factory=deque)
    at: float = -KEPT_S
    given: int = 0
    """The greatest that anybody has been given."""

    def give(self, count: int) -> list[int]:
        """``count`` of them, greater than all that were given before; none when there are too few."""
        while self.ids and self.ids[0] <= self.given:
            self.ids.popleft()
        if len(self.ids) < count:
            return []
        taken = [self.ids.popleft() for _ in range(count)]
        self.given = taken[-1]
        return taken


class Ids:
    """Used from many threads. Whoever takes ids twice, one after the other, gets greater ones the second time."""

    def __init__(self, bulk: Bulk) -> None:
        self._bulk = bulk
        self._lock = threading.Lock()
        self._fetched: dict[Table, _Fetched] = {}

    def take(self, connection: Connection, table: Table, count: int, taken: int) -> list[int]:
        """``count`` fresh ids, ascending: see :meth:`csms.storage.bulk.Bulk.ids`."""
        with self._lock:
            fetched = self._fetched.setdefault(table, _Fetched())
            is_busy = time.monotonic() < fetched.at + KEPT_S
            if is_busy and (ids := fetched.give(count)):
                return ids
        # Without the lock: others may fetch meanwhile, and the numbers of both may be mixed.
        more = min((AHEAD - 1) * count, MOST_AHEAD) if is_busy else 0
        ids = self._bulk.ids(connection, table, count + more, taken)
        mine, ahead = ids[:count], ids[count:]
        with self._lock:
            now = self._fetched.setdefault(table, _Fetched())
            now.given = max(now.given, mine[-1])
            # If all were forgotten meanwhile, these may be smaller than what another process was given.
            if now is fetched:
                now.at = time.monotonic()
                if ahead and not (now.ids and now.ids[-1] > ahead[-1]):
                    now.ids = deque(ahead)
        return mine

    def forget(self) -> None:
        """From now on, give out only what is fetched from now on: greater than what any process was given until now."""
        with self._lock:
            self._fetched.clear()
