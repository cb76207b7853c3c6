"""Gateways, shards, rollups, sign-ins and totals, for each kind of database."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from twisted.internet.defer import Deferred, gatherResults

from csms.domain.model import Charger, HourlyUse, SessionState
from csms.domain.people import BUILT_IN_ADMIN
from csms.ports import Fenced
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase, a_session

HOUR = NOW.replace(minute=0, second=0, microsecond=0)


class ClusterContract(DatabaseCase):
    async def test_a_silent_gateway_is_told_once(self) -> None:
        for name, seconds in (("quiet", 0), ("loud", 0), ("loud", 60)):
            now = NOW + timedelta(seconds=seconds)
            await self.write(lambda uow, n, at: uow.gateways.alive(n, started_at=NOW, now=at), name, now)
        moment = NOW + timedelta(seconds=30)
        self.assertEqual(await self.write(lambda uow: uow.gateways.silent_since(moment)), ["quiet"])
        self.assertEqual(await self.write(lambda uow: uow.gateways.silent_since(moment)), [])

    async def test_the_number_of_shards_stays_what_it_was_first(self) -> None:
        self.assertEqual(await self.write(lambda uow: uow.shards.count(default=4)), 4)
        self.assertEqual(await self.write(lambda uow: uow.shards.count(default=8)), 4)

    async def test_racing_first_starts_agree_on_the_number_of_shards(self) -> None:
        counts = await self.race(lambda uow, number: uow.shards.count(default=number), range(1, 9))
        self.assertEqual(len(set(counts)), 1)

    async def test_whoever_took_a_shard_before_is_fenced(self) -> None:
        first = await self.write(lambda uow: uow.shards.take(0))
        await self.write(lambda uow: uow.shards.fence({0: first}))
        second = await self.write(lambda uow: uow.shards.take(0))
        self.assertGreater(second, first)
        await self.write(lambda uow: uow.shards.fence({0: second}))

        def zombie(uow: SqlUnitOfWork) -> None:
            uow.chargers.add(Charger(device_id="CP-1"))
            uow.shards.fence({0: first})

        await self.refused(self.write(zombie), Fenced)
        self.assertEqual(await self.look(lambda uow: uow.chargers.page()), [])

    async def test_a_shard_that_nobody_took_is_fenced(self) -> None:
        await self.refused(self.write(lambda uow: uow.shards.fence({3: 1})), Fenced)

    async def test_shards_have_epochs_of_their_own(self) -> None:
        epoch = await self.write(lambda uow: uow.shards.take(0))
        await self.write(lambda uow: uow.shards.take(1))
        await self.write(lambda uow: uow.shards.fence({0: epoch}))

    async def test_a_taker_waits_for_the_transaction_that_holds_the_fence(self) -> None:
        epoch = await self.write(lambda uow: uow.shards.take(0))
        other = await self.opened()
        inside, resume = threading.Event(), threading.Event()
        self.addCleanup(resume.set)
        order: list[str] = []

        def hold(uow: SqlUnitOfWork) -> None:
            uow.shards.fence({0: epoch})
            inside.set()
            resume.wait(30)
            order.append("holder")

        def take(uow: SqlUnitOfWork) -> None:
            uow.shards.take(0)
            order.append("taker")

        holding = Deferred.fromCoroutine(self.write(hold))
        await self.look(lambda _: inside.wait(30))
        taking = Deferred.fromCoroutine(other.transact(take, name="take"))
        # A read of the same pool comes back, so the taker has had the time to pass, had it been let.
        await other.read(lambda uow: uow.chargers.page(), name="look")
        resume.set()
        await gatherResults([holding, taking])
        self.assertEqual(order, ["holder", "taker"])

    async def test_use_adds_up_within_and_across_transactions(self) -> None:
        later = HOUR + timedelta(hours=1)
        batches = [
            [HourlyUse(charger_id=1, hour=HOUR, energy_wh=1.5, sessions_started=1)] * 2,
            [
                HourlyUse(charger_id=1, hour=HOUR, energy_wh=2.0, sessions_ended=1, charging_s=60.0),
                HourlyUse(charger_id=1, hour=later, energy_wh=0.5),
                HourlyUse(charger_id=2, hour=HOUR, energy_wh=100.0),
            ],
        ]
        for uses in batches:
            await self.write(lambda uow, batch: uow.analytics.add_use(batch), uses)
        until = HOUR + timedelta(hours=2)
        found = await self.look(lambda uow: uow.analytics.use(1, since=HOUR, until=until))
        total = HourlyUse(charger_id=1, hour=HOUR, energy_wh=5.0, sessions_started=2, sessions_ended=1, charging_s=60.0)
        self.assertEqual(found, [total, HourlyUse(charger_id=1, hour=later, energy_wh=0.5)])
        self.assertEqual(await self.look(lambda uow: uow.analytics.use(1, since=HOUR, until=later)), [total])

    async def test_racing_additions_all_count(self) -> None:
        uses = [HourlyUse(charger_id=n, hour=HOUR, energy_wh=1.0) for n in range(5)]
        await self.race(lambda uow, batch: uow.analytics.add_use(batch), [uses, uses[::-1]] * 5)
        found = await self.look(lambda uow: uow.analytics.use(3, since=HOUR, until=HOUR + timedelta(hours=1)))
        self.assertEqual(found[0].energy_wh, 10.0)

    async def test_a_register_is_what_was_set_last(self) -> None:
        self.assertIsNone(await self.look(lambda uow: uow.analytics.registers([7]).get(7)))

        def work(uow: SqlUnitOfWork) -> tuple[float, datetime] | None:
            uow.analytics.set_register(7, 1.0, NOW)
            uow.analytics.set_register(7, 2.0, NOW + timedelta(seconds=1))
            return uow.analytics.registers([7]).get(7)

        expected = (2.0, NOW + timedelta(seconds=1))
        self.assertEqual(await self.write(work), expected)
        self.assertEqual(await self.look(lambda uow: uow.analytics.registers([7]).get(7)), expected)

    async def test_racing_rollups_of_one_session_go_on_where_the_other_has_left_off(self) -> None:
        def advance(uow: SqlUnitOfWork, _: int) -> None:
            energy_wh, at = uow.analytics.registers([7]).get(7, (0.0, NOW))
            uow.analytics.set_register(7, energy_wh + 1, at + timedelta(seconds=1))

        await self.race(advance)
        found = await self.look(lambda uow: uow.analytics.registers([7]))
        self.assertEqual(found[7], (10.0, NOW + timedelta(seconds=10)))

    async def test_a_sign_in_link_works_once_and_before_it_expires(self) -> None:
        for name in ("fresh", "old"):
            expiry = NOW + timedelta(minutes=1 if name == "fresh" else -1)
            await self.write(lambda uow, n, at: uow.web.add_link(n, expires_at=at), name, expiry)
        uses = [
            await self.write(lambda uow, n: uow.web.use_link(n, now=NOW), name)
            for name in ("old", "fresh", "fresh", "x")
        ]
        self.assertEqual(uses, [False, True, False, False])

    async def test_racing_uses_of_a_link_let_one_in(self) -> None:
        await self.write(lambda uow: uow.web.add_link("link", expires_at=NOW + timedelta(minutes=1)))
        found = await self.race(lambda uow, _: uow.web.use_link("link", now=NOW))
        self.assertEqual(sorted(found), [False] * 9 + [True])

    async def test_a_browser_session_lives_until_it_is_removed(self) -> None:
        expiry = NOW + timedelta(hours=1)
        await self.write(lambda uow: uow.web.add_session("s", created_at=NOW, expires_at=expiry))
        entered = await self.look(lambda uow: uow.people.entered("s"))
        assert entered is not None
        self.assertEqual((entered.expires_at, entered.principal), (expiry, BUILT_IN_ADMIN))
        self.assertTrue(await self.look(lambda uow: uow.web.any_session(now=NOW)))
        self.assertFalse(await self.look(lambda uow: uow.web.any_session(now=expiry)))
        await self.write(lambda uow: uow.web.remove_session("s"))
        self.assertIsNone(await self.look(lambda uow: uow.people.entered("s")))

    async def test_counts(self) -> None:
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

        def fill(uow: SqlUnitOfWork) -> None:
            for name in ("a", "b", "c"):
                uow.chargers.add(Charger(device_id=name, connected=name != "c"))
            for number, state in enumerate(SessionState):
                uow.sessions.add(a_session(1, number, state=state))
            for hours, energy_wh in ((-1, 100.0), (0, 1.0), (23, 2.0)):
                uow.analytics.add_use(
                    [HourlyUse(charger_id=1, hour=midnight + timedelta(hours=hours), energy_wh=energy_wh)]
                )

        empty = {"chargers": 0, "connected": 0, "sessions_active": 0, "energy_today_wh": 0.0}
        self.assertEqual(await self.look(lambda uow: uow.counts()), empty)
        await self.write(fill)
        expected = {"chargers": 3, "connected": 2, "sessions_active": 1, "energy_today_wh": 3.0}
        self.assertEqual(await self.look(lambda uow: uow.counts()), expected)


class SqliteCluster(ClusterContract, SqliteCase):
    pass


class PostgresqlCluster(ClusterContract, PostgresqlCase):
    pass


del ClusterContract, DatabaseCase, SqliteCase, PostgresqlCase
