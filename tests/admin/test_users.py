"""csms-admin user ..., against a database of its own."""

from __future__ import annotations

from typing import Any

from csms.api.passwords import verify
from csms.domain.people import AuditEntry, User
from csms.storage.database import SqlDatabase
from tests.admin.test_commands import GOOD, CommandCase

OTHER = "another good password"


class UserTest(CommandCase):
    async def test_the_life_of_a_user(self) -> None:
        await self.admin("user", "add", "ann", "--role", "operator", "--password-file", self.file(GOOD))
        self.assertIn("is there already", await self.refused("user", "add", "ANN", "--password-file", self.file(GOOD)))
        ann = await self.user("ann")
        assert ann is not None
        self.assertEqual((ann.role, verify(ann.password_hash, GOOD), ann.version), ("operator", True, 1))
        await self.admin("user", "set-password", "ann", "--password-file", self.file(OTHER))
        await self.admin("user", "set-role", "ann", "admin")
        ann = await self.user("ann")
        assert ann is not None
        self.assertEqual((ann.role, verify(ann.password_hash, OTHER), ann.version), ("admin", True, 3))
        self.assertEqual([row["name"] for row in (await self.admin("user", "list")).data], ["ann"])
        await self.admin("user", "remove", "ann")
        self.assertIsNone(await self.user("ann"))
        self.assertIn("no user ann", await self.refused("user", "remove", "ann"))

    async def test_what_was_done_is_in_the_log_of_changes(self) -> None:
        await self.admin("user", "add", "ann", "--password-file", self.file(GOOD))
        await self.admin("user", "set-role", "ann", "operator")

        async def find(database: SqlDatabase) -> Any:
            return await database.read(lambda uow: uow.audit.page(), name="find")

        found: list[AuditEntry] = await self.with_database(find)
        self.assertEqual([entry.action for entry in found], ["user set-role", "user add"])
        self.assertEqual({entry.kind for entry in found}, {"shell"})
        self.assertEqual((found[0].before, found[0].after), ('{"role":"viewer"}', '{"role":"operator"}'))

    async def test_another_password_ends_the_sign_ins(self) -> None:
        await self.admin("user", "add", "ann", "--password-file", self.file(GOOD))
        ann = await self.user("ann")
        assert ann is not None

        async def sign_in(database: SqlDatabase) -> None:
            times = {"created_at": ann.created_at, "expires_at": ann.created_at}
            await database.transact(lambda uow: uow.web.add_session("s", **times, user_id=ann.id), name="sign in")

        await self.with_database(sign_in)
        await self.admin("user", "set-password", "ann", "--password-file", self.file(OTHER))

        async def find(database: SqlDatabase) -> Any:
            return await database.read(lambda uow: uow.people.entered("s"), name="find")

        self.assertIsNone(await self.with_database(find))

    async def test_bad_names_and_passwords_are_refused(self) -> None:
        self.assertIn("password", await self.refused("user", "add", "ann", "--password-file", self.file("short")))
        self.assertIn("name", await self.refused("user", "add", "a b", "--password-file", self.file(GOOD)))

    def file(self, password: str) -> str:
        path = self.directory / "password"
        path.write_text(password + "\n")
        return str(path)

    async def user(self, name: str) -> User | None:
        async def find(database: SqlDatabase) -> User | None:
            return await database.read(lambda uow: uow.people.user(name), name="find")

        found: User | None = await self.with_database(find)
        return found
