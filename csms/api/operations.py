"""The operations of /api/v1: one row says what a route takes, answers, and who may use it.

Routing, checks of input, rights, the OpenAPI document and the pages about the interface are all made from these rows.
Who asks was found out before (:mod:`csms.api.site`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generic, TypeVar

import msgspec
from klein import Klein

from csms.api.parameters import MAX_ID, Query, read_body, read_query
from csms.api.problems import Problem
from csms.api.repeats import HEADER, MAX_KEY, Sent, digest, once
from csms.api.requests import HttpRequest
from csms.api.services import Services
from csms.domain.people import Principal, Role

Q = TypeVar("Q")
B = TypeVar("B")

JSON = "application/json"
NOTHING_HERE = "there is nothing of that name or number"
_VARIABLE = re.compile(r"\{(\w+)(:id|:name)?\}")


class NoQuery(Query, frozen=True):
    """No parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Q, B]):
    """A request that was let in and whose input was found good."""

    operation: Operation
    principal: Principal
    path: Mapping[str, Any]
    """The variables of the path: text, or a number where the path says ``:id``."""
    query: Q
    body: B
    services: Services
    request: HttpRequest
    """For what only few operations need: headers, the sign-in itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer that is more than the operation's usual status with a body."""

    body: Any = None
    status: HTTPStatus | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Run = Callable[[Any], Awaitable[Any]]
"""Takes a :class:`Call`; returns what is sent as JSON, a :class:`Reply`, or None: 204. May raise :class:`Problem`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row of the registry.

    ``path`` has its variables in braces: ``{deviceId}`` is text, ``{sessionId:id}`` a key of the database,
    ``{token:name}``, at the end, text in which there may be slashes.
    ``answer`` is the type of the usual answer's body (None: there is none), ``others`` those of further answers that
    are no problems. ``body`` is a Struct for JSON, or ``bytes`` for a body of the type ``takes``.
    """

    name: str
    method: str
    path: str
    tag: str
    summary: str
    role: Role
    run: Run
    query: type[Query] = NoQuery
    body: Any = None
    takes: str = JSON
    answer: Any = None
    gives: str = JSON
    status: HTTPStatus = HTTPStatus.OK
    others: Mapping[HTTPStatus, Any] = field(default_factory=dict)
    problems: tuple[HTTPStatus, ...] = ()
    """Problems of its own, beside those that any operation may have."""
    secret: bool = False
    """Whether a secret is in the request or in the answer, so that nothing of them is kept."""

    @property
    def variables(self) -> Mapping[str, bool]:
        """The variables of the path: name -> whether it is a key of the database."""
        return {name: kind == ":id" for name, kind in _VARIABLE.findall(self.path)}

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it."""
        return _VARIABLE.sub(r"{\1}", self.path)


def by_tag(operations: Iterable[Operation]) -> Mapping[str, list[Operation]]:
    """The operations of each tag, in the order in which the tags come first."""
    groups: dict[str, list[Operation]] = {}
    for operation in operations:
        groups.setdefault(operation.tag, []).append(operation)
    return groups


def add_operations(app: Klein, operations: Iterable[Operation], services: Services) -> None:
    """Route the operations."""
    for operation in operations:
        rule = _VARIABLE.sub(lambda found: _converter(found.group(1), found.group(2) or ""), operation.path)
        app.route(rule, methods=[operation.method], endpoint=operation.name)(_bound(operation, services))


def _converter(name: str, kind: str) -> str:
    return {"": f"<{name}>", ":id": f"<int(max={MAX_ID}):{name}>", ":name": f"<name:{name}>"}[kind]


def _bound(operation: Operation, services: Services) -> Callable[..., Awaitable[bytes]]:
    async def answer(request: HttpRequest, **variables: Any) -> bytes:
        principal = request.principal
        assert principal is not None
        if not principal.role.includes(operation.role):
            detail = f"this needs the role {operation.role}, and {principal.name} is {principal.role}"
            raise Problem(HTTPStatus.FORBIDDEN, detail)
        if any("\0" in value for value in variables.values() if isinstance(value, str)):
            raise Problem(HTTPStatus.NOT_FOUND, NOTHING_HERE)
        assert request.content is not None
        content = request.content.read()
        call: Call[Any, Any] = Call(
            operation=operation,
            principal=principal,
            path=variables,
            query=read_query(request.args, operation.query),
            body=_body(request, operation, content),
            services=services,
            request=request,
        )

        async def act() -> Sent:
            return _sent(operation, await operation.run(call))

        key = request.getHeader(HEADER) if operation.method == "POST" else None
        return _write(request, await (act() if key is None else _once(call, key, content, act)))

    return answer


def _once(call: Call[Any, Any], key: str, content: bytes, act: Callable[[], Awaitable[Sent]]) -> Awaitable[Sent]:
    if not 0 < len(key) <= MAX_KEY:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{HEADER} has 1 to {MAX_KEY} characters")
    operation, who = call.operation, call.principal
    owner = (who.kind.encode(), who.name.encode())
    return once(
        call.services.database,
        key_hash=digest(*owner, operation.name.encode(), key.encode("utf-8", "surrogateescape")),
        request_hash=digest(call.request.uri, b"" if operation.secret else content),
        now=call.services.now(),
        secret=operation.secret,
        act=act,
    )


def _body(request: HttpRequest, operation: Operation, content: bytes) -> Any:
    if operation.body is None:
        if content:
            raise Problem(HTTPStatus.BAD_REQUEST, "this operation takes no body")
        return None
    media = (request.getHeader("Content-Type") or "").partition(";")[0].strip().lower()
    if media != operation.takes:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the Content-Type must be {operation.takes}")
    return content if operation.body is bytes else read_body(content, operation.body)


def _sent(operation: Operation, found: Any) -> Sent:
    reply = found if isinstance(found, Reply) else Reply(body=found)
    headers = {"Cache-Control": "no-store", **reply.headers}
    if reply.body is None:
        return Sent(status=reply.status or HTTPStatus.NO_CONTENT, headers=headers)
    body = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
    return Sent(
        status=reply.status or operation.status, headers={"Content-Type": operation.gives, **headers}, body=body
    )


def _write(request: HttpRequest, sent: Sent) -> bytes:
    request.setResponseCode(sent.status, sent.status.phrase.encode())
    for name, value in sent.headers.items():
        request.setHeader(name, value)
    return sent.body
