"""Charging sessions, transaction events, samples and summaries, for each kind of database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace as changed

from csms.domain.model import Flag, Measured, Session, SessionState, SessionSummary, TransactionEventRecord
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase, a_sample, a_session


def an_event(seq_no: int = 0, transaction_id: str = "tx", charger_id: int = 1) -> TransactionEventRecord:
    """A 2.x event."""
    return TransactionEventRecord(
        charger_id=charger_id,
        transaction_id=transaction_id,
        seq_no=seq_no,
        event_type="Updated",
        trigger_reason="MeterValuePeriodic",
        occurred_at=NOW,
    )


class SessionsContract(DatabaseCase):
    async def a_session(self, charger_id: int = 1, number: int = 1, **values: Any) -> Session:
        return await self.write(lambda uow: uow.sessions.add(a_session(charger_id, number, **values)))

    async def test_every_field_of_a_session_comes_back(self) -> None:
        full = a_session(
            1,
            reported_transaction_id="r",
            ocpp_version="ocpp1.6",
            state=SessionState.SUPERSEDED,
            charging_state="Charging",
            evse_id=2,
            connector_id=3,
            id_token="Ab",
            id_token_type="ISO14443",
            group_id_token="g",
            authorization_status="Accepted",
            stop_id_token="s",
            stopped_at=NOW,
            stop_received_at=NOW,
            stop_reason="Local",
            meter_start_wh=0.1 + 0.2,
            meter_stop_wh=1e15,
            meter_last_wh=-0.0,
            meter_last_at=NOW,
            energy_wh=1 / 3,
            power_w=5e-324,
            soc_percent=100.0,
            remote_start_id=2**63 - 1,
            reservation_id=-(2**31),
            last_seq_no=2**31,
            flags={Flag.ORPHAN, Flag.OFFLINE},
        )
        session_id = (await self.write(lambda uow: uow.sessions.add(full))).id
        self.assertEqual(await self.look(lambda uow: uow.sessions.get(session_id)), full)

    async def test_a_repeated_start_gives_the_first_session(self) -> None:
        first = await self.a_session()
        again = await self.a_session(transaction_id="another")
        self.assertEqual((again.id, again.transaction_id), (first.id, "1"))

    async def test_a_taken_transaction_id_gives_the_session_that_has_it(self) -> None:
        first = await self.a_session()
        again = await self.a_session(start_key="another")
        self.assertEqual(again.id, first.id)

    async def test_the_same_transaction_id_of_two_chargers_is_two_sessions(self) -> None:
        first, second = await self.a_session(1), await self.a_session(2)
        self.assertNotEqual(first.id, second.id)
        found = await self.look(lambda uow: uow.sessions.by_transaction(2, "1"))
        self.assertEqual(found, second)

    async def test_orphans_without_transaction_id_stay_apart(self) -> None:
        first = await self.a_session(1, 1, transaction_id=None)
        second = await self.a_session(1, 2, transaction_id=None)
        self.assertNotEqual(first.id, second.id)

    async def test_racing_starts_with_one_key_make_one_session(self) -> None:
        ids = await self.race(lambda uow, number: uow.sessions.add(a_session(1, transaction_id=str(number))).id)
        self.assertEqual(len(set(ids)), 1)
        self.assertEqual(len(await self.look(lambda uow: uow.sessions.page())), 1)

    async def test_keys_of_hostile_length_are_kept_whole_and_told_apart(self) -> None:
        # Longer than an index of PostgreSQL takes, and not to be compressed into one.
        noise = "".join(chr(0x4E00 + (i * 7919) % 20000) for i in range(20_000))
        sessions = [await self.a_session(1, n, transaction_id=noise + str(n), id_token=noise) for n in (1, 2)]
        for session in sessions:
            found = await self.look(lambda uow, s: uow.sessions.by_transaction(1, s.transaction_id or ""), session)
            self.assertEqual(found, session)
        running = await self.look(lambda uow: uow.sessions.active_with_token(noise))
        self.assertEqual(running, sessions)

    async def test_sessions_are_found_by_start_key_and_transaction_before_they_are_written(self) -> None:
        def work(uow: SqlUnitOfWork) -> bool:
            session = uow.sessions.add(a_session(1))
            return (
                uow.sessions.by_start_key(1, "start-1") is session
                and uow.sessions.by_transaction(1, "1") is session
                and uow.sessions.active(1) == [session]
                and uow.sessions.get(session.id) is session
                and uow.sessions.by_start_key(2, "start-1") is None
            )

        self.assertTrue(await self.write(work))

    async def test_what_was_asked_for_and_not_there_is_found_once_it_is_added(self) -> None:
        def work(uow: SqlUnitOfWork) -> bool:
            missing = uow.sessions.by_start_key(1, "start-1") is None and uow.sessions.by_transaction(1, "1") is None
            session = uow.sessions.add(a_session(1))
            return missing and uow.sessions.by_start_key(1, "start-1") is session

        self.assertTrue(await self.write(work))

    async def test_active_sessions_are_the_oldest_first_and_change_with_the_record(self) -> None:
        for number in (3, 1, 2):
            await self.a_session(1, number)
        await self.a_session(1, 4, state=SessionState.ENDED)
        await self.a_session(2, 5)

        def end_the_oldest(uow: SqlUnitOfWork) -> list[str | None]:
            uow.sessions.active(1)[0].state = SessionState.ENDED
            return [session.transaction_id for session in uow.sessions.active(1)]

        self.assertEqual(await self.write(end_the_oldest), ["2", "3"])
        left = await self.look(lambda uow: uow.sessions.active(1))
        self.assertEqual([session.transaction_id for session in left], ["2", "3"])

    async def test_sessions_on_a_token_are_found_at_all_chargers_whatever_the_case(self) -> None:
        await self.a_session(1, 1, id_token="CARD")
        await self.a_session(2, 2, id_token="card")
        await self.a_session(3, 3, id_token="card", state=SessionState.ENDED)
        await self.a_session(4, 4)

        def work(uow: SqlUnitOfWork) -> list[int]:
            uow.sessions.active(4)[0].id_token = "Card"
            uow.sessions.add(a_session(5, 5, id_token="cARD"))
            return [session.charger_id for session in uow.sessions.active_with_token("caRd")]

        self.assertEqual(await self.write(work), [1, 2, 4, 5])
        found = await self.look(lambda uow: uow.sessions.active_with_token("card"))
        self.assertEqual([session.charger_id for session in found], [1, 2, 4, 5])

    async def test_a_transaction_that_runs_elsewhere_is_found_while_it_runs(self) -> None:
        await self.a_session(1, 1)
        await self.a_session(2, 2, state=SessionState.ENDED)

        def work(uow: SqlUnitOfWork) -> list[bool]:
            found = [uow.sessions.runs_elsewhere(charger, str(number)) for charger, number in ((2, 1), (1, 1), (1, 2))]
            uow.sessions.active(1)[0].state = SessionState.ENDED
            uow.sessions.add(a_session(3, 3))
            return [*found, uow.sessions.runs_elsewhere(2, "1"), uow.sessions.runs_elsewhere(2, "3")]

        self.assertEqual(await self.write(work), [True, False, False, False, True])

    async def test_pages_of_sessions_begin_with_the_newest(self) -> None:
        for number in range(1, 6):
            state = SessionState.ENDED if number % 2 else SessionState.ACTIVE
            await self.a_session(1 + number % 2, number, state=state)

        def numbers(uow: SqlUnitOfWork, **choice: Any) -> list[str | None]:
            return [session.transaction_id for session in uow.sessions.page(**choice)]

        self.assertEqual(await self.look(lambda uow: numbers(uow, limit=2)), ["5", "4"])
        before = (await self.look(lambda uow: uow.sessions.page(limit=2)))[-1].id
        self.assertEqual(await self.look(lambda uow: numbers(uow, before_id=before)), ["3", "2", "1"])
        self.assertEqual(await self.look(lambda uow: numbers(uow, active=True)), ["4", "2"])
        self.assertEqual(await self.look(lambda uow: numbers(uow, active=False, charger_id=2)), ["5", "3", "1"])

    async def test_a_page_shows_what_the_same_transaction_changed(self) -> None:
        await self.a_session()

        def work(uow: SqlUnitOfWork) -> list[str]:
            uow.sessions.active(1)[0].state = SessionState.ENDED
            uow.sessions.add(a_session(1, 2))
            return [session.state.value for session in uow.sessions.page(active=False)]

        self.assertEqual(await self.write(work), ["ended"])

    async def test_an_event_is_new_once(self) -> None:
        def work(uow: SqlUnitOfWork) -> list[bool]:
            return [uow.sessions.first_time(an_event(n)) for n in (0, 1, 0)]

        self.assertEqual(await self.write(work), [True, True, False])
        self.assertEqual(await self.write(work), [False, False, False])
        others = [an_event(0, "other"), an_event(0, charger_id=2), an_event(2)]
        self.assertEqual(await self.write(lambda uow: [uow.sessions.first_time(one) for one in others]), [True] * 3)

    async def test_racing_events_are_new_for_one_only(self) -> None:
        found = await self.race(lambda uow, _: uow.sessions.first_time(an_event()))
        self.assertEqual(sorted(found), [False] * 9 + [True])

    async def test_samples_come_back_in_the_order_of_their_time(self) -> None:
        samples = [
            a_sample(1, second, session_id=7, measurand=measurand, value=value, raw_value="raw", unit="Wh", phase="L1")
            for second, measurand, value in ((2, "A", 1e300), (0, "B", None), (1, "C", -0.25))
        ]
        await self.write(lambda uow: uow.sessions.add_samples([*samples, a_sample(1), a_sample(1, session_id=8)]))
        found = await self.look(lambda uow: uow.sessions.samples(7))
        self.assertEqual(found, [samples[1], samples[2], samples[0]])
        self.assertEqual(await self.look(lambda uow: uow.sessions.samples(7, limit=1)), [samples[1]])
        self.assertEqual(await self.look(lambda uow: uow.sessions.samples(0)), [])

    async def test_sessions_and_samples_of_many_are_fetched_together(self) -> None:
        def work(uow: SqlUnitOfWork) -> tuple[int, int]:
            first, second = (uow.sessions.add(a_session(1, number)).id for number in (1, 2))
            samples = [a_sample(1, second_, session_id=one) for second_ in (2, 0, 1) for one in (first, second)]
            uow.sessions.add_samples(samples)
            uow.sessions.add_samples(changed(one, measurand="Voltage", value=230.0) for one in samples)
            uow.sessions.add_samples([changed(samples[0], context="Trigger", value=None)])
            return first, second

        ids = await self.write(work)
        found = await self.look(lambda uow: uow.sessions.fetch([*ids, 99_999]))
        self.assertEqual(
            {key: session.transaction_id for key, session in found.items()}, dict(zip(ids, "12", strict=True))
        )
        one = a_sample(1, 0)
        expected = [Measured(a_sample(1, second).sampled_at, one.phase, one.value or 0.0) for second in range(3)]
        for limit in (1000, 6, 2):
            many = await self.look(
                lambda uow, limit=limit: uow.sessions.measured(one.measurand, [*ids, 0], limit=limit)
            )
            self.assertEqual(many, dict.fromkeys(ids, expected[:limit]))
        self.assertEqual(await self.look(lambda uow: uow.sessions.measured(one.measurand, [], limit=1)), {})

    async def test_a_sample_is_kept_once_however_often_it_comes(self) -> None:
        one = a_sample(1, session_id=7)
        later = changed(one, received_at=NOW + timedelta(hours=1), value=2.0, unit="kWh")
        await self.write(lambda uow: uow.sessions.add_samples([one, one]))
        await self.write(lambda uow: uow.sessions.add_samples([later]))
        self.assertEqual(await self.look(lambda uow: uow.sessions.samples(7)), [one])

    async def test_samples_differ_by_every_part_of_their_business_key(self) -> None:
        one = a_sample(1, session_id=7)
        others = [
            changed(one, charger_id=2),
            changed(one, sampled_at=NOW + timedelta(microseconds=1)),
            changed(one, evse_id=1),
            changed(one, connector_id=1),
            changed(one, measurand="Voltage"),
            changed(one, phase="L1"),
            changed(one, context="Sample.Clock"),
            changed(one, location="EV"),
        ]
        await self.write(lambda uow: uow.sessions.add_samples([one, *others, changed(one, session_id=8)]))
        self.assertEqual(len(await self.look(lambda uow: uow.sessions.samples(7))), 1 + len(others))
        self.assertEqual(len(await self.look(lambda uow: uow.sessions.samples(8))), 1)

    async def test_samples_of_odd_dates_are_kept(self) -> None:
        now = datetime.now(UTC)
        years = [datetime(year, 1, 31, 23, 59, 59, tzinfo=UTC) for year in (1, 1970, 2999, 9999)]
        moments = sorted([*years, now, now - timedelta(days=31)])
        samples = [a_sample(1, session_id=7, sampled_at=moment) for moment in moments]
        await self.write(lambda uow: uow.sessions.add_samples(samples))
        self.assertEqual([one.sampled_at for one in await self.look(lambda uow: uow.sessions.samples(7))], moments)

    async def test_a_second_summary_replaces_the_first(self) -> None:
        first = SessionSummary(
            session_id=7,
            charger_id=1,
            device_id="CP-1",
            id_token="card",
            started_at=NOW,
            stopped_at=NOW + timedelta(hours=1),
            duration_s=3600.0,
            energy_wh=1000.0,
            average_power_w=1000.0,
            peak_power_w=None,
            stop_reason="Local",
        )
        second = replace(first, energy_wh=1100.0, peak_power_w=11000.0)
        await self.write(lambda uow: uow.sessions.summarise(first))
        self.assertEqual(await self.look(lambda uow: uow.sessions.summary(7)), first)

        def again(uow: SqlUnitOfWork) -> SessionSummary | None:
            uow.sessions.summarise(second)
            return uow.sessions.summary(7)

        self.assertEqual(await self.write(again), second)
        self.assertEqual(await self.look(lambda uow: uow.sessions.summary(7)), second)
        self.assertIsNone(await self.look(lambda uow: uow.sessions.summary(8)))


class SqliteSessions(SessionsContract, SqliteCase):
    pass


class PostgresqlSessions(SessionsContract, PostgresqlCase):
    pass


del SessionsContract, DatabaseCase, SqliteCase, PostgresqlCase
