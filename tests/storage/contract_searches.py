"""What is looked for by people, and answers kept for repeated requests, for each kind of database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from csms.domain.model import SessionState
from csms.domain.repositories_kept_answers import KeptAnswer
from csms.domain.repositories_searches import MessageSearch, SampleSearch, SessionSearch
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import (
    NOW,
    DatabaseCase,
    PostgresqlCase,
    SqliteCase,
    a_message,
    a_sample,
    a_session,
    an_entry,
)

MINUTE = timedelta(minutes=1)


class SearchContract(DatabaseCase):
    async def test_sessions_are_found_by_each_of_their_marks(self) -> None:
        one, other = await self.a_charger("CP-1"), await self.a_charger("CP-2")

        def add(uow: SqlUnitOfWork) -> list[int]:
            first = uow.sessions.add(a_session(one, 1, id_token="Ann", started_at=NOW))
            second = uow.sessions.add(a_session(other, 2, state=SessionState.ENDED, started_at=NOW + MINUTE))
            return [first.id, second.id]

        first, second = await self.write(add)
        for wanted, found in (
            ({}, [second, first]),
            ({"active": True}, [first]),
            ({"active": False}, [second]),
            ({"state": SessionState.ENDED}, [second]),
            ({"charger_id": other}, [second]),
            ({"device_id": "CP-1"}, [first]),
            ({"device_id": "CP-3"}, []),
            ({"id_token": "ANN"}, [first]),
            ({"since": NOW + MINUTE}, [second]),
            ({"until": NOW + MINUTE}, [first]),
        ):
            self.assertEqual(await self.look(self.sessions, wanted), found, wanted)
        self.assertEqual(await self.look(self.sessions, {}, second), [first])

    async def test_samples_continue_behind_any_of_them(self) -> None:
        charger = await self.a_charger()

        def add(uow: SqlUnitOfWork) -> None:
            uow.sessions.add_samples(
                a_sample(charger, second, phase=phase) for second in range(3) for phase in ("L1", "L2", "L3")
            )

        await self.write(add)

        def walk(uow: SqlUnitOfWork) -> list[Any]:
            found: list[Any] = []
            after = None
            while page := uow.search.samples(SampleSearch(charger_id=charger), after=after, limit=2):
                found += [(one.sample.sampled_at, one.sample.phase) for one in page]
                after = (page[-1].sample.sampled_at, page[-1].series_key)
            return found

        found = await self.look(walk)
        self.assertEqual(len(set(found)), 9)
        self.assertEqual([at for at, _ in found], sorted(at for at, _ in found))

    async def test_messages_continue_before_any_of_them(self) -> None:
        charger = await self.a_charger()
        messages = [a_message(charger, number) for number in range(5)]
        await self.write(lambda uow: uow.log.append(an_entry(message) for message in messages))

        def walk(uow: SqlUnitOfWork) -> list[str]:
            found: list[str] = []
            before = None
            search = MessageSearch(charger_id=charger, action="Heartbeat", failed=False)
            while page := uow.search.messages(search, before=before, limit=2):
                found += [entry.message_id for entry in page]
                before = (page[-1].received_at, page[-1].message_id)
            return found

        found = await self.look(walk)
        self.assertEqual(sorted(found), sorted(message.message_id for message in messages))
        self.assertEqual(len(found), 5)

    def sessions(self, uow: SqlUnitOfWork, wanted: dict[str, Any], before: int = 0) -> list[int]:
        return [session.id for session in uow.search.sessions(SessionSearch(**wanted), before_id=before, limit=9)]


class KeptAnswerContract(DatabaseCase):
    async def test_of_many_that_begin_at_once_one_is_the_first(self) -> None:
        mine = KeptAnswer(request_hash="r", created_at=NOW)
        found = await self.race(lambda uow, _: uow.kept_answers.begin("k", mine))
        self.assertEqual(found.count(None), 1)
        self.assertEqual({one.status for one in found if one is not None}, {0})

    async def test_what_was_answered_is_kept_until_it_is_forgotten(self) -> None:
        mine = KeptAnswer(request_hash="r", created_at=NOW)
        done = KeptAnswer(request_hash="r", created_at=NOW, status=201, headers={"ETag": '"1"'}, body=b"\x00{}")
        await self.write(lambda uow: uow.kept_answers.begin("k", mine))
        await self.write(lambda uow: uow.kept_answers.finish("k", done))
        self.assertEqual(await self.write(lambda uow: uow.kept_answers.begin("k", mine)), done)
        await self.write(lambda uow: uow.kept_answers.forget("k"))
        self.assertIsNone(await self.write(lambda uow: uow.kept_answers.begin("k", mine)))


class SqliteSearchTest(SearchContract, SqliteCase):
    pass


class PostgresqlSearchTest(SearchContract, PostgresqlCase):
    pass


class SqliteKeptAnswerTest(KeptAnswerContract, SqliteCase):
    pass


class PostgresqlKeptAnswerTest(KeptAnswerContract, PostgresqlCase):
    pass


del SearchContract, KeptAnswerContract, DatabaseCase, SqliteCase, PostgresqlCase
