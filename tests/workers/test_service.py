"""All workers of a process together: from a charger's message to its row, its answer, its notification, its webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from csms.broker.factory import open_broker
from csms.config.settings import CertificateSettings, WebhookSettings, WorkerSettings
from csms.domain.actions import handle
from csms.domain.device_records import Reservation, ReservationState
from csms.domain.handling import Handled, Policy
from csms.domain.messages import ChargerMessage, Notification, Reply, decode, decode_notification
from csms.domain.model import Charger, HourlyUse
from csms.domain.repositories import UnitOfWork
from csms.domain.retention import Retention
from csms.domain.topology import (
    ALL_NOTIFICATIONS,
    EVENTS_EXCHANGE,
    OCPP_EXCHANGE,
    gateway_queue,
    message_key,
)
from csms.ports import Broker, DeadLetter, Delivery
from csms.workers import ocpp, relay, service
from csms.workers.relay import Relay
from csms.workers.rollup import hour_of
from csms.workers.service import Workers
from tests.servers import drop_vhost, rabbitmq_url
from tests.workers import calls, places
from tests.workers.receiver import Receiver

T = TypeVar("T")
SHARDS = 2
SECRET = "s3cret"
QUEUE = "gateway.observer.events"


async def until(condition: Callable[[], bool | Awaitable[bool]], *, tries: int = 400) -> None:
    """Wait for something that no event tells of: a row, or what another thread has seen."""
    for _ in range(tries):
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        await deferLater(reactor, 0.05, lambda: None)
    raise AssertionError("it did not come about")


class InstallationCase(TestCase):
    """A broker, a database, and an observer of replies and notifications."""

    __test__ = False
    timeout = 60
    database: places.Flaky
    broker: Broker

    async def open(self) -> None:
        raise NotImplementedError

    async def setUp(self) -> None:  # type: ignore[override]
        self.dead: list[DeadLetter] = []
        self.replies: list[Reply] = []
        self.told: list[Notification] = []
        self.awaited = 0
        self.arrived: Deferred[None] = Deferred()
        self.webhooks: tuple[WebhookSettings, ...] = ()
        self.patch(relay, "STALE_S", 1.0)
        self.patch(service, "SWEEP_OUTBOX_S", 0.3)
        await self.open()
        await self.observe(self.broker)
        self.charger = await places.add_charger(self.database, "CP-1")

    def start_broker(self, broker: Broker) -> Awaitable[None]:
        self.addCleanup(lambda: Deferred.fromCoroutine(broker.stop()))
        return broker.start()

    async def observe(self, broker: Broker) -> None:
        def replied(delivery: Delivery) -> None:
            self.replies.append(decode(Reply, delivery.message.body))
            delivery.ack()

        def happened(delivery: Delivery) -> None:
            self.told.append(decode_notification(delivery.message.body))
            delivery.ack()
            if len(self.told) == self.awaited:
                self.arrived.callback(None)

        for queue, on_delivery in ((gateway_queue(calls.GATEWAY), replied), (QUEUE, happened)):
            await broker.declare_private(queue)
            await broker.consume(queue, on_delivery, prefetch=100)
        await broker.bind(QUEUE, EVENTS_EXCHANGE, ALL_NOTIFICATIONS)

    async def run_workers(
        self, *, broker: Broker | None = None, batch_size: int = 20, run: str = WorkerSettings().run
    ) -> Workers:
        workers = Workers(
            WorkerSettings(batch_size=batch_size, prefetch=40, retry_max_s=0.2, run=run),
            broker=broker or self.broker,
            database=self.database,
            relay=Relay(broker or self.broker, self.database, reactor),
            webhooks=self.webhooks,
            shards=SHARDS,
            policy=Policy(accept_unknown_tokens=True),
            certificates=CertificateSettings(),
            kept=Retention(),
            reactor=reactor,
            name="test",
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(workers.stop()))
        await workers.start()
        return workers

    def send(self, message: ChargerMessage) -> Awaitable[None]:
        return self.broker.publish(
            OCPP_EXCHANGE,
            message_key(message.message_type),
            calls.on_broker(message, shards=SHARDS),
            deadline_s=40.0,
        )

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        return await self.database.read(work, name="test")

    async def call(self, message: ChargerMessage) -> Reply:
        await self.send(message)
        await until(lambda: any(reply.message_id == message.message_id for reply in self.replies))
        return next(reply for reply in self.replies if reply.message_id == message.message_id)

    async def charge(self) -> int:
        """A whole session of 90 minutes and 9 kWh; its transaction id."""
        begin = calls.BEGIN
        reply = await self.call(calls.start(self.charger))
        assert reply.payload is not None
        transaction_id = int(reply.payload["transactionId"])
        half = begin + timedelta(minutes=30)
        await self.send(calls.meter(self.charger, transaction_id, at=half, energy_wh=4000, power_w=6000))
        await self.send(calls.stop(self.charger, transaction_id, at=begin + timedelta(minutes=90), meter_wh=10000))
        return transaction_id

    async def until_told(self, count: int) -> None:
        """Wait for that many notifications; goes on at once, so that what follows happens in the middle of the work."""
        if len(self.told) < count:
            self.awaited, self.arrived = count, Deferred()
            await self.arrived

    def kinds(self) -> list[str]:
        """Types of the notifications that were observed, repeats left out."""
        return [one.type for one in {one.event_id: one for one in self.told}.values()]

    async def words(self, count: int, chargers: Sequence[Charger], *, in_order: bool = True) -> None:
        """Everything of ``count`` alternating statuses of each charger is there: once, and told (in order)."""

        def logged(uow: UnitOfWork) -> list[int]:
            return [len(uow.log.page(charger.id, limit=10_000)) for charger in chargers]

        async def all_there() -> bool:
            return min(await self.read(logged)) >= count

        await until(all_there)
        self.assertEqual(await self.read(logged), [count] * len(chargers))
        connectors = await self.read(lambda uow: uow.chargers.connectors([charger.id for charger in chargers]))
        self.assertEqual([connector.info for connector in connectors], [str(count - 1)] * len(chargers))
        changed = "charger.status.changed"
        await until(lambda: self.kinds().count(changed) == count * len(chargers))
        infos: dict[int, list[int]] = defaultdict(list)
        for one in {one.event_id: one for one in self.told}.values():
            if one.type == changed:
                infos[one.charger_id].append(int(one.data["info"]))
        for charger in chargers:
            told = infos[charger.id]
            self.assertEqual(told if in_order else sorted(told), list(range(count)))


class ServiceTests(InstallationCase):
    """What holds with every broker and database."""

    async def test_a_session_leaves_rows_a_summary_hours_and_notifications(self) -> None:
        workers = await self.run_workers()
        transaction_id = await self.charge()

        async def summarised() -> bool:
            session = await self.read(lambda uow: uow.sessions.by_transaction(self.charger.id, str(transaction_id)))
            return session is not None and await self.read(lambda uow: uow.sessions.summary(session.id)) is not None

        await until(summarised)
        session = await self.read(lambda uow: uow.sessions.by_transaction(self.charger.id, str(transaction_id)))
        assert session is not None
        summary = await self.read(lambda uow: uow.sessions.summary(session.id))
        assert summary is not None
        self.assertEqual((summary.energy_wh, summary.duration_s, summary.peak_power_w), (9000, 5400, 6000))
        self.assertEqual((summary.average_power_w, summary.stop_reason), (6000, "Local"))

        async def ended() -> bool:
            return sum(use.sessions_ended for use in await self.uses()) == 1

        await until(ended)
        self.assertEqual([round(use.energy_wh, 3) for use in await self.uses()], [1500.0, 6000.0, 1500.0])
        self.assertEqual([use.charging_s for use in await self.uses()], [900.0, 3600.0, 900.0])
        await until(lambda: "charging.stopped" in self.kinds())
        self.assertEqual(
            self.kinds(), ["charger.connected", "charging.started", "meter.values.updated", "charging.stopped"]
        )
        self.assertEqual(workers.ready_reason, "")

    async def uses(self) -> Sequence[HourlyUse]:
        since = hour_of(calls.BEGIN)
        return await self.read(
            lambda uow: uow.analytics.use(self.charger.id, since=since, until=since + timedelta(days=1))
        )

    async def test_a_database_that_goes_and_comes_loses_and_doubles_nothing(self) -> None:
        chargers = [self.charger, await places.add_charger(self.database, "CP-2")]
        workers = await self.run_workers(batch_size=7)
        sent = []
        for number in range(60):
            if number % 20 == 10:
                self.database.fail_before, self.database.fail_after = 3, 2
            for charger in chargers:
                message = calls.status(charger, ("Available", "Preparing")[number % 2], number=number)
                sent.append(self.send(message))
            await deferLater(reactor, 0.01, lambda: None)
        await self.words(60, chargers)
        for confirm in sent:
            await confirm
        await until(lambda: workers.ready_reason == "")

    async def test_delivered_twice_has_its_effect_once(self) -> None:
        await self.run_workers()
        message = calls.start(self.charger)
        await self.send(message)
        await self.send(message)
        await until(lambda: len(self.replies) == 2)
        self.assertEqual(self.replies[0], self.replies[1])
        self.assertEqual(len(await self.read(lambda uow: uow.sessions.page())), 1)
        await until(lambda: "charging.started" in self.kinds())
        self.assertEqual(self.kinds().count("charging.started"), 1)

    async def test_a_stop_in_the_middle_leaves_the_rest_to_the_next_in_order(self) -> None:
        chargers = [self.charger, *[await places.add_charger(self.database, f"CP-{n}") for n in range(2, 6)]]
        for number in range(60):
            for charger in chargers:
                self.send(calls.status(charger, ("Available", "Preparing")[number % 2], number=number))
        for _ in range(4):
            workers = await self.run_workers(batch_size=7)
            await self.until_told(len(self.told) + 1)
            await workers.stop()
        await self.run_workers()
        await self.words(60, chargers)


class MemoryServiceTests(ServiceTests):
    __test__ = True

    async def open(self) -> None:
        self.database = await places.sqlite(self)

        async def store(letter: DeadLetter) -> None:
            self.dead.append(letter)

        self.broker = open_broker("memory:", shards=SHARDS, store_dead_letter=store, reactor=reactor)
        await self.start_broker(self.broker)

    async def test_poison_dies_alone_and_its_charger_goes_on(self) -> None:
        def choke(message: ChargerMessage, uow: UnitOfWork, policy: Policy) -> Handled:
            if message.payload.get("info") == "5":
                raise ArithmeticError("five is too much")
            return handle(message, uow, policy)

        self.patch(ocpp, "handle", choke)
        await self.run_workers()
        sent = [self.send(calls.status(self.charger, ("Available", "Preparing")[n % 2], number=n)) for n in range(20)]
        for confirm in sent:
            await confirm
        log = await self.read(lambda uow: uow.log.page(self.charger.id, limit=100))
        self.assertEqual(len(log), 19)
        [letter] = self.dead
        self.assertEqual(letter.reason, "ArithmeticError: five is too much")
        self.assertEqual(json.loads(letter.message.body)["payload"]["info"], "5")
        self.assertEqual(letter.routing_key, "ocpp.message.StatusNotification")
        self.assertEqual(len(self.flushLoggedErrors(ArithmeticError)), 1)

    async def test_webhooks_are_told_and_can_verify_it(self) -> None:
        receiver = Receiver()
        self.addCleanup(receiver.close)
        self.webhooks = (
            WebhookSettings(
                name="erp", url=receiver.url(), secret=SECRET, types="charging.stopped", allow_private=True
            ),
        )
        await self.run_workers()
        await self.charge()
        await until(lambda: bool(receiver.requests))
        [request] = receiver.requests
        parts = dict(part.split("=") for part in request.headers["x-csms-signature"].split(","))
        mac = hmac.new(SECRET.encode(), f"{parts['t']}.".encode() + request.body, hashlib.sha256)
        self.assertEqual(parts["v1"], mac.hexdigest())
        told = json.loads(request.body)
        self.assertEqual((told["type"], told["deviceId"], told["energyWh"]), ("charging.stopped", "CP-1", 9000))
        self.assertEqual(told["eventId"], request.headers["x-csms-event-id"])

    async def test_chargers_of_a_silent_gateway_are_noted_as_disconnected(self) -> None:
        now = datetime.now(UTC)

        def connected(uow: UnitOfWork) -> None:
            uow.gateways.alive("gw9", started_at=now - timedelta(hours=1), now=now - timedelta(minutes=2))
            uow.gateways.alive("gw8", started_at=now - timedelta(hours=1), now=now)
            for device_id, gateway in (("CP-1", "gw9"), ("CP-8", "gw8")):
                charger = uow.chargers.add(Charger(device_id=device_id))
                charger.connected, charger.gateway, charger.connection_id = True, gateway, "019a-1"

        await self.database.transact(connected, name="test")
        await self.run_workers()
        await until(lambda: "charger.disconnected" in self.kinds())
        [told] = self.told
        self.assertEqual((told.device_id, told.data["gateway"]), ("CP-1", "gw9"))
        chargers = await self.read(lambda uow: uow.chargers.page())
        self.assertEqual([(one.device_id, one.connected) for one in chargers], [("CP-1", False), ("CP-8", True)])

    async def test_a_reservation_whose_time_is_over_expires_and_is_told(self) -> None:
        now = datetime.now(UTC)

        def reserved(uow: UnitOfWork) -> None:
            charger = uow.chargers.add(Charger(device_id="CP-1"))
            for number, expires_at in ((1, now - timedelta(seconds=1)), (2, now + timedelta(hours=1))):
                uow.devices.reservations.add(
                    Reservation(
                        charger_id=charger.id,
                        reservation_id=number,
                        evse_id=1,
                        id_token="CARD",
                        expires_at=expires_at,
                        state=ReservationState.ACTIVE,
                        answer="Accepted",
                        made_at=now - timedelta(hours=1),
                    )
                )

        await self.database.transact(reserved, name="test")
        await self.run_workers()
        await until(lambda: "reservation.changed" in self.kinds())
        [told] = self.told
        self.assertEqual((told.device_id, told.data["reservationId"], told.data["state"]), ("CP-1", 1, "expired"))
        kept = await self.read(lambda uow: uow.devices.reservations.page())
        self.assertEqual([one.state for one in kept], [ReservationState.ACTIVE, ReservationState.EXPIRED])

    async def test_trouble_is_told_while_the_database_is_away(self) -> None:
        workers = await self.run_workers(run="ocpp")
        self.database.fail_before = 10**6
        sent = self.send(calls.status(self.charger, "Available"))
        await until(lambda: "no connection" in workers.ready_reason)
        self.database.fail_before = 0
        await sent
        self.assertEqual(workers.ready_reason, "")

    async def test_an_unknown_worker_and_a_bad_webhook_are_refused_at_once(self) -> None:
        with self.assertRaisesRegex(ValueError, "no worker 'ocp'"):
            await self.run_workers(run="ocp analytics")
        self.webhooks = (WebhookSettings(name="erp", url="ftp://x/"),)
        with self.assertRaisesRegex(ValueError, "webhook erp"):
            await self.run_workers()


class RabbitmqServiceTests(ServiceTests):
    __test__ = True

    async def open(self) -> None:
        self.database = await places.postgresql(self)
        self.url = rabbitmq_url()
        self.addCleanup(drop_vhost, self.url)
        self.broker = await self.another()

    async def another(self) -> Broker:
        broker = open_broker(self.url, shards=SHARDS, reactor=reactor)
        await self.start_broker(broker)
        await broker.when_up()
        return broker

    async def test_a_standby_takes_over_from_one_that_stops_and_keeps_the_order(self) -> None:
        chargers = [self.charger, *[await places.add_charger(self.database, f"CP-{n}") for n in range(2, 6)]]
        first = await self.run_workers(broker=await self.another(), batch_size=7)
        await self.run_workers(broker=await self.another(), batch_size=7)
        for number in range(60):
            for charger in chargers:
                self.send(calls.status(charger, ("Available", "Preparing")[number % 2], number=number))
        await self.until_told(20)
        await first.stop()
        await self.words(60, chargers)
