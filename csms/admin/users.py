"""``csms-admin user ...``: people who sign in with name and password."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from csms.admin.auditing import note
from csms.admin.output import Answer, CommandError, table
from csms.admin.site import Site, read_input
from csms.api.passwords import hash_password
from csms.domain.people import Role, User, name_objection, password_objection
from csms.domain.repositories import UnitOfWork

_PAGE = 500


async def add(site: Site, arguments: argparse.Namespace) -> Answer:
    """Let somebody sign in."""
    name, role = arguments.name, Role(arguments.role)
    objection = name_objection(name)
    if objection:
        raise CommandError(f"{name!r}: {objection}")
    user = User(name=name, role=role, password_hash=_hashed(arguments), created_at=site.now())

    def work(uow: UnitOfWork) -> bool:
        if uow.people.user(name) is not None:
            return False
        uow.people.add_user(user)
        note(site, uow, "user add", f"users/{name}", after={"role": role})
        return True

    database = await site.database()
    if not await database.transact(work, name="add user"):
        raise CommandError(f"user {name} is there already; `user set-password` and `user set-role` change it")
    return Answer(f"added {role} {name}", {"name": name, "role": role})


async def set_password(site: Site, arguments: argparse.Namespace) -> Answer:
    """Give a user another password; all sign-ins of the user end."""
    password_hash = _hashed(arguments)

    def change(uow: UnitOfWork, user: User) -> None:
        user.password_hash = password_hash
        uow.people.end_sign_ins(user)
        note(site, uow, "user set-password", f"users/{user.name}")

    await _changed(site, arguments.name, change)
    return Answer(f"user {arguments.name} has a new password", {"name": arguments.name})


async def set_role(site: Site, arguments: argparse.Namespace) -> Answer:
    """Give a user another role; all sign-ins of the user end."""
    role = Role(arguments.role)

    def change(uow: UnitOfWork, user: User) -> None:
        note(site, uow, "user set-role", f"users/{user.name}", before={"role": user.role}, after={"role": role})
        user.role = role
        uow.people.end_sign_ins(user)

    await _changed(site, arguments.name, change)
    return Answer(f"user {arguments.name} is {role} now", {"name": arguments.name, "role": role})


async def remove(site: Site, arguments: argparse.Namespace) -> Answer:
    """Forget a user, with all sign-ins and API tokens."""

    def change(uow: UnitOfWork, user: User) -> None:
        note(site, uow, "user remove", f"users/{user.name}", before={"role": user.role})
        uow.people.remove_user(user)

    await _changed(site, arguments.name, change)
    return Answer(f"removed user {arguments.name}", {"name": arguments.name})


async def list_all(site: Site, arguments: argparse.Namespace) -> Answer:
    """All users."""
    database = await site.database()
    rows: list[dict[str, Any]] = []
    after = ""
    while True:

        def work(uow: UnitOfWork, after: str = after) -> Sequence[User]:
            return uow.people.users(after=after, limit=_PAGE)

        page = await database.read(work, name="list users")
        rows += [{"name": user.name, "role": user.role.value, "createdAt": user.created_at} for user in page]
        if len(page) < _PAGE:
            return table(rows, "no users yet; `csms-admin user add <name>` adds one")
        after = page[-1].name


async def _changed(site: Site, name: str, change: Callable[[UnitOfWork, User], None]) -> None:
    def work(uow: UnitOfWork) -> bool:
        user = uow.people.user(name)
        if user is None:
            return False
        user.version += 1
        change(uow, user)
        return True

    database = await site.database()
    if not await database.transact(work, name="change user"):
        raise CommandError(f"there is no user {name}")


def _hashed(arguments: argparse.Namespace) -> str:
    password = read_input(arguments.password_file).rstrip("\r\n")
    objection = password_objection(password, arguments.name)
    if objection:
        raise CommandError(f"the password is refused: {objection}")
    return hash_password(password)
