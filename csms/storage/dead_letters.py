"""The dead letters of the embedded set-up, for the process that runs it and for csms-admin beside it.

The broker in the process stores dead letters here. Whoever wants one replayed, in whichever process, marks its row; the
running process looks for marked rows each second, publishes them and then deletes them. So a replay survives a kill at
any point (it may then happen twice, which the message log undoes), and without a running process it waits for one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from csms.coroutines import spawn
from csms.domain.dead_letters import Death, living_headers, replay_address
from csms.ports import BrokerError, DatabaseError, DeadLetter, Message
from csms.storage.database import SqlDatabase

_log = Logger(namespace="csms.storage")

REPLAY_INTERVAL_S = 1.0
_REPLAYED_AT_ONCE = 100

Publish = Callable[[str, str, Message], Awaitable[None]]
"""Exchange, routing key, message: a broker's publish."""


class StoredDeadLetters:
    """Implements :class:`csms.ports.DeadLetters` over the table ``dead_letters``."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def add(self, letter: DeadLetter) -> None:
        """Keep ``letter``."""
        await self._database.transact(lambda uow: uow.letters.add(letter), name="store dead letter")

    async def browse(self, limit: int) -> Sequence[DeadLetter]:
        return await self._database.read(lambda uow: uow.letters.oldest(limit), name="browse dead letters")

    async def replay(self, ids: Sequence[str], body: bytes | None = None) -> int:
        """Have the running process publish these again; returns how many were found."""
        now = datetime.now(UTC)
        return await self._database.transact(lambda uow: uow.letters.request_replay(ids, now, body), name="replay")

    async def drop(self, ids: Sequence[str]) -> int:
        return await self._database.transact(lambda uow: uow.letters.drop(ids), name="drop dead letters")

    async def to_replay(self, limit: int) -> Sequence[DeadLetter]:
        """The oldest of those that are to be published again."""
        return await self._database.read(lambda uow: uow.letters.to_replay(limit), name="find replays")


class DeadLetterReplay:
    """Publishes marked dead letters where they came from, as long as it is started."""

    def __init__(self, letters: StoredDeadLetters, publish: Publish, *, clock: IReactorTime) -> None:
        self._letters = letters
        self._publish = publish
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock
        self._round: Deferred[Any] | None = None

    def start(self) -> None:
        """Look now, and then each second."""
        self._loop.start(REPLAY_INTERVAL_S)

    async def stop(self) -> None:
        """Look no more; done when a round under way has ended."""
        if self._loop.running:
            self._loop.stop()
        if self._round is not None:
            await self._round

    def _look(self) -> Deferred[Any]:
        self._round = spawn(self._replay(), "dead letter replay")
        return self._round

    async def _replay(self) -> None:
        try:
            for letter in await self._letters.to_replay(_REPLAYED_AT_ONCE):
                await self._send(letter)
                await self._letters.drop([letter.id])
        except (BrokerError, DatabaseError) as error:
            _log.warn("dead letters wait to be replayed: {error}", error=error)

    async def _send(self, letter: DeadLetter) -> None:
        message = letter.message
        death = Death(
            reason=letter.reason,
            queue=letter.queue,
            exchange=letter.exchange,
            routing_key=letter.routing_key,
            died_at=letter.died_at,
        )
        exchange, routing_key = replay_address(death)
        alive = Message(
            body=message.body,
            message_id=message.message_id,
            type=message.type,
            headers=living_headers(message.headers),
            reply_to=message.reply_to,
            correlation_id=message.correlation_id,
            timestamp=message.timestamp,
        )
        await self._publish(exchange, routing_key, alive)
