"""Tokens that chargers presented and nobody knows."""

from __future__ import annotations

from datetime import datetime

import msgspec

from csms.api.operations import Call, Operation
from csms.api.parameters import Id, Paged
from csms.api.resources.reading import read
from csms.api.views import Page
from csms.domain.people import Role
from csms.domain.repositories import UnitOfWork


class UnknownTokenQuery(Paged, frozen=True):
    """Which unknown tokens."""

    charger_id: Id | None = None
    before: Id | None = None


class UnknownTokenView(msgspec.Struct, rename="camel"):
    """An unknown token of a charger. ``sessions``: how many it began with it all the same, e.g. while offline."""

    id: int
    charger_id: int
    device_id: str
    token: str
    type: str
    first_seen: datetime
    last_seen: datetime
    count: int
    sessions: int


async def list_unknown_tokens(call: Call[UnknownTokenQuery, None]) -> Page[UnknownTokenView]:
    """The newest first."""
    query = call.query

    def look(uow: UnitOfWork) -> Page[UnknownTokenView]:
        found = uow.unknown_tokens.page(charger_id=query.charger_id, before_id=query.before or 0, limit=query.limit + 1)
        page = found[: query.limit]
        device_ids = uow.chargers.device_ids({one.charger_id for one in page})
        items = [
            UnknownTokenView(
                id=one.id,
                charger_id=one.charger_id,
                device_id=device_ids.get(one.charger_id, ""),
                token=one.token,
                type=one.type,
                first_seen=one.first_seen,
                last_seen=one.last_seen,
                count=one.count,
                sessions=one.sessions,
            )
            for one in page
        ]
        return Page(items=items, next=page[-1].id if len(found) > query.limit else None)

    return await read(call, "list unknown tokens", look)


OPERATIONS = (
    Operation(
        name="listUnknownTokens",
        method="GET",
        path="/api/v1/unknown-tokens",
        tag="id tokens",
        summary="Tokens that chargers presented and nobody knows, newest first",
        role=Role.VIEWER,
        run=list_unknown_tokens,
        query=UnknownTokenQuery,
        answer=Page[UnknownTokenView],
    ),
)
