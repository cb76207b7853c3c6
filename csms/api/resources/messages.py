"""The message log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta

from csms.api.operations import Call, Operation
from csms.api.parameters import END, Paged, Since, Text, Until
from csms.api.resources.changing import in_utc
from csms.api.resources.chargers import charger_of
from csms.api.resources.reading import read
from csms.api.resources.sessions import AROUND, session_of
from csms.api.views import MessageView, Page, message_view
from csms.domain.model import LogEntry
from csms.domain.people import Role
from csms.domain.repositories import UnitOfWork
from csms.domain.repositories_searches import MessageSearch

Cursor = Annotated[str, Meta(pattern=r"^([0-9]{1,16}\.[!-~]{1,100})?" + END, description="what `next` said")]
SearchOf = Callable[[Call[Any, None], UnitOfWork], MessageSearch]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MessageQuery(Paged, frozen=True):
    """Which messages. ``failed``: those with an error, or those without."""

    action: Text = ""
    failed: bool | None = None
    since: Since | None = None
    until: Until | None = None
    before: Cursor = ""


async def of_charger(call: Call[MessageQuery, None]) -> Page[MessageView]:
    """A charger's."""
    return await _found(call, _charger_search)


async def of_session(call: Call[MessageQuery, None]) -> Page[MessageView]:
    """What the charger said while a session ran."""
    return await _found(call, _session_search)


async def _found(call: Call[MessageQuery, None], search_of: SearchOf) -> Page[MessageView]:
    before = _moment(call.query.before) if call.query.before else None
    limit = call.query.limit

    def look(uow: UnitOfWork) -> Page[MessageView]:
        found = uow.search.messages(search_of(call, uow), before=before, limit=limit + 1)
        page = found[:limit]
        last = _cursor(page[-1]) if len(found) > limit else None
        return Page(items=[message_view(entry) for entry in page], next=last)

    return await read(call, "list messages", look)


def _charger_search(call: Call[Any, None], uow: UnitOfWork) -> MessageSearch:
    return _search(call.query, charger_of(call, uow).id, None, None)


def _session_search(call: Call[Any, None], uow: UnitOfWork) -> MessageSearch:
    session = session_of(call, uow)
    begin = session.start_received_at - AROUND
    ended = session.stop_received_at
    return _search(call.query, session.charger_id, begin, None if ended is None else ended + AROUND)


def _search(query: MessageQuery, charger_id: int, begin: datetime | None, end: datetime | None) -> MessageSearch:
    begins = [moment for moment in (begin, query.since and in_utc(query.since)) if moment is not None]
    ends = [moment for moment in (end, query.until and in_utc(query.until)) if moment is not None]
    return MessageSearch(
        charger_id=charger_id,
        action=query.action,
        failed=query.failed,
        since=max(begins, default=None),
        until=min(ends, default=None),
    )


def _cursor(entry: LogEntry) -> str:
    return f"{(entry.received_at - _EPOCH) // timedelta(microseconds=1)}.{entry.message_id}"


def _moment(cursor: str) -> tuple[datetime, str]:
    microseconds, _, message_id = cursor.partition(".")
    return _EPOCH + timedelta(microseconds=int(microseconds)), message_id


OPERATIONS = (
    Operation(
        name="listMessagesOfCharger",
        method="GET",
        path="/api/v1/chargers/{deviceId}/messages",
        tag="messages",
        summary="What a charger said, newest first",
        role=Role.VIEWER,
        run=of_charger,
        query=MessageQuery,
        answer=Page[MessageView],
    ),
    Operation(
        name="listMessagesOfSession",
        method="GET",
        path="/api/v1/sessions/{sessionId:id}/messages",
        tag="messages",
        summary="What the charger said while a session ran, newest first",
        role=Role.VIEWER,
        run=of_session,
        query=MessageQuery,
        answer=Page[MessageView],
    ),
)
