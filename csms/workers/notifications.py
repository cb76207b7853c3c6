"""The notification worker: posts notifications to the webhooks that want them.

Each target works on its own: up to ``AT_ONCE`` posts at the same time, those of one charger one after the other.
What fails is tried again with growing pauses; after the last try a copy for this target alone goes to the dead letters,
with a header that names the target, so that a replay reaches no other. The delivery is acked when every target has it
or has given it up: at least once, with the same event id.

All targets share the prefetch. So that one which is slow or away does not hold all of it for long, it may hold no
more than half once its oldest notification is half a minute old: further ones for it go to the dead letters at once.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from csms import metrics
from csms.config.settings import WebhookSettings
from csms.coroutines import spawn
from csms.domain.messages import BadMessage, Notification, decode_notification
from csms.domain.topology import NOTIFICATIONS
from csms.ports import Broker, Delivery
from csms.workers.outcomes import ACK, DeadLetter, Settlement
from csms.workers.pauses import Backoff, Stop
from csms.workers.subscription import Subscription
from csms.workers.webhook import AT_ONCE, Delivered, Poster, Refused

_log = Logger(namespace="csms.workers")

TARGET_HEADER = "webhook-target"
"""Names the one target that a replayed notification is for."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0
HELD_AT_MOST_S = 900.0
"""Unacked for this long, a notification is given up: RabbitMQ takes a consumer for dead after 30 minutes."""
SLOW_S = 30.0
REMEMBERED = 10_000


class Parcel:
    """A delivery, and the targets that are still to have it."""

    __slots__ = ("_settlement", "_targets", "delivery")

    def __init__(self, delivery: Delivery, targets: int, settlement: Settlement) -> None:
        self.delivery = delivery
        self._targets = targets
        self._settlement = settlement

    def done(self) -> None:
        """One target less."""
        self._targets -= 1
        if self._targets == 0:
            self._settlement.settle(self.delivery, ACK)


class Job:
    """One notification for one target. The same one may have been delivered more than once meanwhile."""

    __slots__ = ("body", "charger_id", "event_id", "event_type", "parcels", "taken_at_s")

    def __init__(self, notification: Notification, parcel: Parcel, taken_at_s: float) -> None:
        self.event_id = notification.event_id
        self.event_type = notification.type
        self.charger_id = notification.charger_id
        self.body = parcel.delivery.message.body
        self.parcels = [parcel]
        self.taken_at_s = taken_at_s

    def join(self, parcel: Parcel) -> None:
        """Delivered again: what becomes of the one becomes of the other."""
        generation = parcel.delivery.generation
        self.parcels = [known for known in self.parcels if known.delivery.generation == generation]
        self.parcels.append(parcel)


