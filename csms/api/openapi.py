"""The OpenAPI 3.1 document, made from the operations and the types that check their input."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from csms.api.access import SESSION_COOKIE
from csms.api.operations import Operation
from csms.api.parameters import MAX_ID
from csms.api.problems import PROBLEM_JSON, ProblemView
from csms.api.repeats import HEADER, MAX_KEY

_REF = "#/components/schemas/{name}"
_COMMON = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE)
_ABOUT = (
    "Names are in camelCase, times ISO 8601 in UTC, energies in Wh, powers in W. A listing is a page: what its `next` "
    "says continues it, null ends it. Errors are problem details (RFC 9457)."
)


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The whole document, ready for JSON."""
    rows = list(operations)
    types = [kind for row in rows for kind in _types(row)]
    schemas, components = msgspec.json.schema_components([*types, ProblemView], ref_template=_REF)
    schema_of = dict(zip(map(_key, [*types, ProblemView]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(row.template, {})[row.method.lower()] = _operation(row, schema_of, components)
    # Queries are told as parameters; as schemas nobody would miss them.
    for row in rows:
        components.pop(_name(schema_of[_key(row.query)]), None)
    return {
        "openapi": "3.1.0",
        "info": {"title": "csms", "version": "1", "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"cookie": []}, {"token": []}],
    }


def _types(row: Operation) -> list[Any]:
    kinds = [row.query, row.body, row.answer, *row.others.values()]
    return [kind for kind in kinds if kind is not None and kind is not bytes]


def _key(kind: Any) -> str:
    return repr(kind)


def _name(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _operation(row: Operation, schema_of: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    query = components[_name(schema_of[_key(row.query)])]
    told: dict[str, Any] = {
        "operationId": row.name,
        "tags": [row.tag],
        "summary": row.summary,
        "description": f"Least role: {row.role}.",
        "parameters": [*_path_parameters(row), *_query_parameters(query), *_header_parameters(row)],
        "responses": _responses(row, schema_of),
    }
    if row.body is not None:
        schema = {"type": "string"} if row.body is bytes else schema_of[_key(row.body)]
        told["requestBody"] = {"required": True, "content": {row.takes: {"schema": schema}}}
    return told


def _path_parameters(row: Operation) -> list[dict[str, Any]]:
    number = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
    # What is escaped as %2F reaches only those whose names may have slashes.
    letters = r"^[^\x00]+$" if ":name}" in row.path else r"^[^/\x00]+$"
    text = {"type": "string", "minLength": 1, "pattern": letters}
    return [
        {"name": name, "in": "path", "required": True, "schema": number if is_id else text}
        for name, is_id in row.variables.items()
    ]


def _header_parameters(row: Operation) -> list[dict[str, Any]]:
    """What must not take effect twice, or on a version that is not the one that was read."""
    told = []
    if row.method == "POST":
        about = "A request that is repeated with the same key within a day gets the first one's answer."
        told.append((HEADER, {"type": "string", "minLength": 1, "maxLength": MAX_KEY}, about))
    if HTTPStatus.PRECONDITION_FAILED in row.problems:
        about = "The ETag of the version that is to be changed; 412 when there is another one now."
        told.append(("If-Match", {"type": "string"}, about))
    return [
        {"name": name, "in": "header", "required": False, "schema": schema, "description": about}
        for name, schema, about in told
    ]


def _query_parameters(query: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, given in query["properties"].items():
        schema = _without_null(given)
        about = schema.pop("description", None)
        required = name in query.get("required", ())
        parameter = {"name": name, "in": "query", "required": required, "schema": schema}
        found.append(parameter if about is None else {**parameter, "description": about})
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """None says that a parameter is not given, which no query string can spell."""
    if schema.get("default", "") is None:
        schema = {name: value for name, value in schema.items() if name != "default"}
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        rest = {name: value for name, value in schema.items() if name != "anyOf"}
        return {**choices[0], **rest}
    return dict(schema)


def _responses(row: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    problem = {"content": {PROBLEM_JSON: {"schema": schema_of[_key(ProblemView)]}}}
    responses: dict[str, Any] = {}
    for status, kind in _answers(row).items():
        told: dict[str, Any] = {"description": status.phrase}
        if kind is not None:
            schema = {"type": "string"} if kind is bytes else schema_of[_key(kind)]
            told["content"] = {row.gives: {"schema": schema}}
        responses[str(status.value)] = told
    for status in sorted({*_problems(row)}):
        responses[str(status.value)] = {"description": status.phrase, **problem}
    responses["default"] = {"description": "any other problem", **problem}
    return responses


def _answers(row: Operation) -> dict[HTTPStatus, Any]:
    usual = HTTPStatus.NO_CONTENT if row.answer is None else row.status
    return {usual: row.answer, **row.others}


def _problems(row: Operation) -> Iterable[HTTPStatus]:
    yield from _COMMON
    yield from row.problems
    yield HTTPStatus.BAD_REQUEST
    if row.variables:
        yield HTTPStatus.NOT_FOUND
    if row.method == "POST":
        yield HTTPStatus.CONFLICT
        yield HTTPStatus.UNPROCESSABLE_ENTITY
    if row.body is not None:
        yield HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        yield HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        if row.body is not bytes:
            yield HTTPStatus.UNPROCESSABLE_ENTITY
