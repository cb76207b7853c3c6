"""Ids of messages, connections and commands: unique everywhere, and later ones are larger. Time comes in."""

from __future__ import annotations

import os
import re

_RANDOM_BITS = 48
_RANDOM_MASK = (1 << _RANDOM_BITS) - 1
_GAP_BYTES = 4
_OURS = re.compile("([0-9a-f]{12})-[0-9a-f]{12}")


class _Sequence:
    """96-bit numbers that only grow: Unix milliseconds, then random bits."""

    def __init__(self) -> None:
        self._last = 0

    def after(self, now_ms: int) -> int:
        number = (now_ms << _RANDOM_BITS) | int.from_bytes(os.urandom(_RANDOM_BITS // 8))
        if number <= self._last:  # the same millisecond, or a clock that was set back
            number = self._last + 1 + int.from_bytes(os.urandom(_GAP_BYTES))
        self._last = number
        return number


_sequence = _Sequence()


def new_id(now_ms: int) -> str:
    """A new id, larger (as text, too) than all that this process has made before.

    12 hex digits of Unix milliseconds, "-", 12 random hex digits.
    """
    number = _sequence.after(now_ms)
    return f"{number >> _RANDOM_BITS:012x}-{number & _RANDOM_MASK:012x}"


def made_at_ms(text: str) -> int | None:
    """Unix milliseconds of when an id, or the one that it begins with, was made; None when it is not one of ours."""
    ours = _OURS.match(text)
    return int(ours[1], 16) if ours is not None else None
