"""What a charger's login does to a new password that is on its way to it."""

from __future__ import annotations

from csms.domain.credentials import generate_password, hash_password, verify
from csms.domain.model import Charger
from csms.domain.password_rotation import offer
from csms.gateway import admission, directory
from tests.gateway.case import GatewayCase

OLD, NEW = generate_password(), generate_password()


class RotationTests(GatewayCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.patch(directory, "FRESH_S", 0.0)
        await self.start()
        self.one: Charger = self.charger(password_hash=hash_password(OLD))

    async def comes_with(self, password: str) -> int:
        return await self.status("/ocpp/CP1", password=password)

    async def test_a_lost_answer_locks_out_neither_and_the_first_login_settles_it(self) -> None:
        offer(self.one, "c1", NEW)
        self.assertEqual(await self.comes_with(OLD), 101)
        self.assertEqual(await self.comes_with(OLD), 101)
        self.assertEqual(await self.comes_with(NEW), 101)
        self.assertEqual(await self.comes_with(OLD), 401)
        self.assertEqual(await self.comes_with(NEW), 101)
        self.assertTrue(verify(self.one.password_hash, NEW))
        self.assertEqual(self.one.next_passwords, {})

    async def test_a_login_while_the_database_is_away_settles_it_the_next_time(self) -> None:
        offer(self.one, "c1", NEW)
        self.assertEqual(await self.comes_with(OLD), 101)
        self.database.away = True
        self.assertEqual(await self.comes_with(NEW), 101)
        self.assertEqual(await self.comes_with(OLD), 101)
        self.database.away = False
        self.assertEqual(await self.comes_with(NEW), 101)
        self.assertEqual(await self.comes_with(OLD), 401)

    async def test_a_password_offered_a_moment_ago_opens(self) -> None:
        self.patch(directory, "FRESH_S", 60.0)
        self.patch(admission, "RECHECK_S", 0.0)
        self.assertEqual(await self.comes_with(OLD), 101)
        offer(self.one, "c1", NEW)
        self.assertEqual(await self.comes_with(NEW), 101)
        self.assertEqual(await self.comes_with(OLD), 401)


class FirstPasswordTests(GatewayCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.patch(directory, "FRESH_S", 0.0)
        self.one: Charger = self.charger(password_hash="")
        offer(self.one, "c1", NEW)

    async def comes_with(self, password: str | None) -> int:
        return await self.status("/ocpp/CP1", password=password)

    async def test_a_charger_that_had_none_comes_without_or_with_it_until_it_has_come_with_it(self) -> None:
        await self.start(require_password=False)
        self.assertEqual(await self.comes_with(None), 101)
        self.assertEqual(await self.comes_with(OLD), 101)
        self.assertEqual(await self.comes_with(NEW), 101)
        self.assertTrue(verify(self.one.password_hash, NEW))
        for password, status in ((None, 401), (OLD, 401), (NEW, 101)):
            self.assertEqual(await self.comes_with(password), status)

    async def test_where_a_password_is_needed_it_opens_and_nothing_else_does(self) -> None:
        await self.start()
        for password, status in ((None, 401), (OLD, 401), (NEW, 101), (None, 401)):
            self.assertEqual(await self.comes_with(password), status)
