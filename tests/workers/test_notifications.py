"""The notification worker, against a scripted broker, targets that answer as told, and a clock that stands still."""

from __future__ import annotations

from datetime import UTC, datetime

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms.config.settings import WebhookSettings
from csms.coroutines import spawn
from csms.domain.dead_letters import death_of, living_headers
from csms.domain.messages import Notification, encode_notification
from csms.ports import Message
from csms.workers.notifications import TARGET_HEADER, NotificationWorker
from csms.workers.webhook import DELIVERED, Failed, Refused, Verdict
from tests.workers.scripted import ScriptedBroker, ScriptedDelivery

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class ScriptedTarget:
    """Answers each post with the next verdict of its script; when that is empty, everything is delivered."""

    def __init__(self) -> None:
        self.posts: list[str] = []
        self.bodies: list[bytes] = []
        self.script: list[Verdict] = []
        self.hold: Deferred[None] | None = None
        self.closed = False

    async def post(self, body: bytes, *, event_id: str, event_type: str) -> Verdict:
        self.posts.append(event_id)
        self.bodies.append(body)
        if self.hold is not None:
            await self.hold
        return self.script.pop(0) if self.script else DELIVERED

    async def close(self) -> None:
        self.closed = True


class WorkerTestCase(SynchronousTestCase):
    webhooks: tuple[WebhookSettings, ...] = (
        WebhookSettings(name="one", url="http://one.example/", attempts=4),
        WebhookSettings(name="two", url="http://two.example/", types="charging.started charging.stopped"),
    )
    prefetch = 8

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW.timestamp())
        self.broker = ScriptedBroker()
        self.targets = {webhook.name: ScriptedTarget() for webhook in self.webhooks}
        self.worker = NotificationWorker(
            self.webhooks,
            broker=self.broker,
            clock=self.clock,
            prefetch=self.prefetch,
            make_poster=lambda webhook: self.targets[webhook.name],
        )
        self.worker.start()

    def deliver(
        self,
        event_id: str,
        kind: str = "charging.started",
        *,
        charger_id: int = 1,
        generation: int = 1,
        headers: dict[str, str | int] | None = None,
    ) -> ScriptedDelivery:
        notification = Notification(
            type=kind,
            charger_id=charger_id,
            device_id=f"CP-{charger_id}",
            timestamp=NOW,
            event_id=event_id,
            data={"sessionId": 5},
        )
        message = Message(body=encode_notification(notification), message_id=event_id, headers=headers or {})
        return self.broker.deliver(message, routing_key=f"notification.{kind}", generation=generation)

    def run_for(self, seconds: float) -> None:
        self.clock.pump([0.25] * round(seconds / 0.25))


class DeliveryTests(WorkerTestCase):
    def test_each_target_gets_the_types_it_wants_as_they_are_on_the_broker(self) -> None:
        started = self.deliver("1", "charging.started")
        status = self.deliver("2", "charger.status.changed")
        self.assertEqual(self.targets["one"].posts, ["1", "2"])
        self.assertEqual(self.targets["two"].posts, ["1"])
        self.assertEqual(self.targets["two"].bodies, [started.message.body])
        self.assertEqual([started.outcome, status.outcome], ["ack", "ack"])

    def test_it_is_acked_only_when_every_target_has_it(self) -> None:
        self.targets["two"].hold = held = Deferred[None]()
        delivery = self.deliver("1")
        self.assertEqual(delivery.outcome, "")
        held.callback(None)
        self.assertEqual(delivery.outcome, "ack")

    def test_what_nobody_wants_is_acked(self) -> None:
        worker_of_none = NotificationWorker(
            (), broker=self.broker, clock=self.clock, prefetch=8, make_poster=lambda _: ScriptedTarget()
        )
        worker_of_none.start()
        self.assertEqual(self.deliver("1").outcome, "ack")

    def test_what_is_no_notification_is_dead_lettered(self) -> None:
        delivery = self.broker.deliver(Message(body=b"{}", message_id="x"))
        self.assertEqual(delivery.outcome, "ack")
        self.assertIn("missing", death_of(self.broker.published[0].message.headers).reason)


