"""What requests bring: query strings and JSON bodies, read into msgspec Structs. Every error names the member."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from msgspec.inspect import BoolType, FloatType, IntType, Metadata, StructType, UnionType

from csms.api.problems import Problem

MAX_ID = 2**63 - 1
MAX_TEXT = 255
DEFAULT_LIMIT = 100
MAX_LIMIT = 500
END = r"$(?!\n)"
"""The end of a text. A dollar sign alone would let a line feed through, and JSON schemas do not know ``\\Z``."""
NO_NUL = r"^[^\x00]*$"
"""No name has a NUL in it, and databases choke on it."""

Text = Annotated[str, Meta(max_length=MAX_TEXT, pattern=NO_NUL)]
Id = Annotated[int, Meta(ge=1, le=MAX_ID)]
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="how many items a page has at most")]
Since = Annotated[datetime, Meta(tz=True, description="not before this time")]
Until = Annotated[datetime, Meta(tz=True, description="before this time")]


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The parameters of a query string; those of a route are a subclass, all with defaults."""


class Paged(Query, frozen=True):
    """The parameters of a listing that has nothing but pages."""

    limit: Limit = DEFAULT_LIMIT


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A JSON body; those of a route are a subclass."""


Q = TypeVar("Q", bound=Query)

_WHOLE = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,19})?", re.ASCII)
_WORDS = {"true": True, "false": False}
_AT = re.compile(r" - at `\$\.?(.*)`$")
_FIELD = re.compile(r"(?:required|unknown) field `([^`]*)`")


def read_query(arguments: Mapping[bytes, Sequence[bytes]], kind: type[Q]) -> Q:
    """The query string as ``kind``. Raises :class:`Problem` (400)."""
    readers = _readers(kind)
    values: dict[str, Any] = {}
    for raw_name, raw_values in arguments.items():
        name = raw_name.decode("ascii", "backslashreplace")
        if name not in readers:
            known = ", ".join(readers) or "none"
            raise _wrong(name, f"there is no parameter {name[:MAX_TEXT]!r} here; known: {known}")
        if len(raw_values) != 1:
            raise _wrong(name, f"{name} is given {len(raw_values)} times")
        try:
            values[name] = readers[name](raw_values[0].decode())
        except UnicodeDecodeError:
            raise _wrong(name, f"{name} is not UTF-8") from None
        except ValueError as error:
            raise _wrong(name, f"{name} must be {error}") from None
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        name, reason = _member(str(error))
        raise _wrong(name, f"{name}: {reason}") from None


def read_body(content: bytes, kind: Any) -> Any:
    """A JSON body as ``kind``. Raises :class:`Problem`: 400 when it is no JSON, 422 when it is not what is needed."""
    try:
        return _decoder(kind).decode(content)
    except msgspec.ValidationError as error:
        name, reason = _member(str(error))
        detail = f"{name}: {reason}" if name else reason
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer=_pointer(name)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is no JSON: {error}") from None


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


@cache
def _readers(kind: type[Query]) -> Mapping[str, Any]:
    """How the text of each parameter becomes a value."""
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, StructType)
    return {field.encode_name: _reader(field.type) for field in info.fields}


def _reader(kind: msgspec.inspect.Type) -> Any:
    kind = _plain(kind)
    for one in map(_plain, kind.types if isinstance(kind, UnionType) else (kind,)):
        if isinstance(one, IntType):
            return _whole
        if isinstance(one, FloatType):
            return _decimal
        if isinstance(one, BoolType):
            return _boolean
    return str


def _plain(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    return kind.type if isinstance(kind, Metadata) else kind


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError("a whole number")
    return int(text)


def _decimal(text: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise ValueError("a number")
    return float(text)


def _boolean(text: str) -> bool:
    if text not in _WORDS:
        raise ValueError("true or false")
    return _WORDS[text]


def _member(message: str) -> tuple[str, str]:
    """What msgspec says, as the member's path and what is wrong with it."""
    at = _AT.search(message)
    path = at.group(1) if at else ""
    field = _FIELD.search(message)
    if field:
        path = f"{path}.{field.group(1)}" if path else field.group(1)
    reason = message[: at.start()] if at else message
    return path, f"{reason[:1].lower()}{reason[1:]}"


def _pointer(path: str) -> str:
    """``items[0].name`` as a JSON pointer (RFC 6901): ``/items/0/name``; empty for the whole body."""
    parts = re.split(r"\.|\[|\]\.?", path)
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts if part)


def _wrong(name: str, detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail, parameter=name[:MAX_TEXT])
