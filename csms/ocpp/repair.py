"""Understand a payload that breaks its schema, as far as its charger's profiles tolerate it.

The schema leads: it says what is wrong where, and only that is touched. What is left after it is a fault as ever.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from csms.ocpp import json, schemas
from csms.ocpp.quirks import BOOT, Deviation, Kind, Tolerance
from csms.ocpp.schemas import Fault, Violation
from csms.ocpp.versions import Version

_MAX_ROUNDS = 4
"""Behind a repaired place more can come to light: a list's members, a filled-in member's value."""
_MAX_VIOLATIONS = 2000
_MAX_EXAMPLE = 120
_NUMBER = re.compile(r"[+-]?\d{1,18}(?:\.\d{1,18})?", re.ASCII)
_IGNORED_IN_WORDS = re.compile(r"[ _.-]")
_NAMES = ("chargePointVendor", "chargePointModel", "vendorName", "model")


@dataclass(frozen=True, slots=True)
class Repaired:
    """A payload as it was meant. ``fault`` is what nobody tolerates in it."""

    payload: dict[str, Any]
    deviations: tuple[Deviation, ...]
    fault: Fault | None


def repair(version: Version, action: str, payload: dict[str, Any], tolerance: Tolerance) -> Repaired:
    """The payload of a CALL or SEND with what ``tolerance`` permits put right; ``payload`` itself stays as it is."""
    work = _Repair(action, copy.deepcopy(payload), tolerance)
    work.respell()
    if action == BOOT:
        work.note_empty_names()
    fault = None
    for _ in range(_MAX_ROUNDS):
        violations = schemas.violations(version, action, work.payload, _MAX_VIOLATIONS)
        outcomes = [work.treat(one) for one in violations]
        left = (one.fault for one, treated in zip(violations, outcomes, strict=True) if treated is None)
        fault = next(left, None)
        if True not in outcomes:
            break
    else:
        fault = schemas.check_request(version, action, work.payload)
    return Repaired(work.payload, tuple(work.deviations.values()), fault)


class _Repair:
    """The work on one payload."""

    def __init__(self, action: str, payload: dict[str, Any], tolerance: Tolerance) -> None:
        self.payload = payload
        self.deviations: dict[tuple[Kind, str], Deviation] = {}
        self._action = action
        self._tolerance = tolerance

    def treat(self, violation: Violation) -> bool | None:
        """True: put right. False: tolerated as it is. None: neither."""
        treatment = _TREATMENTS.get(violation.keyword)
        return None if treatment is None else treatment(self, violation)

    def respell(self) -> None:
        """Replace other words by those that are meant, wherever they stand."""
        level: list[Any] = [self.payload]
        while level:
            node = level.pop()
            if isinstance(node, list):
                level += node
            elif isinstance(node, dict):
                for member, value in node.items():
                    meant = self._tolerance.spelling.get(member, {}).get(value) if isinstance(value, str) else None
                    if meant is not None:
                        node[member] = meant
                        # Where it stands may be a place of the charger's making.
                        self._note(Kind.SPELLING, f"$..{member}", value)
                level += node.values()

    def note_empty_names(self) -> None:
        """Record that the charger does not say what it is."""
        inner = self.payload.get("chargingStation")
        source, path = (inner, "$.chargingStation") if isinstance(inner, dict) else (self.payload, "$")
        for name in _NAMES:
            value = source.get(name)
            if self._may(Kind.EMPTY_NAME) and isinstance(value, str) and not value.strip():
                self._note(Kind.EMPTY_NAME, f"{path}.{name}", value)

    def type(self, violation: Violation) -> bool | None:
        parent, key, value = self._at(violation)
        wanted = violation.wanted
        if value is None and isinstance(parent, dict) and self._may(Kind.NULL):
            del parent[key]
            return self._done(Kind.NULL, violation, value)
        if isinstance(value, dict) and "array" in wanted and self._may(Kind.LONE_OBJECT):
            parent[key] = [value]
            return self._done(Kind.LONE_OBJECT, violation, value)
        if isinstance(value, str) and {"integer", "number"} & set(wanted) and self._may(Kind.NUMBER_AS_TEXT):
            number = _number(value, whole="number" not in wanted)
            if number is not None:
                parent[key] = number
                return self._done(Kind.NUMBER_AS_TEXT, violation, value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and "string" in wanted and self._may(Kind.TEXT_AS_NUMBER):
            parent[key] = json.encode(value)
            return self._done(Kind.TEXT_AS_NUMBER, violation, value)
        return None

    def enum(self, violation: Violation) -> bool | None:
        parent, key, value = self._at(violation)
        if not isinstance(value, str) or not self._may(Kind.ENUM_CASE):
            return None
        meant = [word for word in violation.wanted if _plain(word) == _plain(value)]
        if len(meant) != 1:
            return None
        parent[key] = meant[0]
        return self._done(Kind.ENUM_CASE, violation, value)

    def required(self, violation: Violation) -> bool | None:
        _, _, value = self._at(violation)
        member = violation.wanted[0]
        path = f"{_path(violation.path)}.{member}"
        name = f"{self._action}{path[1:]}"
        if not isinstance(value, dict) or name not in self._tolerance.fill:
            return None
        value[member] = copy.deepcopy(self._tolerance.fill[name])
        self._note(Kind.MISSING, path, None)
        return True

    def additional_properties(self, violation: Violation) -> bool | None:
        _, _, value = self._at(violation)
        if not isinstance(value, dict) or not self._may(Kind.EXTRA_MEMBER):
            return None
        extra = {member: value.pop(member) for member in violation.wanted if member in value}
        return self._done(Kind.EXTRA_MEMBER, violation, extra)

    def max_length(self, violation: Violation) -> bool | None:
        if not self._may(Kind.LONG_TEXT):
            return None
        _, _, value = self._at(violation)
        self._note(Kind.LONG_TEXT, _path(violation.path), value)
        return False

    def _may(self, kind: Kind) -> bool:
        return kind in self._tolerance.kinds

    def _at(self, violation: Violation) -> tuple[Any, Any, Any]:
        """Where it stands: its container, its name or place in there, itself. The payload stands nowhere."""
        parent: Any = None
        key: Any = None
        value: Any = self.payload
        for step in violation.path:
            parent, key = value, step
            try:
                value = parent[step]
            except LookupError:  # an earlier repair took it away
                return None, None, None
        return parent, key, value

    def _done(self, kind: Kind, violation: Violation, value: object) -> bool:
        self._note(kind, _path(violation.path), value)
        return True

    def _note(self, kind: Kind, path: str, value: object) -> None:
        if (kind, path) not in self.deviations:
            example = "" if kind is Kind.MISSING else json.encode(value)
            self.deviations[kind, path] = Deviation(kind.value, path, _short(example))


_TREATMENTS: Mapping[str, Callable[[_Repair, Violation], bool | None]] = {
    "type": _Repair.type,
    "enum": _Repair.enum,
    "required": _Repair.required,
    "additionalProperties": _Repair.additional_properties,
    "maxLength": _Repair.max_length,
}
"""By the schema's keyword."""


def _number(text: str, *, whole: bool) -> int | float | None:
    stripped = text.strip()
    if not _NUMBER.fullmatch(stripped):
        return None
    value = float(stripped)
    if value == int(value) and (whole or "." not in stripped):
        return int(stripped.partition(".")[0])
    return None if whole else value


def _plain(word: str) -> str:
    return _IGNORED_IN_WORDS.sub("", word).casefold()


def _path(path: tuple[str | int, ...]) -> str:
    return "$" + "".join("[*]" if isinstance(step, int) else f".{step}" for step in path)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_EXAMPLE else f"{text[: _MAX_EXAMPLE - 3]}..."
