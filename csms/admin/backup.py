"""``csms-admin backup`` and ``after-restore``: a copy of the database, and its way back."""

from __future__ import annotations

import argparse
from pathlib import Path

from csms.admin.auditing import note
from csms.admin.output import Answer, CommandError
from csms.admin.site import Site
from csms.domain import command_life
from csms.domain.commands import to_publish
from csms.domain.handling import Notes
from csms.domain.identifiers import new_id
from csms.domain.repositories import UnitOfWork
from csms.storage.backup import back_up


async def backup(site: Site, arguments: argparse.Namespace) -> Answer:
    """Copy the SQLite database while it is in use."""
    target = Path(arguments.file)
    try:
        size = back_up(site.settings.database.url, target)
    except OSError as error:
        raise CommandError(f"cannot write {target}: {error.strerror or error}") from error
    return Answer(f"{target}: {size} bytes, checked", {"file": str(target), "bytes": size})


async def after_restore(site: Site, arguments: argparse.Namespace) -> Answer:
    """Make a database that was restored fit to go on."""
    database = await site.database()
    await database.skip_ids(arguments.skip)
    now = site.now()

    def work(uow: UnitOfWork) -> int:
        notes = Notes(new_id(int(now.timestamp() * 1000)), now)
        given_up = command_life.give_up_all(uow, now, notes)
        to_publish(uow, notes)
        note(site, uow, "after-restore", "database", after={"skipped": arguments.skip, "commandsGivenUp": given_up})
        return given_up

    given_up = await database.transact(work, name="give up commands")
    text = f"new ids begin {arguments.skip} higher; {given_up} commands that were open are unknown"
    return Answer(text, {"skipped": arguments.skip, "commandsGivenUp": given_up})
