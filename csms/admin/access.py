"""``csms-admin sign-in-link``: the way into the console."""

from __future__ import annotations

import argparse

from csms.admin.output import Answer
from csms.admin.site import Site
from csms.api.access import create_sign_in_link


async def sign_in_link(site: Site, arguments: argparse.Namespace) -> Answer:
    """A new link that signs in whoever uses it first."""
    http = site.settings.http
    link = await create_sign_in_link(await site.database(), http, site.now())
    return Answer(
        f"{link}\nIt signs in whoever opens it first, within {http.sign_in_link_minutes:g} minutes.",
        {"url": link, "minutes": http.sign_in_link_minutes},
    )
