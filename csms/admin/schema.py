"""``csms-admin migrate``: the database's tables, brought up to date."""

from __future__ import annotations

import argparse
import sys

from csms.admin.output import Answer, CommandError
from csms.admin.site import Site


async def migrate(site: Site, arguments: argparse.Namespace) -> Answer:
    """Make the tables that this version needs, telling of each step; or only say whether they are there."""
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

    await site.database(tell=tell)
    text = f"the database is up to date: {before.newest}" + (f", was {was}" if done else "")
    return Answer(
        text, answer | {"current": before.newest, "missing": [], "was": before.current, "migrated": bool(done)}
    )
