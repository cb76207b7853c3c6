"""Charging stations."""

from __future__ import annotations

from typing import Any

from csms.api import queries
from csms.api.operations import Call, Operation
from csms.api.parameters import Paged, Text
from csms.api.resources.reading import read
from csms.api.views import ChargerView, Page
from csms.domain.people import Role


class ChargerQuery(Paged, frozen=True):
    """A page of chargers."""

    after: Text = ""


async def list_chargers(call: Call[ChargerQuery, None]) -> Page[ChargerView]:
    """In the order of their deviceId."""
    after, limit = call.query.after, call.query.limit
    return await read(call, "list chargers", lambda uow: queries.chargers(uow, after, limit))


async def get_charger(call: Call[Any, None]) -> ChargerView:
    """One of them."""
    device_id = call.path["deviceId"]
    return await read(call, "show charger", lambda uow: queries.charger(uow, device_id))


OPERATIONS = (
    Operation(
        name="listChargers",
        method="GET",
        path="/api/v1/chargers",
        tag="chargers",
        summary="Chargers with their connectors, by deviceId",
        role=Role.VIEWER,
        run=list_chargers,
        query=ChargerQuery,
        answer=Page[ChargerView],
    ),
    Operation(
        name="getCharger",
        method="GET",
        path="/api/v1/chargers/{deviceId}",
        tag="chargers",
        summary="One charger with its connectors",
        role=Role.VIEWER,
        run=get_charger,
        answer=ChargerView,
    ),
)
