"""Errors for programs: problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from twisted.web.http import Request

PROBLEM_JSON = "application/problem+json"


class Problem(Exception):  # noqa: N818 - RFC 9457's name
    """A request that is answered with ``status``.

    ``parameter`` names what was wrong with the query, ``pointer`` (RFC 6901) what was wrong in the body.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        parameter: str = "",
        pointer: str | None = None,
        allow: str = "",
        retry_after_s: int = 2,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.parameter = parameter
        self.pointer = pointer
        self.allow = allow
        self.retry_after_s = retry_after_s


class ProblemView(msgspec.Struct, omit_defaults=True, rename={"kind": "type"}):
    """Problem details (RFC 9457): what went wrong, and with which part of the request."""

    title: str
    status: int
    detail: str
    kind: str = ""
    parameter: str = ""
    pointer: str | None = None


def problem_view(problem: Problem) -> ProblemView:
    """What stands in the body."""
    return ProblemView(
        title=problem.status.phrase,
        status=problem.status.value,
        detail=problem.detail,
        parameter=problem.parameter,
        pointer=problem.pointer,
    )


def problem_headers(problem: Problem) -> dict[str, str]:
    """What stands in the headers."""
    headers = {"Content-Type": PROBLEM_JSON, "Cache-Control": "no-store"}
    if problem.allow:
        headers["Allow"] = problem.allow
    if problem.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers["Retry-After"] = str(problem.retry_after_s)
    return headers


def problem_body(request: Request, problem: Problem) -> bytes:
    """Set the response's status and headers; returns its body."""
    request.setResponseCode(problem.status, problem.status.phrase.encode())
    for name, value in problem_headers(problem).items():
        request.setHeader(name, value)
    return msgspec.json.encode(problem_view(problem))
