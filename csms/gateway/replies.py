"""Workers' decisions find the CALL that waits for them.

::

    expect() --> waiting --+--> take()       the decision came
                           +--> forget()     the connection went, or nobody can decide any more
                           +--> expire()     the deadline passed: the charger gets no answer

All wait equally long, so the order of ``expect`` is that of the deadlines. Bounded: a connection has one CALL waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.logger import Logger

from csms import metrics
from csms.domain.messages import Reply
from csms.logs import TRAIL

_log = Logger(namespace="csms.gateway")

OnReply = Callable[[Reply | None], None]
"""Called once, with the decision or with None when it came too late."""


class Replies:
    """The CALLs of all local chargers whose answer a worker decides, by message id."""

    __slots__ = ("_deadline_s", "_waiting")

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._waiting: dict[str, tuple[str, float, OnReply]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, message_id: str, connection_id: str, now: float, on_reply: OnReply) -> None:
        """Wait for the decision about a message of a connection."""
        self._waiting[message_id] = (connection_id, now + self._deadline_s, on_reply)

    def forget(self, message_id: str) -> bool:
        """Wait no more; whether the decision was still awaited."""
        return self._waiting.pop(message_id, None) is not None

    def take(self, reply: Reply) -> None:
        """A decision came: hand it to the one who waits, or drop and count it."""
        waiting = self._waiting.get(reply.message_id)
        if waiting is None:
            metrics.REPLIES_DROPPED.labels("late").inc()
            return
        connection_id, _, on_reply = waiting
        if connection_id != reply.connection_id:
            metrics.REPLIES_DROPPED.labels("other_connection").inc()
            return
        del self._waiting[reply.message_id]
        if TRAIL.on:
            _log.debug(
                "the decision about {message_id} is here",
                message_id=reply.message_id,
                connection_id=reply.connection_id,
            )
        on_reply(reply)

    def expire(self, now: float) -> None:
        """Give up those whose deadline has passed."""
        for message_id in list(self._overdue(now)):
            waiting = self._waiting.pop(message_id, None)
            if waiting is not None:
                waiting[2](None)

    def _overdue(self, now: float) -> Iterator[str]:
        for message_id, (_, deadline, _) in self._waiting.items():
            if deadline > now:
                return
            yield message_id
