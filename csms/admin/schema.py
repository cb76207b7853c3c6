"""``csms-admin migrate``: the database's tables, brought up to date."""

from __future__ import annotations

import argparse

from csms.admin.output import Answer
from csms.admin.site import Site


async def migrate(site: Site, arguments: argparse.Namespace) -> Answer:
    """Make the tables that this version needs; does nothing where they are there."""
    await site.database()
    return Answer("the database is up to date", {"migrated": True})
