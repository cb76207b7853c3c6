"""Counts failures of whoever tries too often. Bounded: the oldest is forgotten first."""

from __future__ import annotations

from collections import OrderedDict


class Throttle:
    """At most ``limit`` failures of a key in ``window_s``; from then on it is blocked until the window ends."""

    __slots__ = ("_limit", "_max_keys", "_seen", "_window_s")

    def __init__(self, *, limit: int, window_s: float, max_keys: int = 20_000) -> None:
        self._limit = limit
        self._window_s = window_s
        self._max_keys = max_keys
        self._seen: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """key -> failures in its window, end of the window."""

    def blocked_for_s(self, key: str, now: float) -> float:
        """How long ``key`` has to wait; 0: not at all."""
        failures, until = self._seen.get(key, (0, 0.0))
        return until - now if failures >= self._limit and until > now else 0.0

    def failed(self, key: str, now: float) -> None:
        """``key`` has failed once more."""
        failures, until = self._seen.pop(key, (0, 0.0))
        if until <= now:
            failures, until = 0, now + self._window_s
        if len(self._seen) >= self._max_keys:
            self._seen.popitem(last=False)
        self._seen[key] = (failures + 1, until)

    def take_back(self, key: str) -> None:
        """A failure of ``key`` that was counted ahead was none."""
        failures, until = self._seen.get(key, (0, 0.0))
        if failures:
            self._seen[key] = (failures - 1, until)

    def forget(self, key: str) -> None:
        """``key`` did well."""
        self._seen.pop(key, None)
