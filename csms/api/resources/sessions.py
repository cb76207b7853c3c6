"""Charging sessions."""

from __future__ import annotations

from typing import Any

from csms.api import queries
from csms.api.operations import Call, Operation
from csms.api.parameters import Id, Paged
from csms.api.resources.reading import read
from csms.api.views import Page, SessionDetail, SessionView
from csms.domain.people import Role


class SessionQuery(Paged, frozen=True):
    """Which sessions."""

    active: bool | None = None
    charger_id: Id | None = None
    before: Id | None = None


async def list_sessions(call: Call[SessionQuery, None]) -> Page[SessionView]:
    """Newest first."""
    query = call.query
    return await read(
        call,
        "list sessions",
        lambda uow: queries.sessions(uow, query.active, query.charger_id, query.before, query.limit),
    )


async def get_session(call: Call[Any, None]) -> SessionDetail:
    """One session with its summary and samples."""
    number = call.path["sessionId"]
    return await read(call, "show session", lambda uow: queries.session(uow, number))


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
