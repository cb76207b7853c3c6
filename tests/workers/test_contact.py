"""Whether the database answers: told by what is asked of it, on a clock that stands still."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms.coroutines import spawn
from csms.ports import Database, DatabaseUnavailable, Fenced, LastingConflict
from csms.workers.contact import ASK_TICKS, LOST_TICKS, TICK_S, Contact
from tests.workers.scripted import SilentDatabase


class ContactTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.database = SilentDatabase()
        self.contact = Contact(cast(Database, self.database), self.clock)
        self.losses = 0
        self.contact.on_loss(self.count)
        self.successResultOf(spawn(self.contact.start(), "start"))

    def tearDown(self) -> None:
        self.successResultOf(spawn(self.contact.stop(), "stop"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def count(self) -> None:
        self.losses += 1

    def write(self) -> Deferred[Any]:
        """Ask for a transaction; what the database answers it by."""
        Deferred.fromCoroutine(self.contact.transact(lambda uow: None, name="work")).addErrback(lambda _: None)
        return self.database.writing[-1]

    def ticks(self, count: int) -> None:
        self.clock.pump([TICK_S] * count)

    def test_who_asks_nothing_loses_nothing(self) -> None:
        self.ticks(10 * LOST_TICKS)
        self.assertEqual((self.losses, self.database.reading), (0, []))

    def test_no_answer_at_all_is_a_loss_and_any_answer_its_end(self) -> None:
        answer = self.write()
        self.ticks(LOST_TICKS - 1)
        self.assertFalse(self.contact.lost)
        self.ticks(1)
        self.assertTrue(self.contact.lost)
        back = spawn(self.contact.when_back(), "wait")
        self.ticks(LOST_TICKS)
        self.assertNoResult(back)
        self.assertEqual(self.losses, 1)
        answer.callback(None)
        self.successResultOf(back)
        self.assertFalse(self.contact.lost)

    def test_failures_alone_are_a_loss_and_it_is_asked_until_it_answers(self) -> None:
        self.write().errback(DatabaseUnavailable("refused"))
        self.ticks(ASK_TICKS)
        for _ in range(LOST_TICKS):
            self.database.reading[-1].errback(DatabaseUnavailable("refused"))
            self.ticks(1)
        self.assertTrue(self.contact.lost)
        self.database.reading[-1].callback(None)
        self.assertFalse(self.contact.lost)

    def test_what_waits_for_a_lock_is_no_loss(self) -> None:
        self.write()
        for _ in range(3 * LOST_TICKS):
            self.ticks(1)
            for question in self.database.reading:
                if not question.called:
                    question.callback(None)
        self.assertEqual(self.losses, 0)
        self.assertGreater(len(self.database.reading), 1)

    def test_one_question_at_a_time(self) -> None:
        self.write()
        self.ticks(5 * LOST_TICKS)
        self.assertEqual(len(self.database.reading), 1)

    def test_a_refusal_is_an_answer(self) -> None:
        for error in (Fenced("gone"), LastingConflict("again and again"), ZeroDivisionError()):
            self.write()
            self.ticks(LOST_TICKS - 1)
            self.write().errback(error)
            self.ticks(LOST_TICKS - 1)
            self.assertFalse(self.contact.lost)
            for answer in self.database.writing + self.database.reading:
                if not answer.called:
                    answer.callback(None)

    def test_a_process_that_was_stopped_does_not_count_the_time(self) -> None:
        answer = self.write()
        self.clock.advance(100 * LOST_TICKS * TICK_S)
        self.assertFalse(self.contact.lost)
        answer.callback(None)

    def test_what_is_given_up_is_no_answer(self) -> None:
        giving_up = Deferred.fromCoroutine(self.contact.transact(lambda uow: None, name="work"))
        giving_up.addErrback(lambda _: None)
        self.contact.on_loss(giving_up.cancel)
        self.ticks(LOST_TICKS)
        self.assertTrue(self.contact.lost)
        self.assertEqual(self.contact._under_way, 1, "the question")