class Target:
    """One webhook: its jobs, in order for each charger."""

    def __init__(
        self,
        settings: WebhookSettings,
        poster: Poster,
        *,
        settlement: Settlement,
        clock: IReactorTime,
        stop: Stop,
        share: int | None,
    ) -> None:
        self.name = settings.name
        self._types = frozenset(settings.types.split())
        self._attempts = settings.attempts
        self._poster = poster
        self._settlement = settlement
        self._clock = clock
        self._stop = stop
        self._share = share
        self._slots = DeferredSemaphore(AT_ONCE)
        self._jobs: dict[str, Job] = {}
        self._lanes: dict[int, deque[Job]] = {}
        self._delivered: OrderedDict[str, None] = OrderedDict()
        self._running: set[Deferred[None]] = set()

    def wants(self, event_type: str) -> bool:
        """Whether notifications of this type are for this target."""
        return not self._types or event_type in self._types

    def take(self, notification: Notification, parcel: Parcel) -> None:
        """Bring it there, after those of the same charger that came before."""
        known = self._jobs.get(notification.event_id)
        if known is not None:
            known.join(parcel)
        elif notification.event_id in self._delivered:
            parcel.done()
        else:
            job = Job(notification, parcel, self._clock.seconds())
            overdue = self._is_overdue()
            self._jobs[job.event_id] = job
            if overdue:
                self._spawn(self._give_up(job, f"{self.name} is too slow: {len(self._jobs)} others wait for it"))
                return
            lane = self._lanes.get(job.charger_id)
            if lane is not None:
                lane.append(job)
            else:
                self._lanes[job.charger_id] = lane = deque([job])
                self._spawn(self._drain(job.charger_id, lane))

    async def finish(self) -> None:
        """After the stop: wait for the posts that are under way."""
        await DeferredList(list(self._running))
        await self._poster.close()

    def _is_overdue(self) -> bool:
        if self._share is None or len(self._jobs) < self._share:
            return False
        oldest = next(iter(self._jobs.values()))
        return self._clock.seconds() - oldest.taken_at_s > SLOW_S

    def _spawn(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        running = spawn(work, f"webhook {self.name}")
        self._running.add(running)
        running.addCallback(lambda _: self._running.discard(running))

    async def _drain(self, charger_id: int, lane: deque[Job]) -> None:
        while lane and not self._stop.is_set:
            job = lane[0]
            try:
                await self._bring(job)
            except Exception as error:
                # A fault of csms: it must not hold up what else its charger has to tell.
                _log.failure("event {event_id} for {target} failed", event_id=job.event_id, target=self.name)
                await self._give_up(job, f"{self.name}: {error!r}")
            lane.popleft()
        del self._lanes[charger_id]

    async def _bring(self, job: Job) -> None:
        """Until it is there, refused, tried often enough or the stop comes."""
        backoff = Backoff(first_s=FIRST_PAUSE_S, longest_s=LONGEST_PAUSE_S)
        reason = "not tried"
        for attempt in range(1, self._attempts + 1):
            if self._clock.seconds() - job.taken_at_s > HELD_AT_MOST_S:
                await self._give_up(job, f"{self.name}: waited too long; last: {reason}")
                return
            await self._slots.acquire()
            try:
                if self._stop.is_set:
                    return
                verdict = await self._poster.post(job.body, event_id=job.event_id, event_type=job.event_type)
            finally:
                self._slots.release()
            metrics.WEBHOOKS.labels(self.name, type(verdict).__name__.lower()).inc()
            if isinstance(verdict, Delivered):
                self._remember(job.event_id)
                self._done(job)
                return
            reason = verdict.reason
            if isinstance(verdict, Refused):
                await self._give_up(job, f"{self.name} refused it: {reason}")
                return
            if attempt < self._attempts:
                pause_s = max(backoff.next_s(), min(verdict.after_s, LONGEST_PAUSE_S))
                if not await self._stop.pause(pause_s):
                    return
        await self._give_up(job, f"{self.name} failed {self._attempts} times; last: {reason}")

    async def _give_up(self, job: Job, reason: str) -> None:
        delivery = job.parcels[-1].delivery
        copy_id = f"{job.event_id}@{self.name}"
        letter = DeadLetter(reason, {TARGET_HEADER: self.name}, message_id=copy_id)
        metrics.WEBHOOKS.labels(self.name, "dead_lettered").inc()
        if await self._settlement.bury(delivery, letter):
            self._done(job)

    def _done(self, job: Job) -> None:
        del self._jobs[job.event_id]
        for parcel in job.parcels:
            parcel.done()

    def _remember(self, event_id: str) -> None:
        self._delivered[event_id] = None
        if len(self._delivered) > REMEMBERED:
            self._delivered.popitem(last=False)


class NotificationWorker:
    """Consumes ``notifications`` for all targets."""

    def __init__(
        self,
        webhooks: Sequence[WebhookSettings],
        *,
        broker: Broker,
        clock: IReactorTime,
        prefetch: int,
        make_poster: Callable[[WebhookSettings], Poster],
    ) -> None:
        self.queue = NOTIFICATIONS
        self._stop = Stop(clock)
        self._settlement = Settlement(broker, NOTIFICATIONS, clock, self._stop)
        self._subscription = Subscription(
            NOTIFICATIONS, self._arrived, broker=broker, prefetch=prefetch, stop=self._stop
        )
        self._running: Deferred[None] | None = None
        share = prefetch // 2 if len(webhooks) > 1 else None
        self._targets = {
            webhook.name: Target(
                webhook, make_poster(webhook), settlement=self._settlement, clock=clock, stop=self._stop, share=share
            )
            for webhook in webhooks
        }

    @property
    def trouble(self) -> str:
        """Why nothing is consumed, for a person; empty when all is well."""
        return self._subscription.trouble

    def start(self) -> None:
        """Begin to consume, as soon as the broker lets us."""
        self._running = spawn(self._subscription.open(), "notification worker")

    async def stop(self) -> None:
        """Finish the posts under way, give back what is not delivered everywhere, and consume no more."""
        self._stop.set()
        if self._running is None:
            return
        if not self._subscription.is_open:
            self._running.cancel()
        await self._running
        for target in self._targets.values():
            await target.finish()
        await self._settlement.finish()
        await self._subscription.close()

    def _arrived(self, delivery: Delivery) -> None:
        if self._stop.is_set:
            return
        try:
            notification = decode_notification(delivery.message.body)
            targets = self._targets_of(delivery, notification)
        except BadMessage as error:
            self._settlement.settle(delivery, DeadLetter(str(error)))
            return
        if not targets:
            self._settlement.settle(delivery, ACK)
            return
        parcel = Parcel(delivery, len(targets), self._settlement)
        for target in targets:
            target.take(notification, parcel)

    def _targets_of(self, delivery: Delivery, notification: Notification) -> list[Target]:
        name = delivery.message.headers.get(TARGET_HEADER)
        if name is None:
            return [target for target in self._targets.values() if target.wants(notification.type)]
        target = self._targets.get(str(name))
        if target is None:
            raise BadMessage(f"there is no webhook {name} (any more)")
        return [target]
