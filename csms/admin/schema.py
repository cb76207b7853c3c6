"""``csms-admin migrate`` and ``declare``: what services do at their start, where their own users may not."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from csms.admin.output import Answer, CommandError
from csms.admin.site import Site
from csms.domain.retention import Retention
from csms.parts import is_embedded


async def migrate(site: Site, arguments: argparse.Namespace) -> Answer:
    """Make the tables that this version needs, telling of each step; or only say whether they are there.

    Then the partitions of the coming months, and an end to what is too old: services do it, if they own the tables.
    """
    before = await site.schema()
    answer = {"current": before.current, "newest": before.newest, "missing": list(before.missing)}
    was = before.current or "empty"
    if arguments.check:
        if before.missing:
            steps = "".join(f"\n  {step}" for step in before.missing)
            raise CommandError(f"the schema is {was}, this version needs {before.newest}; missing:{steps}")
        return Answer(f"the database is up to date: {before.newest}", answer | {"migrated": False})
    done: list[str] = []

    def tell(step: str) -> None:
        done.append(step)
        print(f"{len(done)}/{len(before.missing)} {step}", file=sys.stderr, flush=True)

    database = await site.database(tell=tell)
    await database.maintain(site.now(), Retention(**dataclasses.asdict(site.settings.retention)))
    text = f"the database is up to date: {before.newest}" + (f", was {was}" if done else "")
    return Answer(
        text, answer | {"current": before.newest, "missing": [], "was": before.current, "migrated": bool(done)}
    )


async def declare(site: Site, arguments: argparse.Namespace) -> Answer:
    """Make the exchanges, queues and bindings; does nothing where they are there."""
    if is_embedded(site.settings.broker):
        raise CommandError("the broker lives in the process of `twistd csms`, which makes what it needs")
    await site.broker()
    return Answer("exchanges and queues are there", {"declared": True})
