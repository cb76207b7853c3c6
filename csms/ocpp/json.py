"""JSON of chargers: strict in what is read, bounded in what it may cost, repaired where a database would choke.

msgspec reads and writes. What it refuses gets a second, slower look, because a session's data is not given up
for a stray control character. Of a duplicate key the last value wins (RFC 8259 leaves it open).
"""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

MAX_DEPTH = 32
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1
_REPLACEMENT = "\ufffd"
_MAX_NUMBER_TEXT = 64
_TOO_DEEP = "nested too deeply"

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class JsonError(ValueError):
    """The text is not JSON that we accept. ``value`` is what was read when only its depth is too much."""

    def __init__(self, reason: str, value: object = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value


class Decoded(msgspec.Struct, frozen=True):
    """A JSON value and the text it was read from, both free of what databases refuse.

    ``cleaned`` tells that something was replaced: NUL characters, lone surrogates and invalid UTF-8 by
    U+FFFD; numbers that are no finite double or do not fit in signed 64 bits by their text, so that they
    break the schema's type.
    """

    value: Any
    text: str
    cleaned: bool


def decode(data: str | bytes) -> Decoded:
    """Read one JSON text; raises :class:`JsonError` and nothing else."""
    try:
        text = data if isinstance(data, str) else str(data, "utf-8")
        value = _decode(text)
    except (UnicodeError, msgspec.DecodeError):
        return _decode_slowly(data)
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None
    if "\\u" in text or not _is_plain(value):
        return _cleaned(value, text, False)
    return Decoded(value, text, False)


def safe_text(data: str | bytes) -> str:
    """``data`` as text that every database takes, whatever it is."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    return data.decode("utf-8", "replace").replace("\x00", _REPLACEMENT)


def encode(value: object) -> str:
    """``value`` as compact JSON, members in their order. Raises ValueError for what is no JSON value."""
    try:
        return str(_encode(value), "utf-8")
    except (TypeError, UnicodeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a JSON value: {error}") from error


def _is_plain(value: object) -> bool:
    """Whether all integers fit in 64 bits; raises when nested too deeply. Level by level, so it never recurses."""
    level = [value]
    for depth in range(MAX_DEPTH + 1):
        below: list[object] = []
        for node in level:
            kind = type(node)
            if kind is str:
                continue
            if kind is dict or kind is list:
                if depth == MAX_DEPTH:
                    raise JsonError(_TOO_DEEP, value)
                below += node.values() if kind is dict else node  # type: ignore[attr-defined,arg-type]
            elif kind is int and not MIN_INTEGER <= node <= MAX_INTEGER:  # type: ignore[operator]
                return False
        if not below:
            return True
        level = below
    return True


def _decode_slowly(data: str | bytes) -> Decoded:
    """A second look: control characters in strings, odd numbers, a byte order mark, invalid UTF-8."""
    text = safe_text(data)
    try:
        value = json.loads(text.removeprefix("\ufeff"), strict=False, parse_int=_parse_int)
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None
    except ValueError as error:
        raise JsonError(str(error)) from None
    return _cleaned(value, text, text != data if isinstance(data, str) else text.encode() != data)


class _HugeInteger(str):
    """The digits of an integer that was not even converted."""

    __slots__ = ()


def _parse_int(digits: str) -> int | _HugeInteger:
    # int() is quadratic in the number of digits, and refuses more than 4300.
    return int(digits) if len(digits) <= 20 else _HugeInteger(digits)


def _cleaned(value: Any, text: str, text_repaired: bool) -> Decoded:
    cleaner = _Cleaner()
    try:
        clean = cleaner.clean(value, 0)
    except JsonError as error:
        raise JsonError(error.reason, value) from None
    return Decoded(clean, text, cleaner.changed or text_repaired)


class _Cleaner:
    """Rebuilds a value without what databases refuse, and remembers whether anything was replaced."""

    __slots__ = ("changed",)

    def __init__(self) -> None:
        self.changed = False

    def clean(self, value: Any, depth: int) -> Any:
        """The clean copy of ``value``; raises when nested too deeply."""
        if isinstance(value, dict | list):
            if depth == MAX_DEPTH:
                raise JsonError(_TOO_DEEP)
            if isinstance(value, list):
                return [self.clean(member, depth + 1) for member in value]
            return {self._string(key): self.clean(member, depth + 1) for key, member in value.items()}
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, int):
            return value if MIN_INTEGER <= value <= MAX_INTEGER else self._number_text(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else self._number_text(value)
        return value

    def _string(self, text: str) -> str:
        if isinstance(text, _HugeInteger):
            return self._number_text(text)
        if text.isascii() and "\x00" not in text:
            return text
        clean = text.replace("\x00", _REPLACEMENT)
        clean = clean.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        self.changed = self.changed or clean != text
        return clean

    def _number_text(self, number: object) -> str:
        self.changed = True
        return str(number)[:_MAX_NUMBER_TEXT]
