"""Session summaries and hourly figures, written to real databases from notifications."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from csms.domain.dead_letters import MAX_REASON_CHARACTERS
from csms.domain.messages import BadMessage, Notification, NotificationType, encode_notification
from csms.domain.model import HourlyUse, Sample, Session, SessionState, SessionSummary
from csms.domain.samples import POWER
from csms.ports import Message
from csms.workers.analytics import HourlyWork
from csms.workers.charging_events import SummaryWork
from csms.workers.outcomes import ACK, DeadLetter, Outcome
from tests.workers import places

START = datetime(2026, 11, 23, 10, 45, tzinfo=UTC)
HOUR = datetime(2026, 11, 23, 10, tzinfo=UTC)
_ids = itertools.count(1)


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


class EventWorkCase(TestCase):
    """A charger with a session that runs from START on."""

    async def setUp(self) -> None:  # type: ignore[override]
        self.clock = Clock()
        self.clock.advance(START.timestamp())
        self.database = await places.sqlite(self)
        self.charger = await places.add_charger(self.database, "CP-1")
        self.session_id = await self.add_session()

    async def add_session(self, started_at: datetime = START) -> int:
        session = Session(
            charger_id=self.charger.id,
            transaction_id=str(next(_ids)),
            start_key=str(next(_ids)),
            started_at=started_at,
            start_received_at=START,
            id_token="CARD-1",
        )
        added = await self.database.transact(lambda uow: uow.sessions.add(session), name="test")
        return added.id

    async def change(self, **fields: Any) -> None:
        def work(uow: Any) -> None:
            session = uow.sessions.get(self.session_id)
            for name, value in fields.items():
                setattr(session, name, value)

        await self.database.transact(work, name="test")

    def told(self, kind: str, heard_at: datetime, **data: Any) -> Notification:
        return Notification(
            type=kind,
            charger_id=self.charger.id,
            device_id="CP-1",
            timestamp=heard_at,
            event_id=f"event-{next(_ids)}",
            data={"sessionId": self.session_id, **data},
        )

    def started(self, at: datetime = START) -> Notification:
        return self.told(NotificationType.CHARGING_STARTED, at, startedAt=at, energyWh=0.0)

    def metered(self, at: datetime, energy_wh: float, *, heard_at: datetime | None = None) -> Notification:
        return self.told(NotificationType.METER_VALUES_UPDATED, heard_at or at, energyWh=energy_wh, sampledAt=at)

    def stopped(self, at: datetime, energy_wh: float, *, heard_at: datetime | None = None) -> Notification:
        return self.told(
            NotificationType.CHARGING_STOPPED, heard_at or at, startedAt=START, stoppedAt=at, energyWh=energy_wh
        )

    def corrected(self, at: datetime, energy_wh: float, *, heard_at: datetime) -> Notification:
        return self.told(NotificationType.CHARGING_UPDATED, heard_at, startedAt=START, stoppedAt=at, energyWh=energy_wh)


class SummaryTests(EventWorkCase):
    async def commit(self, *notifications: Notification) -> Sequence[Outcome]:
        work = SummaryWork(self.database)
        await work.begin()
        return await work.commit(
            [work.decode(Message(body=encode_notification(one), message_id=one.event_id)) for one in notifications]
        )

    async def summary(self) -> SessionSummary | None:
        return await self.database.read(lambda uow: uow.sessions.summary(self.session_id), name="test")

    async def end(self, minutes: float, energy_wh: float) -> None:
        await self.change(state=SessionState.ENDED, stopped_at=after(minutes), energy_wh=energy_wh, stop_reason="Local")

    async def test_a_stop_makes_the_summary(self) -> None:
        samples = [
            Sample(
                charger_id=self.charger.id,
                session_id=self.session_id,
                sampled_at=after(minutes),
                received_at=after(minutes),
                measurand=POWER,
                value=power_w,
                unit="W",
            )
            for minutes, power_w in ((10, 9000.0), (20, 11000.0), (80, 2000.0))
        ]
        await self.database.transact(lambda uow: uow.sessions.add_samples(samples), name="test")
        await self.end(90, 12000.0)
        self.assertEqual(await self.commit(self.started(), self.stopped(after(90), 12000.0)), [ACK, ACK])
        self.assertEqual(
            await self.summary(),
            SessionSummary(
                session_id=self.session_id,
                charger_id=self.charger.id,
                device_id="CP-1",
                id_token="CARD-1",
                started_at=START,
                stopped_at=after(90),
                duration_s=5400.0,
                energy_wh=12000.0,
                average_power_w=8000.0,
                peak_power_w=11000.0,
                stop_reason="Local",
            ),
        )

    async def test_a_repeat_changes_nothing_and_a_correction_replaces(self) -> None:
        await self.end(60, 1000.0)
        stop = self.stopped(after(60), 1000.0)
        await self.commit(stop, stop)
        first = await self.summary()
        await self.commit(stop)
        self.assertEqual(await self.summary(), first)
        await self.end(60, 1500.0)
        await self.commit(self.corrected(after(60), 1500.0, heard_at=after(70)))
        corrected = await self.summary()
        assert corrected is not None
        self.assertEqual(corrected.energy_wh, 1500.0)

    async def test_a_running_session_has_no_summary(self) -> None:
        await self.commit(self.started(), self.told(NotificationType.CHARGING_UPDATED, after(5), energyWh=5.0))
        self.assertIsNone(await self.summary())

    async def test_a_session_that_is_not_there_is_given_up(self) -> None:
        self.session_id = 999
        [outcome] = await self.commit(self.stopped(after(60), 1000.0))
        self.assertEqual(outcome, DeadLetter("session 999 does not exist"))

    def test_what_is_no_notification_is_said_to_be_none(self) -> None:
        work = SummaryWork(self.database)
        for body in (b"", b"[]", b"{}", b'{"type":"charging.stopped"}', b"\xff", b"[" * 5000):
            with self.assertRaises(BadMessage) as raised:
                work.decode(Message(body=body, message_id="x"))
            self.assertLess(len(str(raised.exception)), MAX_REASON_CHARACTERS)


class HourlyTests(EventWorkCase):
    async def commit(self, *notifications: Notification) -> None:
        work = HourlyWork(self.database, self.clock)
        await work.begin()
        batch = [work.decode(Message(body=encode_notification(one), message_id=one.event_id)) for one in notifications]
        self.assertEqual(await work.commit(batch), [ACK] * len(batch))

    async def hours(self) -> dict[int, HourlyUse]:
        """The hours of the charger with anything in them, by their distance from 10 o'clock."""
        uses = await self.database.read(
            lambda uow: uow.analytics.use(
                self.charger.id, since=HOUR - timedelta(days=365), until=HOUR + timedelta(days=365)
            ),
            name="test",
        )
        return {round((use.hour - HOUR) / timedelta(hours=1)): use for use in uses}

    async def energies(self) -> dict[int, float]:
        return {hour: round(use.energy_wh, 6) for hour, use in (await self.hours()).items()}

    async def times(self) -> dict[int, float]:
        return {hour: round(use.charging_s, 6) for hour, use in (await self.hours()).items()}

    async def test_energy_and_time_are_split_over_the_hours(self) -> None:
        await self.commit(self.started(), self.metered(after(30), 2000.0), self.stopped(after(90), 8000.0))
        self.assertEqual(await self.energies(), {0: 1000.0, 1: 5500.0, 2: 1500.0})
        self.assertEqual(await self.times(), {0: 900.0, 1: 3600.0, 2: 900.0})
        hours = await self.hours()
        self.assertEqual([hours[hour].sessions_started for hour in range(3)], [1, 0, 0])
        self.assertEqual([hours[hour].sessions_ended for hour in range(3)], [0, 0, 1])

    async def test_repeats_in_one_batch_and_in_later_ones_add_nothing(self) -> None:
        told = [self.started(), self.metered(after(30), 2000.0), self.stopped(after(90), 8000.0)]
        await self.commit(*told, *told)
        once = await self.hours()
        await self.commit(*told)
        for one in reversed(told):
            await self.commit(one)
        self.assertEqual(await self.hours(), once)

    async def test_one_by_one_is_the_same_as_together(self) -> None:
        for one in (self.started(), self.metered(after(30), 2000.0), self.stopped(after(90), 8000.0)):
            await self.commit(one)
        self.assertEqual(await self.energies(), {0: 1000.0, 1: 5500.0, 2: 1500.0})

    async def test_what_comes_after_the_end_or_in_the_wrong_order_adds_nothing(self) -> None:
        await self.commit(self.stopped(after(60), 6000.0), self.metered(after(30), 5000.0), self.started())
        self.assertEqual(await self.energies(), {0: 1500.0, 1: 4500.0})
        self.assertEqual(sum((await self.times()).values()), 3600.0)
        self.assertEqual((await self.hours())[0].sessions_started, 1)

    async def test_a_late_stop_corrects_energy_and_time(self) -> None:
        await self.commit(self.stopped(after(120), 6000.0))
        await self.commit(self.corrected(after(60), 4000.0, heard_at=after(300)))
        self.assertEqual(round(sum((await self.energies()).values()), 6), 4000.0)
        self.assertEqual(await self.times(), {0: 900.0, 1: 2700.0, 2: 0.0})

    async def test_an_energy_that_runs_back_is_not_subtracted_before_the_end(self) -> None:
        await self.commit(self.metered(after(10), 5000.0), self.metered(after(14), 100.0))
        self.assertEqual(await self.energies(), {0: 5000.0})
        await self.commit(self.stopped(after(14), 4800.0))
        self.assertEqual(await self.energies(), {0: 4800.0})

    async def test_a_clock_that_is_ahead_does_not_reach_into_the_future(self) -> None:
        await self.commit(self.metered(after(600), 1000.0, heard_at=after(10)))
        self.assertEqual(await self.energies(), {0: 1000.0})
        await self.commit(self.stopped(after(14), 2000.0))
        self.assertEqual(await self.energies(), {0: 2000.0})

    async def test_a_start_in_1970_is_not_spread_over_half_a_century(self) -> None:
        self.session_id = await self.add_session(datetime(1970, 1, 1, tzinfo=UTC))
        await self.commit(self.stopped(after(10), 1000.0))
        self.assertEqual(await self.energies(), {0: 1000.0})
        self.assertEqual(await self.times(), {0: 0.0})

    async def test_other_notifications_and_unknown_sessions_are_passed_over(self) -> None:
        values = self.metered(after(5), 100.0)
        values.data.pop("sessionId")
        self.session_id = 999
        await self.commit(
            values, self.metered(after(5), 100.0), self.told(NotificationType.CHARGER_STATUS_CHANGED, after(5))
        )
        self.assertEqual(await self.hours(), {})
