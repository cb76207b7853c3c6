"""Dead letters of the embedded set-up: kept, browsed, dropped, and replayed by whoever runs the broker."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from csms.domain.dead_letters import death_headers, death_of
from csms.domain.topology import DEFAULT_EXCHANGE, NOTIFICATIONS, OCPP_EXCHANGE
from csms.ports import DeadLetter, Message, PublishTimeout
from csms.storage import DeadLetterReplay, StoredDeadLetters
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase


def a_letter(
    number: int = 1, queue: str = "ocpp_messages.3", routing_key: str = "ocpp.message.Heartbeat"
) -> DeadLetter:
    """A dead letter as a worker publishes it."""
    headers = death_headers(reason="it was odd", queue=queue, routing_key=routing_key, died_at=NOW)
    message = Message(
        body=b"\x00\xff body",
        message_id=f"message-{number}",
        type="Heartbeat",
        headers={"shard": 3, **headers},
        reply_to="gateway.one",
        correlation_id="c",
        timestamp=NOW,
    )
    death = death_of(message.headers)
    return DeadLetter(
        id=message.message_id,
        message=message,
        exchange=death.exchange,
        routing_key=death.routing_key,
        queue=death.queue,
        reason=death.reason,
        died_at=death.died_at,
    )


class DeadLettersContract(DatabaseCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.letters = StoredDeadLetters(self.database)
        self.clock = Clock()
        self.published: list[tuple[str, str, Message]] = []
        self.replay = DeadLetterReplay(self.letters, self.publish, clock=self.clock)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.replay.stop()))
        self.failure: Exception | None = None

    async def publish(self, exchange: str, routing_key: str, message: Message) -> None:
        if self.failure is not None:
            raise self.failure
        self.published.append((exchange, routing_key, message))

    async def ids(self) -> list[str]:
        return [letter.id for letter in await self.letters.browse(10)]

    async def round(self) -> None:
        """Let the replay look once, and wait until it has."""
        self.clock.advance(1.0)
        if self.replay._round is not None:
            await self.replay._round

    async def test_a_letter_comes_back_as_it_was_under_an_id_of_its_own(self) -> None:
        letters = [a_letter(number) for number in (1, 2, 3)]
        for letter in letters:
            await self.letters.add(letter)
        found = await self.letters.browse(2)
        self.assertEqual([replace(one, id=one.message.message_id) for one in found], letters[:2])
        self.assertEqual(len(set(await self.ids())), 3)

    async def test_dropped_letters_are_gone(self) -> None:
        for number in (1, 2):
            await self.letters.add(a_letter(number))
        first, second = await self.ids()
        self.assertEqual(await self.letters.drop([first, "4711", "no number", "9" * 30, "²"]), 1)
        self.assertEqual(await self.letters.drop([]), 0)
        self.assertEqual(await self.ids(), [second])

    async def test_a_replay_that_another_process_asks_for_is_published_by_the_running_one(self) -> None:
        for number, queue in ((1, "ocpp_messages.3"), (2, NOTIFICATIONS), (3, NOTIFICATIONS)):
            await self.letters.add(a_letter(number, queue))
        self.replay.start()
        await self.round()
        self.assertEqual(self.published, [])
        other = StoredDeadLetters(await self.opened())
        first, second, third = await self.ids()
        self.assertEqual(await other.replay([second, first, "4711"]), 2)
        self.assertEqual(await self.ids(), [third])
        await self.round()
        addresses = [(exchange, key) for exchange, key, _ in self.published]
        expected = [(OCPP_EXCHANGE, "ocpp.message.Heartbeat"), (DEFAULT_EXCHANGE, NOTIFICATIONS)]
        self.assertEqual(addresses, expected)
        message = self.published[0][2]
        self.assertEqual((message.message_id, dict(message.headers)), ("message-1", {"shard": 3}))
        self.assertEqual(message.body, a_letter().message.body)
        await self.round()
        self.assertEqual(len(self.published), 2)
        self.assertEqual(await self.ids(), [third])

    async def test_a_replay_that_fails_is_tried_again(self) -> None:
        await self.letters.add(a_letter())
        self.failure = PublishTimeout("no confirm")
        self.replay.start()
        await self.letters.replay(await self.ids())
        await self.round()
        self.failure = None
        await self.round()
        self.assertEqual(len(self.published), 1)
        await self.round()
        self.assertEqual(len(self.published), 1)

    async def test_nothing_is_published_after_a_stop(self) -> None:
        await self.letters.add(a_letter())
        self.replay.start()
        await self.replay.stop()
        await self.letters.replay(await self.ids())
        self.clock.advance(5.0)
        self.assertEqual((self.published, self.clock.getDelayedCalls()), ([], []))


class SqliteDeadLetters(DeadLettersContract, SqliteCase):
    pass


class PostgresqlDeadLetters(DeadLettersContract, PostgresqlCase):
    pass


del DeadLettersContract, DatabaseCase, PostgresqlCase, SqliteCase
