"""Errors for programs: problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from twisted.web.http import Request

PROBLEM_JSON = "application/problem+json"


class Problem(Exception):  # noqa: N818 - RFC 9457's name
    """A request that is answered with ``status``. ``parameter`` names what was wrong with it."""

    def __init__(self, status: HTTPStatus, detail: str, *, parameter: str = "", allow: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.parameter = parameter
        self.allow = allow


class _Body(msgspec.Struct, omit_defaults=True):
    title: str
    status: int
    detail: str
    type: str = ""
    parameter: str = ""


def problem_body(request: Request, problem: Problem) -> bytes:
    """Set the response's status and headers; returns its body."""
    request.setResponseCode(problem.status, problem.status.phrase.encode())
    request.setHeader("Content-Type", PROBLEM_JSON)
    request.setHeader("Cache-Control", "no-store")
    if problem.allow:
        request.setHeader("Allow", problem.allow)
    if problem.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        request.setHeader("Retry-After", "2")
    body = _Body(
        title=problem.status.phrase, status=problem.status.value, detail=problem.detail, parameter=problem.parameter
    )
    return msgspec.json.encode(body)
