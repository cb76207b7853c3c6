"""``csms-admin group ...``: groups of tokens and how many sessions they may have at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from csms.admin.auditing import note
from csms.admin.output import Answer, CommandError, table
from csms.admin.site import Site
from csms.domain.repositories import UnitOfWork
from csms.domain.token_csv import token_objection
from csms.domain.token_records import TokenGroup

_PAGE = 500


async def add(site: Site, arguments: argparse.Namespace) -> Answer:
    """Make a group known, with a limit if there is one."""
    name = arguments.name
    if token_objection(name):
        raise CommandError(f"{name!r} cannot be a group: 1 to 255 printable characters")
    new = TokenGroup(name=name, max_sessions=arguments.max_sessions, note=arguments.note, created_at=site.now())

    def work(uow: UnitOfWork) -> bool:
        if uow.token_groups.get(name) is not None:
            return False
        uow.token_groups.add(new)
        note(site, uow, "group add", f"token-groups/{name}", after={"maxSessions": new.max_sessions, "note": new.note})
        return True

    database = await site.database()
    if not await database.transact(work, name="add group"):
        raise CommandError(f"group {name} is there already; `group set-limit` changes its limit")
    return Answer(f"added group {name}, {_limit(new.max_sessions)}", {"group": name})


async def set_limit(site: Site, arguments: argparse.Namespace) -> Answer:
    """Let the group's tokens have so many sessions at once, or any number."""

    def work(uow: UnitOfWork) -> bool:
        group = uow.token_groups.get(arguments.name)
        if group is None:
            return False
        before, group.max_sessions = group.max_sessions, arguments.limit
        note(
            site,
            uow,
            "group set-limit",
            f"token-groups/{group.name}",
            before={"maxSessions": before},
            after={"maxSessions": arguments.limit},
        )
        return True

    database = await site.database()
    if not await database.transact(work, name="set group limit"):
        raise _unknown(arguments.name)
    return Answer(
        f"group {arguments.name}: {_limit(arguments.limit)}",
        {"group": arguments.name, "maxSessions": arguments.limit},
    )


async def remove(site: Site, arguments: argparse.Namespace) -> Answer:
    """Forget the group's limit; its tokens stay in it."""

    def work(uow: UnitOfWork) -> bool:
        group = uow.token_groups.get(arguments.name)
        if group is None:
            return False
        note(site, uow, "group remove", f"token-groups/{group.name}", before={"maxSessions": group.max_sessions})
        return uow.token_groups.remove(group.name)

    database = await site.database()
    if not await database.transact(work, name="remove group"):
        raise _unknown(arguments.name)
    return Answer(
        f"removed group {arguments.name}; tokens that name it have no common limit", {"group": arguments.name}
    )


async def list_all(site: Site, arguments: argparse.Namespace) -> Answer:
    """All groups that were added."""
    database = await site.database()
    rows: list[dict[str, Any]] = []
    after = ""
    while True:

        def work(uow: UnitOfWork, after: str = after) -> Sequence[TokenGroup]:
            return uow.token_groups.page(after=after, limit=_PAGE)

        page = await database.read(work, name="list groups")
        rows += [{"group": group.name, "maxSessions": group.max_sessions, "note": group.note} for group in page]
        if len(page) < _PAGE:
            return table(rows, "no groups yet; `csms-admin group add <name> --max-sessions N` adds one")
        after = page[-1].name


def limit(text: str) -> int | None:
    """A command's argument: a positive number, or ``none``."""
    if text == "none":
        return None
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _limit(max_sessions: int | None) -> str:
    return "without a limit" if max_sessions is None else f"at most {max_sessions} sessions at once"


def _unknown(name: str) -> CommandError:
    return CommandError(f"there is no group {name}; `csms-admin group list` shows them")
