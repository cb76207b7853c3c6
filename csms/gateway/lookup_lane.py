"""A lane in which lookups wait: many in one query, and few queries at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from csms.coroutines import spawn

MAX_AT_ONCE = 100
"""Ids in one query."""

_log = Logger(namespace="csms.gateway")


class LookupLane:
    """Calls ``look_up`` with the ids that wait, the first first, in at most ``queries`` calls at once.

    ``look_up`` tells whether there was an answer. ``room`` is how many may wait.
    """

    def __init__(self, look_up: Callable[[Sequence[str]], Awaitable[bool]], *, queries: int, room: int) -> None:
        self._look_up = look_up
        self._queries = queries
        self._room = room
        self._waiting: dict[str, Deferred[bool]] = {}
        self._moving = 0

    @property
    def is_full(self) -> bool:
        """Whether nobody else may wait."""
        return len(self._waiting) >= self._room

    async def take(self, device_id: str) -> bool:
        """Look up when it is the id's turn: whether there was an answer. It must not wait already."""
        mine = self._waiting[device_id] = Deferred()
        if self._moving < self._queries:
            spawn(self._move(), "look up chargers")
        return await mine

    async def _move(self) -> None:
        self._moving += 1
        try:
            while self._waiting:
                turn = [(device_id, self._waiting.pop(device_id)) for device_id in list(self._waiting)[:MAX_AT_ONCE]]
                answered = await self._answered([device_id for device_id, _ in turn])
                for _, waiting in turn:
                    waiting.callback(answered)
        finally:
            self._moving -= 1

    async def _answered(self, device_ids: Sequence[str]) -> bool:
        try:
            return await self._look_up(device_ids)
        except Exception:
            _log.failure("chargers cannot be looked up")
            return False
