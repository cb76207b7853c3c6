"""What odd chargers did against their OCPP schema, and was tolerated."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from csms.api.operations import Call, Operation
from csms.api.resources.reading import read
from csms.domain.people import Role
from csms.domain.quirk_records import DeviationRecord
from csms.domain.repositories import UnitOfWork


class DeviationView(msgspec.Struct, rename="camel"):
    """A deviation: ``path`` is JSONPath in the payload of ``action``, ``example`` the JSON that stood there last."""

    kind: str
    action: str
    path: str
    first_seen: datetime
    last_seen: datetime
    count: int
    example: str


class Deviations(msgspec.Struct):
    """All of a charger's, the newest first."""

    items: list[DeviationView]


async def list_deviations(call: Call[Any, None]) -> Deviations:
    """The newest first."""
    device_id = call.path["deviceId"]

    def look(uow: UnitOfWork) -> Deviations | None:
        charger = uow.chargers.by_device_id(device_id)
        return None if charger is None else Deviations([_view(one) for one in uow.deviations.of(charger.id)])

    return await read(call, "list deviations", look)


def _view(record: DeviationRecord) -> DeviationView:
    return DeviationView(**{name: getattr(record, name) for name in DeviationView.__struct_fields__})


OPERATIONS = (
    Operation(
        name="listDeviations",
        method="GET",
        path="/api/v1/chargers/{deviceId}/deviations",
        tag="chargers",
        summary="What the charger does against the OCPP schema and is tolerated by its quirk profiles",
        role=Role.VIEWER,
        run=list_deviations,
        answer=Deviations,
    ),
)