class RetryTests(WorkerTestCase):
    def test_a_failure_is_tried_again_after_growing_pauses(self) -> None:
        self.targets["one"].script = [Failed("HTTP status 503"), Failed("HTTP status 503")]
        delivery = self.deliver("1")
        self.run_for(0.25)
        self.assertEqual(self.targets["one"].posts, ["1"])
        self.run_for(0.75)
        self.assertEqual(self.targets["one"].posts, ["1", "1"])
        self.assertEqual(delivery.outcome, "")
        self.run_for(2.0)
        self.assertEqual(self.targets["one"].posts, ["1", "1", "1"])
        self.assertEqual(delivery.outcome, "ack")
        self.assertEqual(self.broker.published, [])
        self.assertEqual(self.targets["two"].posts, ["1"])

    def test_after_the_last_try_it_is_dead_lettered_for_this_target_alone(self) -> None:
        self.targets["one"].script = [Failed("HTTP status 503")] * 4
        delivery = self.deliver("1")
        self.run_for(10.0)
        self.assertEqual(self.targets["one"].posts, ["1"] * 4)
        [letter] = self.broker.published
        self.assertEqual(letter.message.headers[TARGET_HEADER], "one")
        self.assertEqual(death_of(letter.message.headers).reason, "one failed 4 times; last: HTTP status 503")
        self.assertEqual(letter.message.body, delivery.message.body)
        self.assertEqual(delivery.outcome, "ack")

    def test_two_targets_that_fail_make_two_dead_letters_with_ids_of_their_own(self) -> None:
        for target in self.targets.values():
            target.script = [Refused("HTTP status 400")]
        self.deliver("1")
        self.assertEqual([letter.message.message_id for letter in self.broker.published], ["1@one", "1@two"])

    def test_a_replayed_dead_letter_reaches_only_the_target_that_failed(self) -> None:
        self.targets["one"].script = [Refused("HTTP status 401")]
        self.deliver("1")
        dead = self.broker.published[0].message
        replayed = self.deliver("1", headers=living_headers(dead.headers))
        self.assertEqual(self.targets["one"].posts, ["1", "1"])
        self.assertEqual(self.targets["two"].posts, ["1"])
        self.assertEqual(replayed.outcome, "ack")

    def test_a_replay_for_a_target_that_is_configured_no_more_is_dead_lettered_again(self) -> None:
        self.deliver("1", headers={TARGET_HEADER: "three"})
        self.assertEqual(
            death_of(self.broker.published[0].message.headers).reason, "there is no webhook three (any more)"
        )
        self.assertEqual(self.targets["one"].posts, [])

    def test_a_refusal_is_not_tried_again(self) -> None:
        self.targets["one"].script = [Refused("HTTP status 404")]
        delivery = self.deliver("1")
        self.run_for(60.0)
        self.assertEqual(self.targets["one"].posts, ["1"])
        self.assertEqual(delivery.outcome, "ack")
        self.assertEqual(len(self.broker.published), 1)

    def test_a_target_that_asks_for_time_gets_it(self) -> None:
        self.targets["one"].script = [Failed("HTTP status 429", after_s=60.0)]
        self.deliver("1")
        self.run_for(59.0)
        self.assertEqual(self.targets["one"].posts, ["1"])
        self.run_for(2.0)
        self.assertEqual(self.targets["one"].posts, ["1", "1"])

    def test_nothing_is_held_so_long_that_the_broker_takes_the_worker_for_dead(self) -> None:
        self.targets["one"].script = [Failed("HTTP status 429", after_s=9999.0)] * 100
        delivery = self.deliver("1")
        self.run_for(1500.0)
        self.assertEqual(delivery.outcome, "ack")
        self.assertIn("HTTP status 429", death_of(self.broker.published[0].message.headers).reason)


class OrderTests(WorkerTestCase):
    def test_one_charger_waits_for_its_retry_and_others_do_not(self) -> None:
        self.targets["one"].script = [Failed("HTTP status 500")]
        self.deliver("1", charger_id=1)
        self.deliver("2", charger_id=1)
        self.deliver("3", charger_id=2)
        self.run_for(2.0)
        self.assertEqual(self.targets["one"].posts, ["1", "3", "1", "2"])

    def test_a_target_that_does_not_answer_holds_up_no_other(self) -> None:
        self.targets["one"].hold = Deferred()
        for number in range(8):
            self.deliver(f"{number}", charger_id=number)
        self.assertEqual(self.targets["two"].posts, [f"{number}" for number in range(8)])

    def test_a_slow_target_may_not_hold_the_whole_prefetch_for_long(self) -> None:
        self.targets["one"].hold = Deferred()
        held = [self.deliver(f"{number}") for number in range(5)]
        self.run_for(31.0)
        shed = self.deliver("late")
        self.assertEqual([delivery.outcome for delivery in held], [""] * 5)
        self.assertEqual(shed.outcome, "ack")
        self.assertIn("one is too slow", death_of(self.broker.published[0].message.headers).reason)
        self.assertIn("late", self.targets["two"].posts)

    def test_no_more_posts_at_once_to_one_target_than_allowed(self) -> None:
        self.targets["one"].hold = held = Deferred[None]()
        for number in range(12):
            self.deliver(f"{number}", "meter.values.updated", charger_id=number)
        self.assertEqual(len(self.targets["one"].posts), 8)
        self.targets["one"].hold = None
        held.callback(None)
        self.assertEqual(len(self.targets["one"].posts), 12)


class RepeatTests(WorkerTestCase):
    def test_delivered_twice_is_posted_once(self) -> None:
        first, second = self.deliver("1"), self.deliver("1")
        self.assertEqual(self.targets["one"].posts, ["1"])
        self.assertEqual([first.outcome, second.outcome], ["ack", "ack"])

    def test_delivered_again_while_it_is_being_posted_is_posted_once(self) -> None:
        self.targets["one"].hold = held = Deferred[None]()
        first = self.deliver("1", generation=1)
        second = self.deliver("1", generation=2)
        held.callback(None)
        self.assertEqual(self.targets["one"].posts, ["1"])
        self.assertEqual(second.outcome, "ack")
        self.assertEqual(first.outcome, "")


class StopTests(WorkerTestCase):
    def test_a_stop_finishes_the_post_under_way_and_gives_the_rest_back(self) -> None:
        self.targets["one"].hold = held = Deferred[None]()
        posting, waiting = self.deliver("1"), self.deliver("2")
        stopped = spawn(self.worker.stop(), "stop")
        self.assertFalse(stopped.called)
        late = self.deliver("3")
        held.callback(None)
        self.assertTrue(stopped.called)
        self.assertEqual(posting.outcome, "ack")
        self.assertEqual(self.broker.journal[1:], ["cancel notifications", "requeue 2", "requeue 3"])
        self.assertEqual([waiting.outcome, late.outcome], ["requeue", "requeue"])
        self.assertEqual(self.targets["one"].posts, ["1"])
        self.assertTrue(all(target.closed for target in self.targets.values()))

    def test_a_stop_ends_the_pause_between_two_tries(self) -> None:
        self.targets["one"].script = [Failed("HTTP status 500")]
        delivery = self.deliver("1")
        stopped = spawn(self.worker.stop(), "stop")
        self.assertTrue(stopped.called)
        self.assertEqual(delivery.outcome, "requeue")
        self.assertEqual(self.clock.getDelayedCalls(), [])
