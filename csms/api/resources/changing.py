"""What operations that change something have in common: versions of what is changed, and why it cannot be."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec

from csms.api.problems import Problem
from csms.api.requests import HttpRequest


def version_of(*values: Any) -> str:
    """The version of what consists of ``values``: changes with them, whoever changes them and however."""
    return hashlib.sha256(msgspec.json.encode(values)).hexdigest()[:20]


def etag(version: int | str) -> Mapping[str, str]:
    """The header that tells a resource's version."""
    return {"ETag": f'"{version}"'}


def located(kind: str, name: str) -> Mapping[str, str]:
    """The header that tells where something new is."""
    return {"Location": f"/api/v1/{kind}/{quote(name, safe='')}"}


def check_version(request: HttpRequest, version: int | str) -> None:
    """Raise a :class:`Problem` (412) where If-Match names other versions than the one that is there."""
    wanted = request.getHeader("If-Match")
    if wanted is None or wanted.strip() == "*":
        return
    if f'"{version}"' not in (one.strip() for one in wanted.split(",")):
        detail = "somebody has changed it since: read it again, and decide anew"
        raise Problem(HTTPStatus.PRECONDITION_FAILED, detail)


def conflict(detail: str) -> Problem:
    """What is asked for contradicts what is there."""
    return Problem(HTTPStatus.CONFLICT, detail)


def invalid(pointer: str, detail: str) -> Problem:
    """The body's member at ``pointer`` cannot be."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{pointer.removeprefix('/')}: {detail}", pointer=pointer)


def in_utc(moment: datetime) -> datetime:
    """``moment`` in UTC; at the ends of time it stays where it can be told."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)
