"""Users, API tokens and the log of changes, for each kind of database."""

from __future__ import annotations

from datetime import timedelta

from csms.domain.people import ApiToken, AuditEntry, PrincipalKind, Role, User
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase

LATER = NOW + timedelta(hours=1)


def a_user(name: str, role: Role = Role.OPERATOR) -> User:
    return User(name=name, role=role, password_hash="h", created_at=NOW)


def a_token(token_hash: str, user_id: int, role: Role = Role.ADMIN) -> ApiToken:
    return ApiToken(name="meter", role=role, token_hash=token_hash, user_id=user_id, expires_at=LATER, created_at=NOW)


class PeopleContract(DatabaseCase):
    async def test_a_name_is_taken_whatever_its_case(self) -> None:
        await self.write(lambda uow: uow.people.add_user(a_user("Ann")))
        again = await self.write(lambda uow: uow.people.add_user(a_user("ANN", Role.ADMIN)))
        self.assertEqual((again.name, again.role), ("Ann", Role.OPERATOR))

    async def test_of_many_who_take_a_name_at_once_one_gets_it(self) -> None:
        made = await self.race(lambda uow, _: uow.people.add_user(a_user("ann")).id)
        self.assertEqual(len(set(made)), 1)

    async def test_users_come_by_name(self) -> None:
        for name in ("bob", "Ann", "cid"):
            await self.write(lambda uow, name: uow.people.add_user(a_user(name)), name)
        first = await self.look(lambda uow: [user.name for user in uow.people.users(limit=2)])
        rest = await self.look(lambda uow: [user.name for user in uow.people.users(after="bob")])
        self.assertEqual((first, rest), (["Ann", "bob"], ["cid"]))

    async def test_a_sign_in_has_its_users_role_of_now(self) -> None:
        await self.sign_in("s", await self.a_user("ann"))

        def promote(uow: SqlUnitOfWork) -> None:
            user = uow.people.user("ann")
            assert user is not None
            user.role = Role.ADMIN

        await self.write(promote)
        entered = await self.look(lambda uow: uow.people.entered("s"))
        assert entered is not None
        self.assertEqual((entered.principal.name, entered.principal.role), ("ann", Role.ADMIN))
        self.assertEqual(entered.principal.kind, PrincipalKind.SESSION)

    async def test_a_token_does_no_more_than_its_user(self) -> None:
        user_id = await self.a_user("ann")
        await self.write(lambda uow: uow.people.add_token(a_token("admin", user_id)))
        await self.write(lambda uow: uow.people.add_token(a_token("viewer", user_id, Role.VIEWER)))
        await self.write(lambda uow: uow.people.add_token(a_token("link", 0)))
        for token_hash, role in (("admin", Role.OPERATOR), ("viewer", Role.VIEWER), ("link", Role.ADMIN)):
            entered = await self.look(lambda uow, one: uow.people.entered_by_token(one), token_hash)
            assert entered is not None
            self.assertEqual(entered.principal.role, role, token_hash)

    async def test_with_a_user_go_sign_ins_and_tokens_and_nobody_elses(self) -> None:
        ann, bob = await self.a_user("ann"), await self.a_user("bob")
        for name, user_id in (("a", ann), ("b", bob)):
            await self.sign_in(name, user_id)
            await self.write(lambda uow, given: uow.people.add_token(a_token(*given)), (f"t-{name}", user_id))

        def remove(uow: SqlUnitOfWork) -> list[str]:
            user = uow.people.user("ann")
            assert user is not None
            return list(uow.people.remove_user(user))

        self.assertEqual(await self.write(remove), ["a", "t-a"])
        self.assertIsNone(await self.look(lambda uow: uow.people.user("ann")))
        self.assertIsNone(await self.look(lambda uow: uow.people.entered("a")))
        self.assertIsNone(await self.look(lambda uow: uow.people.entered_by_token("t-a")))
        self.assertIsNotNone(await self.look(lambda uow: uow.people.entered("b")))
        self.assertIsNotNone(await self.look(lambda uow: uow.people.entered_by_token("t-b")))

    async def test_changes_are_found_by_who_what_and_whatever_is_below_it(self) -> None:
        def add(uow: SqlUnitOfWork) -> None:
            for name, target in (("ann", "chargers/A"), ("ann", "chargers/A/x"), ("bob", "chargers/AB"), ("bob", "u_")):
                uow.audit.add(
                    AuditEntry(at=NOW, kind=PrincipalKind.SESSION, name=name, address="::1", action="do", target=target)
                )

        await self.write(add)

        def targets(uow: SqlUnitOfWork, **wanted: str) -> list[str]:
            return [entry.target for entry in uow.audit.page(**wanted)]  # type: ignore[arg-type]

        self.assertEqual(await self.look(lambda uow: targets(uow, name="bob")), ["u_", "chargers/AB"])
        self.assertEqual(await self.look(lambda uow: targets(uow, target="chargers/A")), ["chargers/A/x", "chargers/A"])
        (newest,) = await self.look(lambda uow: uow.audit.page(limit=1))
        self.assertEqual(len(await self.look(lambda uow: uow.audit.page(before=newest.id))), 3)

    async def a_user(self, name: str) -> int:
        return await self.write(lambda uow: uow.people.add_user(a_user(name)).id)

    async def sign_in(self, token_hash: str, user_id: int) -> None:
        await self.write(lambda uow: uow.web.add_session(token_hash, created_at=NOW, expires_at=LATER, user_id=user_id))


class SqlitePeopleTest(PeopleContract, SqliteCase):
    pass


class PostgresqlPeopleTest(PeopleContract, PostgresqlCase):
    pass


del PeopleContract
