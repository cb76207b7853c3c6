"""``csms-admin dead-letter ...``: the messages that could not be handled."""

from __future__ import annotations

import argparse
from typing import Any

from csms.admin.auditing import note
from csms.admin.output import Answer, CommandError, table
from csms.admin.site import Site
from csms.domain.repositories import UnitOfWork
from csms.logs import escape
from csms.ports import DeadLetter, DeadLetters

_LIMIT = 1000


async def list_all(site: Site, arguments: argparse.Namespace) -> Answer:
    """The oldest dead letters."""
    letters = await (await site.dead_letters()).browse(arguments.limit)
    return table([_row(letter) for letter in letters], "no dead letters")


async def show(site: Site, arguments: argparse.Namespace) -> Answer:
    """One dead letter with its body."""
    letter = await _find(await site.dead_letters(), arguments.id)
    body = letter.message.body.decode("utf-8", "backslashreplace")
    row = _row(letter)
    headers = {name: value for name, value in letter.message.headers.items() if not name.startswith("x-")}
    data = {**row, "exchange": letter.exchange, "routingKey": letter.routing_key, "headers": headers, "body": body}
    lines = [f"{name}: {escape(str(value))}" for name, value in data.items()]
    return Answer("\n".join(lines), data)


async def replay(site: Site, arguments: argparse.Namespace) -> Answer:
    """Send dead letters back to where they died."""
    letters = await site.dead_letters()
    ids = await _chosen(letters, arguments)
    await _note(site, "dead-letter replay", ids)
    count = await letters.replay(ids)
    return _counted("replayed", count, ids)


async def drop(site: Site, arguments: argparse.Namespace) -> Answer:
    """Forget dead letters for good."""
    letters = await site.dead_letters()
    ids = await _chosen(letters, arguments)
    await _note(site, "dead-letter drop", ids)
    count = await letters.drop(ids)
    return _counted("dropped", count, ids)


async def _chosen(letters: DeadLetters, arguments: argparse.Namespace) -> list[str]:
    if arguments.all:
        return [letter.id for letter in await letters.browse(_LIMIT)]
    if not arguments.ids:
        raise CommandError("name the ids of dead letters, or --all")
    return list(arguments.ids)


async def _find(letters: DeadLetters, wanted: str) -> DeadLetter:
    for letter in await letters.browse(_LIMIT):
        if letter.id == wanted:
            return letter
    raise CommandError(f"there is no dead letter {wanted} among the oldest {_LIMIT}")


async def _note(site: Site, action: str, ids: list[str]) -> None:
    """Beforehand: the letters may be in the broker, out of reach of the database's transaction."""

    def work(uow: UnitOfWork) -> None:
        for letter_id in ids:
            note(site, uow, action, f"dead-letters/{letter_id}")

    database = await site.database()
    await database.transact(work, name="note dead letters")


def _counted(verb: str, count: int, ids: list[str]) -> Answer:
    if ids and not count:
        raise CommandError(f"none of these is among the dead letters: {' '.join(ids)}")
    return Answer(f"{verb} {count} of {len(ids)}", {verb: count, "asked": len(ids)})


def _row(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "diedAt": letter.died_at,
        "queue": letter.queue,
        "type": letter.message.type,
        "reason": letter.reason,
    }
