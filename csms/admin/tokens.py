"""``csms-admin token ...``: the cards and accounts that may charge."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from csms.admin.auditing import note
from csms.admin.output import Answer, CommandError, table
from csms.admin.site import Site
from csms.domain.model import IdToken
from csms.domain.repositories import UnitOfWork
from csms.domain.token_csv import moment, token_objection

_PAGE = 500


async def add(site: Site, arguments: argparse.Namespace) -> Answer:
    """Let a token charge."""
    token = _token(arguments.token)
    new = IdToken(
        token=token,
        type=arguments.type,
        expires_at=_moment(arguments.expires) if arguments.expires else None,
        group=arguments.group,
        max_sessions=arguments.max_sessions,
        note=arguments.note,
        created_at=site.now(),
    )

    def work(uow: UnitOfWork) -> bool:
        if uow.id_tokens.get(token) is not None:
            return False
        uow.id_tokens.add(new)
        note(site, uow, "token add", f"id-tokens/{token}", after=_shown(new))
        return True

    database = await site.database()
    if not await database.transact(work, name="add token"):
        raise CommandError(f"token {token} is there already")
    return Answer(f"added token {token}", {"token": token})


async def block(site: Site, arguments: argparse.Namespace) -> Answer:
    """Let a token charge no more, until it is unblocked."""
    return await _set_blocked(site, arguments.token, blocked=True)


async def unblock(site: Site, arguments: argparse.Namespace) -> Answer:
    """Let a blocked token charge again."""
    return await _set_blocked(site, arguments.token, blocked=False)


async def list_all(site: Site, arguments: argparse.Namespace) -> Answer:
    """All tokens."""
    database = await site.database()
    rows: list[dict[str, Any]] = []
    after = ""
    while True:

        def work(uow: UnitOfWork, after: str = after) -> Sequence[IdToken]:
            return uow.id_tokens.page(after=after, limit=_PAGE)

        page = await database.read(work, name="list tokens")
        rows += [_shown(token) for token in page]
        if len(page) < _PAGE:
            return table(rows, "no tokens yet; `csms-admin token add <token>` adds one")
        after = page[-1].token


async def _set_blocked(site: Site, token: str, *, blocked: bool) -> Answer:
    def work(uow: UnitOfWork) -> bool:
        known = uow.id_tokens.get(token)
        if known is None:
            return False
        before, known.blocked = known.blocked, blocked
        note(
            site,
            uow,
            "token block" if blocked else "token unblock",
            f"id-tokens/{known.token}",
            before={"blocked": before},
            after={"blocked": blocked},
        )
        return True

    database = await site.database()
    if not await database.transact(work, name="block token"):
        raise CommandError(f"there is no token {token}")
    return Answer(f"{'blocked' if blocked else 'unblocked'} token {token}", {"token": token, "blocked": blocked})


def _shown(token: IdToken) -> dict[str, Any]:
    return {
        "token": token.token,
        "type": token.type,
        "blocked": token.blocked,
        "expiresAt": token.expires_at,
        "group": token.group,
        "maxSessions": token.max_sessions,
        "note": token.note,
    }


def _token(text: str) -> str:
    objection = token_objection(text)
    if objection:
        raise CommandError(objection)
    return text


def _moment(text: str) -> datetime:
    try:
        return moment(text)
    except ValueError as error:
        raise CommandError(f"--expires {text}: not a time like 2030-12-31 or 2030-12-31T18:00:00Z") from error
