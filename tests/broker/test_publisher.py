"""The map of what is not confirmed: order, window, bounds, deadlines; on a clock and a channel of the test's."""

from __future__ import annotations

import gc
import weakref
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms.broker import publisher as module
from csms.broker.publisher import Publisher
from csms.broker.wire import Channel
from csms.ports import BrokerError, Message, PublishTimeout, Unroutable


class Paper:
    """A channel that writes down what is published."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def publish(self, exchange: str, routing_key: str, message: Message, *, mandatory: bool) -> None:
        """Write it down."""
        if len(routing_key) > 255:
            raise ValueError("too long")
        self.sent.append(message.message_id)


class Watched(str):
    """A routing key that can be asked whether anybody still has it."""


class PublisherKeeps(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.stalls = 0
        self.publisher = Publisher(self.clock, self.stalled)

    def stalled(self, reason: str) -> None:
        self.stalls += 1
        self.publisher.detach()

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def attach(self) -> Paper:
        """A new channel."""
        paper = Paper()
        self.publisher.attach(cast(Channel, paper))
        return paper

    def publish(self, message_id: str, *, deadline_s: float = 8.0, key: str = "k", body: bytes = b"") -> Deferred[None]:
        """Publish to exchange e."""
        message = Message(body=body, message_id=message_id)
        return self.publisher.publish("e", key, message, deadline_s=deadline_s, mandatory=True)

    def test_a_confirm_of_many_settles_them_all_and_no_other(self) -> None:
        self.attach()
        sent = [self.publish(f"m{number}") for number in range(4)]
        self.publisher.confirmed(2, multiple=False)
        self.assertNoResult(sent[0])
        self.successResultOf(sent[1])
        self.publisher.confirmed(3, multiple=True)
        self.successResultOf(sent[0])
        self.successResultOf(sent[2])
        self.assertNoResult(sent[3])

    def test_a_return_is_matched_by_message_id_whatever_the_confirm_covers(self) -> None:
        self.attach()
        sent = [self.publish(f"m{number}") for number in range(5)]
        self.publisher.returned("e", "k", "m3")
        self.publisher.returned("e", "another key", "m1")
        self.publisher.confirmed(5, multiple=True)
        self.failureResultOf(sent[3], Unroutable)
        for each in (sent[0], sent[1], sent[2], sent[4]):
            self.successResultOf(each)

    def test_a_new_channel_gets_what_is_unconfirmed_in_the_order_of_the_calls(self) -> None:
        self.attach()
        sent = [self.publish(f"m{number}") for number in range(4)]
        self.publisher.confirmed(2, multiple=False)
        self.publisher.detach()
        sent.append(self.publish("m4"))
        paper = self.attach()
        self.assertEqual(paper.sent, ["m0", "m2", "m3", "m4"])
        self.publisher.confirmed(4, multiple=True)
        for each in sent:
            self.successResultOf(each)

    def test_a_message_returned_on_a_lost_channel_has_another_chance(self) -> None:
        self.attach()
        sent = self.publish("m0")
        self.publisher.returned("e", "k", "m0")
        self.publisher.detach()
        self.attach()
        self.publisher.confirmed(1, multiple=False)
        self.successResultOf(sent)

    def test_what_was_refused_is_sent_again_until_its_deadline(self) -> None:
        paper = self.attach()
        sent = [self.publish("m0", deadline_s=0.35), self.publish("m1")]
        self.publisher.refused(2, multiple=True)
        self.assertEqual(paper.sent, ["m0", "m1"])
        self.clock.advance(0.1)
        self.assertEqual(paper.sent, ["m0", "m1", "m0", "m1"])
        self.publisher.confirmed(4, multiple=False)
        self.successResultOf(sent[1])
        self.publisher.refused(3, multiple=False)
        self.clock.pump([0.1] * 3)
        self.failureResultOf(sent[0], PublishTimeout)

    def test_while_blocked_messages_wait_and_then_go_in_order(self) -> None:
        paper = self.attach()
        self.publisher.set_blocked(True)
        for number in range(3):
            self.publish(f"m{number}").addErrback(lambda _: None)
        self.assertEqual(paper.sent, [])
        self.publisher.set_blocked(False)
        self.assertEqual(paper.sent, ["m0", "m1", "m2"])
        self.publisher.close()

    def test_what_timed_out_before_it_was_sent_never_is(self) -> None:
        late = self.publish("late", deadline_s=1.0)
        self.publish("patient").addErrback(lambda _: None)
        self.clock.pump([0.1] * 12)
        self.failureResultOf(late, PublishTimeout)
        self.assertEqual(self.attach().sent, ["patient"])
        self.publisher.close()

    def test_what_timed_out_while_the_broker_was_blocked_takes_no_memory(self) -> None:
        self.attach()
        self.publisher.set_blocked(True)
        key = Watched("k")
        forgotten = weakref.ref(key)
        late = self.publish("late", deadline_s=1.0, key=key)
        self.publish("patient", deadline_s=60.0).addErrback(lambda _: None)
        del key
        self.clock.pump([0.1] * 12)
        self.failureResultOf(late, PublishTimeout)
        gc.collect()
        self.assertIsNone(forgotten())
        self.publisher.close()

    def test_a_confirm_after_the_deadline_settles_nobody_else(self) -> None:
        self.attach()
        late = self.publish("late", deadline_s=0.5)
        self.clock.pump([0.1] * 6)
        self.failureResultOf(late, PublishTimeout)
        other = self.publish("other")
        self.publisher.confirmed(1, multiple=False)
        self.assertNoResult(other)
        self.publisher.confirmed(2, multiple=False)
        self.successResultOf(other)

    def refuse_for(self, paper: Paper, seconds: float) -> None:
        """Refuse m0 as often as it is sent, confirm all else; until the time is up or the channel is given up."""
        tag, stalls = 0, self.stalls
        for _ in range(round(seconds * 10)):
            for message_id in paper.sent[tag:]:
                tag += 1
                (self.publisher.refused if message_id == "m0" else self.publisher.confirmed)(tag, multiple=False)
            self.clock.advance(0.1)
            if self.stalls > stalls:
                return

    def test_a_channel_that_refuses_a_message_for_good_is_given_up_though_it_confirms_others(self) -> None:
        sent = self.publish("m0", deadline_s=1000.0)
        for patience_s in (0.5, 1.0, 1.5):
            paper, before = self.attach(), self.stalls
            for number in range(1, 100):
                self.publish(f"m{number}", deadline_s=1000.0).addErrback(lambda _: None)
            self.refuse_for(paper, patience_s)
            self.assertEqual(self.stalls, before + 1)
        paper = self.attach()
        self.refuse_for(paper, 0.5)
        self.publisher.confirmed(len(paper.sent), multiple=True)
        self.successResultOf(sent)
        self.assertEqual(self.stalls, 3)

    def test_a_channel_that_settles_nothing_is_given_up_in_time_for_another(self) -> None:
        self.attach()
        sent = self.publish("m0", deadline_s=8.0)
        self.wait(7.0)
        self.assertEqual(self.stalls, 1)
        paper = self.attach()
        self.assertEqual(paper.sent, ["m0"])
        self.publisher.confirmed(1, multiple=False)
        self.successResultOf(sent)
        self.wait(20.0)
        self.assertEqual(self.stalls, 1)

    def test_a_broker_that_settles_nothing_gets_more_time_with_every_channel(self) -> None:
        sent = self.publish("m0", deadline_s=1000.0)
        for patience_s in (7.0, 13.0, 25.0):
            self.attach()
            self.wait(patience_s - 2.0)
            before = self.stalls
            self.wait(2.0)
            self.assertEqual((before + 1, self.stalls), (self.stalls, before + 1))
        self.attach()
        self.publisher.confirmed(1, multiple=False)
        self.successResultOf(sent)
        self.publish("m1", deadline_s=1000.0).addErrback(lambda _: None)
        self.wait(7.0)
        self.assertEqual(self.stalls, 4)
        self.publisher.close()

    def confirm_the_rest(self, paper: Paper, seconds: float) -> None:
        """Send something every half second, and confirm all but m0."""
        for _ in range(round(seconds * 2)):
            self.publish(f"later-{len(paper.sent)}", deadline_s=1000.0).addErrback(lambda _: None)
            if self.stalls:
                return
            for tag in range(2, len(paper.sent) + 1):
                self.publisher.confirmed(tag, multiple=False)
            self.wait(0.5)

    def test_a_channel_that_leaves_one_message_behind_is_given_up_in_time_for_another(self) -> None:
        paper = self.attach()
        sent = self.publish("m0", deadline_s=8.0)
        self.confirm_the_rest(paper, 7.5)
        self.assertEqual(self.stalls, 1)
        self.assertNoResult(sent)
        self.assertEqual(self.attach().sent[0], "m0")
        self.publisher.confirmed(1, multiple=False)
        self.successResultOf(sent)
        self.publisher.close()

    def test_a_broker_that_is_slow_with_everything_leaves_nothing_behind(self) -> None:
        self.attach()
        for number in range(60):
            self.publish(f"m{number}", deadline_s=1000.0).addErrback(lambda _: None)
            if number % 2:  # half as fast: in the end it is 15 s behind
                self.publisher.confirmed(number // 2 + 1, multiple=False)
            self.wait(0.5)
        self.assertEqual(self.stalls, 0)
        self.publisher.close()

    def test_a_channel_that_settles_anything_is_kept(self) -> None:
        self.attach()
        for number in range(20):
            self.publish(f"m{number}", deadline_s=60.0).addErrback(lambda _: None)
        for number in range(6):
            self.wait(4.0)
            self.publisher.confirmed(1 + number, multiple=False)
        self.assertEqual(self.stalls, 0)
        self.publisher.close()

    def test_a_channel_is_not_given_up_for_an_alarm_nor_for_a_stop_of_the_process(self) -> None:
        self.attach()
        self.publish("m0", deadline_s=1000.0).addErrback(lambda _: None)
        self.publisher.set_blocked(True)
        self.wait(20.0)
        self.publisher.set_blocked(False)
        self.wait(3.0)
        self.clock.advance(60.0)
        self.assertEqual(self.stalls, 0)
        self.publisher.close()

    def test_no_more_than_a_window_is_on_the_wire(self) -> None:
        self.patch(module, "WINDOW", 3)
        paper = self.attach()
        for number in range(7):
            self.publish(f"m{number}").addErrback(lambda _: None)
        self.assertEqual(paper.sent, ["m0", "m1", "m2"])
        self.publisher.confirmed(2, multiple=True)
        self.assertEqual(paper.sent, ["m0", "m1", "m2", "m3", "m4"])
        self.publisher.close()

    def test_too_many_or_too_large_messages_are_refused_at_once(self) -> None:
        self.patch(module, "MAX_MESSAGES", 2)
        self.patch(module, "MAX_BYTES", 100)
        first = self.publish("m0", body=b"x" * 60)
        self.failureResultOf(self.publish("m1", body=b"x" * 60), PublishTimeout)
        self.publish("m2").addErrback(lambda _: None)
        self.failureResultOf(self.publish("m3"), PublishTimeout)
        self.attach()
        self.publisher.confirmed(2, multiple=True)
        self.successResultOf(first)
        self.publish("m4", body=b"x" * 60).addErrback(lambda _: None)
        self.publisher.close()

    def test_what_cannot_be_encoded_fails_and_takes_no_number(self) -> None:
        self.attach()
        self.failureResultOf(self.publish("m0", key="k" * 300), BrokerError)
        sent = self.publish("m1")
        self.publisher.confirmed(1, multiple=False)
        self.successResultOf(sent)

    def test_the_same_message_twice_on_its_way_is_two_publishes(self) -> None:
        paper = self.attach()
        sent = [self.publish("m0") for _ in range(3)]
        self.assertEqual(paper.sent, ["m0"] * 3)
        self.publisher.returned("e", "k", "m0")
        self.publisher.returned("e", "k", "m0")
        self.publisher.confirmed(3, multiple=True)
        self.failureResultOf(sent[0], Unroutable)
        self.failureResultOf(sent[1], Unroutable)
        self.successResultOf(sent[2])

    def test_when_empty_waits_for_the_last_one(self) -> None:
        self.attach()
        sent = self.publish("m0")
        empty = self.publisher.when_empty()
        self.assertNoResult(empty)
        self.publisher.confirmed(1, multiple=False)
        self.successResultOf(sent)
        self.successResultOf(empty)
        self.successResultOf(self.publisher.when_empty())

    def test_after_close_nothing_is_taken_and_no_timer_is_left(self) -> None:
        waiting = self.publish("m0")
        self.publisher.close()
        self.failureResultOf(waiting, PublishTimeout)
        self.failureResultOf(self.publish("m1"), BrokerError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
