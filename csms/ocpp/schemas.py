"""Payloads against the OCPP JSON schemas of their version.

The schema files come with the PyPI package ``ocpp``; each is compiled on its first use, well below a
millisecond for most. All of them together would take 10 MB.

Two things are decided here and not by the files. ``date-time`` is read as :mod:`csms.ocpp.timestamps` reads
it, because real chargers leave out the zone. And a payload that breaks its schema is a :class:`Fault`, a
value and no exception: whether it costs the message is the caller's choice (:data:`NEVER_REFUSED`).
"""

from __future__ import annotations

import functools
import itertools
import json
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

import jsonschema_rs

from csms.ocpp.errors import ErrorCode
from csms.ocpp.timestamps import is_timestamp
from csms.ocpp.versions import Version

NEVER_REFUSED = frozenset({"StartTransaction", "StopTransaction", "TransactionEvent", "MeterValues"})
"""Actions that carry a session's data: odd content is stored and flagged, never refused."""

_MAX_TEXT = 200
_FOLDERS = {Version.V16: "v16", Version.V201: "v201", Version.V21: "v21"}
_CODES = {
    "type": ErrorCode.TYPE_VIOLATION,
    "required": ErrorCode.OCCURRENCE_VIOLATION,
    "minItems": ErrorCode.OCCURRENCE_VIOLATION,
    "maxItems": ErrorCode.OCCURRENCE_VIOLATION,
    "additionalItems": ErrorCode.OCCURRENCE_VIOLATION,
}
"""By the schema's keyword; every other keyword bounds a value: a "field contains an invalid value"."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A payload breaks its schema at ``path`` (JSONPath, "$" is the payload); all texts are short."""

    code: ErrorCode
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where a payload breaks its schema: the broken ``keyword``, and what it asked for.

    ``wanted``: the types, the permitted values, the members that are not permitted, or the one that is missing.
    """

    fault: Fault
    keyword: str
    path: tuple[str | int, ...]
    wanted: tuple[str, ...]


def structure_code(version: Version) -> ErrorCode:
    """The code for "not conform the PDU structure": FormationViolation in 1.6, ProtocolError in 2.x."""
    return ErrorCode.FORMAT_VIOLATION if version.is_16 else ErrorCode.PROTOCOL_ERROR


@functools.cache
def actions(version: Version) -> frozenset[str]:
    """Every action that has a request schema in ``version``, in either direction, 2.1's SEND included."""
    names = {entry.name.removesuffix(".json") for entry in _folder(version).iterdir()}
    return frozenset(name.removesuffix("Request") for name in names if not name.endswith("Response"))


def check_request(version: Version, action: str, payload: object) -> Fault | None:
    """What is wrong with the payload of this CALL or SEND; None: nothing. KeyError for an unknown action."""
    return _check(_validator(version, action, False), version, payload)


def violations(version: Version, action: str, payload: object, limit: int) -> list[Violation]:
    """All that is wrong with the payload of this CALL or SEND, up to ``limit``."""
    errors = _validator(version, action, False).iter_errors(payload)
    return [_violation(version, error) for error in itertools.islice(errors, limit)]


def check_response(version: Version, action: str, payload: object) -> Fault | None:
    """What is wrong with the payload of a CALLRESULT to ``action``; None: nothing. KeyError for an unknown action."""
    return _check(_validator(version, action, True), version, payload)


def _folder(version: Version) -> Traversable:
    # The top package is empty; its subpackages would import asyncio.
    return resources.files("ocpp") / _FOLDERS[version] / "schemas"


def _schema_file(version: Version, action: str, response: bool) -> Traversable:
    if response:
        return _folder(version) / f"{action}Response.json"
    if version.is_16 or action == "NotifyPeriodicEventStream":
        return _folder(version) / f"{action}.json"
    return _folder(version) / f"{action}Request.json"


@functools.cache
def _validator(version: Version, action: str, response: bool) -> jsonschema_rs.Validator:
    file = _schema_file(version, action, response)
    if action not in actions(version) or not file.is_file():
        raise KeyError(f"OCPP {version} has no {'response to ' if response else ''}{action[:50]!r}")
    schema = json.loads(file.read_text("utf-8-sig"))
    # "mask" keeps the charger's values out of the messages.
    return jsonschema_rs.validator_for(schema, formats={"date-time": is_timestamp}, mask="the value")


def _check(validator: jsonschema_rs.Validator, version: Version, payload: object) -> Fault | None:
    try:
        if validator.is_valid(payload):
            return None
        validator.validate(payload)
    except jsonschema_rs.ValidationError as error:
        return _fault(version, error)
    except ValueError as error:  # only our own payloads: what was decoded from JSON is JSON
        return Fault(ErrorCode.FORMAT_VIOLATION, "$", _short(f"not a JSON value: {error}"))
    return None


def _violation(version: Version, error: jsonschema_rs.ValidationError) -> Violation:
    keyword, wanted = error.kind.name, next(iter(error.kind.as_dict().values()), "")
    texts = wanted if isinstance(wanted, list) else [wanted]
    return Violation(_fault(version, error), keyword, tuple(error.instance_path), tuple(map(str, texts)))


def _fault(version: Version, error: jsonschema_rs.ValidationError) -> Fault:
    keyword = error.kind.name
    if keyword == "additionalProperties" or (keyword == "type" and not error.instance_path):
        code = structure_code(version)
    else:
        code = _CODES.get(keyword, ErrorCode.PROPERTY_VIOLATION)
    path = "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)
    return Fault(code, _short(path), _short(error.message))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."
