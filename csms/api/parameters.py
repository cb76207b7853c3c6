"""Query strings, checked: every error names the parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from csms.api.problems import Problem

MAX_ID = 2**63 - 1
MAX_TEXT = 255
DEFAULT_LIMIT = 100
MAX_LIMIT = 500


class Parameters:
    """The parameters of a request, of which only ``known`` ones may be there. Methods raise :class:`Problem`."""

    def __init__(self, arguments: Mapping[bytes, Sequence[bytes]], *known: str) -> None:
        self._values: dict[str, str] = {}
        for raw_name, raw_values in arguments.items():
            name = raw_name.decode("ascii", "backslashreplace")
            if name not in known:
                raise _wrong(
                    name, f"there is no parameter {name[:MAX_TEXT]!r} here; known: {', '.join(known) or 'none'}"
                )
            if len(raw_values) != 1:
                raise _wrong(name, f"{name} is given {len(raw_values)} times")
            try:
                self._values[name] = raw_values[0].decode()
            except UnicodeDecodeError:
                raise _wrong(name, f"{name} is not UTF-8") from None

    def text(self, name: str) -> str:
        """At most 255 characters; empty when it is not given."""
        value = self._values.get(name, "")
        if len(value) > MAX_TEXT or "\0" in value:
            raise _wrong(name, f"{name} has more than {MAX_TEXT} characters, or a NUL")
        return value

    def limit(self) -> int:
        """``limit``: how many items a page has."""
        return self._integer("limit", 1, MAX_LIMIT) or DEFAULT_LIMIT

    def id(self, name: str) -> int | None:
        """A key of the database."""
        return self._integer(name, 1, MAX_ID)

    def boolean(self, name: str) -> bool | None:
        """``true`` or ``false``."""
        value = self._values.get(name)
        if value is None:
            return None
        if value not in ("true", "false"):
            raise _wrong(name, f"{name} must be true or false")
        return value == "true"

    def _integer(self, name: str, least: int, most: int) -> int | None:
        value = self._values.get(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= 19 and least <= int(value) <= most):
            raise _wrong(name, f"{name} must be a whole number from {least} to {most}")
        return int(value)


def _wrong(name: str, detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail, parameter=name[:MAX_TEXT])
