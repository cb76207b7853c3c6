"""Totals, and the end of a sign-in."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from csms.api import queries
from csms.api.operations import Call, Operation, Reply
from csms.api.resources.changing import conflict
from csms.api.resources.reading import read
from csms.api.views import Overview
from csms.domain.people import PrincipalKind, Role


async def overview(call: Call[Any, None]) -> Overview:
    """Totals."""
    return await read(call, "overview", queries.overview)


async def sign_out(call: Call[Any, None]) -> Reply:
    """Ends the sign-in for good, with its WebSockets."""
    services, sign_in = call.services, call.request.sign_in
    assert sign_in is not None
    if call.principal.kind is PrincipalKind.TOKEN:
        raise conflict("an API token is no sign-in: an admin removes it")
    await services.access.sign_out(sign_in)
    services.signed_out(sign_in.session)
    return Reply(headers={"Set-Cookie": services.access.no_cookie()})


OPERATIONS = (
    Operation(
        name="getOverview",
        method="GET",
        path="/api/v1/overview",
        tag="general",
        summary="Totals: chargers, running sessions, energy of the day",
        role=Role.VIEWER,
        run=overview,
        answer=Overview,
    ),
    Operation(
        name="signOut",
        method="POST",
        path="/api/v1/sign-out",
        tag="general",
        summary="End this sign-in and close its WebSockets",
        role=Role.VIEWER,
        run=sign_out,
        problems=(HTTPStatus.CONFLICT,),
    ),
)
