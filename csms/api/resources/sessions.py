"""Charging sessions, with what was measured in them and what their chargers said meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from csms.api import queries
from csms.api.operations import Call, Operation, Reply
from csms.api.parameters import DEFAULT_LIMIT, Id, Limit, Query, Since, Text, Until
from csms.api.resources.changing import in_utc
from csms.api.resources.reading import not_found, read
from csms.api.resources.tables import CSV, csv_of
from csms.api.views import Page, SessionDetail, SessionView
from csms.domain.model import Session, SessionState
from csms.domain.people import Role
from csms.domain.repositories import UnitOfWork
from csms.domain.repositories_searches import SessionSearch

MAX_ROWS = 10_000
CsvLimit = Annotated[int, Meta(ge=1, le=MAX_ROWS, description="how many rows there are at most")]
AROUND = timedelta(minutes=1)
"""Messages that belong to a session may come a little before its start and after its end."""


class SessionFilter(Query, frozen=True):
    """Which sessions."""

    active: bool | None = None
    state: SessionState | None = None
    charger_id: Id | None = None
    device_id: Text = ""
    id_token: Text = ""
    since: Since | None = None
    until: Until | None = None
    before: Id | None = None


class SessionQuery(SessionFilter, frozen=True):
    """A page of sessions."""

    limit: Limit = DEFAULT_LIMIT


class SessionExport(SessionFilter, frozen=True):
    """Sessions for a spreadsheet."""

    limit: CsvLimit = MAX_ROWS


async def list_sessions(call: Call[SessionQuery, None]) -> Page[SessionView]:
    """Newest first."""
    search, before, limit = _search(call.query), call.query.before or 0, call.query.limit
    return await read(call, "list sessions", lambda uow: queries.sessions(uow, search, before, limit))


async def export_sessions(call: Call[SessionExport, None]) -> Reply:
    """The same as CSV."""
    search, before, limit = _search(call.query), call.query.before or 0, call.query.limit
    page = await read(call, "export sessions", lambda uow: queries.sessions(uow, search, before, limit))
    return Reply(body=csv_of(SessionView, (msgspec.to_builtins(item) for item in page.items)))


async def get_session(call: Call[Any, None]) -> SessionDetail:
    """One session with its summary and samples."""
    number = call.path["sessionId"]
    return await read(call, "show session", lambda uow: queries.session(uow, number))


def session_of(call: Call[Any, Any], uow: UnitOfWork) -> Session:
    """The session that the path names."""
    session = uow.sessions.get(call.path["sessionId"])
    if session is None:
        raise not_found()
    return session


def _search(query: SessionFilter) -> SessionSearch:
    return SessionSearch(
        state=query.state,
        active=query.active,
        charger_id=query.charger_id,
        device_id=query.device_id,
        id_token=query.id_token,
        since=None if query.since is None else in_utc(query.since),
        until=None if query.until is None else in_utc(query.until),
    )


OPERATIONS = (
    Operation(
        name="listSessions",
        method="GET",
        path="/api/v1/sessions",
        tag="sessions",
        summary="Charging sessions, newest first",
        role=Role.VIEWER,
        run=list_sessions,
        query=SessionQuery,
        answer=Page[SessionView],
    ),
    Operation(
        name="exportSessions",
        method="GET",
        path="/api/v1/sessions.csv",
        tag="sessions",
        summary="Charging sessions as CSV, newest first",
        role=Role.VIEWER,
        run=export_sessions,
        query=SessionExport,
        answer=bytes,
        gives=CSV,
    ),
    Operation(
        name="getSession",
        method="GET",
        path="/api/v1/sessions/{sessionId:id}",
        tag="sessions",
        summary="One session with its summary and its first 1,000 samples",
        role=Role.VIEWER,
        run=get_session,
        answer=SessionDetail,
    ),
)
