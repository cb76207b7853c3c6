"""What most operations do: read the database, or change it, once."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from csms.api.operations import NOTHING_HERE, Call
from csms.api.problems import Problem
from csms.domain.repositories import UnitOfWork

T = TypeVar("T")


async def read(call: Call[Any, Any], name: str, work: Callable[[UnitOfWork], T | None]) -> T:
    """What ``work`` finds; 404 when that is None."""
    found = await call.services.database.read(work, name=name)
    if found is None:
        raise not_found()
    return found


def not_found() -> Problem:
    """There is nothing of that name or number."""
    return Problem(HTTPStatus.NOT_FOUND, NOTHING_HERE)
