"""What was answered, and how fast."""

from __future__ import annotations

import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any


class Tally:
    """Counts from :meth:`begin` to :meth:`end`; errors count always."""

    def __init__(self) -> None:
        self.errors: Counter[str] = Counter()
        self.total: Counter[str] = Counter()
        """Answers by action, from the very beginning."""
        self._open = False
        self._took_s: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
        self._began_at = self._began_cpu_s = self.seconds = self._cpu_s = 0.0

    def begin(self) -> None:
        """From now on it counts."""
        self._open = True
        self._began_at, self._began_cpu_s = time.perf_counter(), time.process_time()

    def end(self) -> None:
        """It counts no more."""
        self._open = False
        self.seconds = time.perf_counter() - self._began_at
        self._cpu_s = time.process_time() - self._began_cpu_s

    def answered(self, action: str, took_s: float) -> None:
        """An answer has come."""
        self.total[action] += 1
        if self._open:
            self._took_s[action].append(took_s)

    def result(self) -> dict[str, Any]:
        """All of it, for JSON."""
        everything = array("d", (took for many in self._took_s.values() for took in many))
        count = len(everything)
        return {
            "answered": count,
            "seconds": round(self.seconds, 3),
            "answered_per_s": round(count / self.seconds, 1) if self.seconds else 0.0,
            **spread_ms(everything),
            "actions": {
                action: {"answered": len(took), **spread_ms(took)} for action, took in sorted(self._took_s.items())
            },
            "errors": dict(self.errors),
            "total": dict(self.total),
            "own_cpu_us_per_message": round(self._cpu_s / count * 1e6, 1) if count else 0.0,
            "own_cpu_share": round(self._cpu_s / self.seconds, 3) if self.seconds else 0.0,
        }


def spread_ms(took_s: Iterable[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    ordered = sorted(took_s)
    if not ordered:
        return {}
    last = len(ordered) - 1

    def at(share: float) -> float:
        return round(ordered[min(last, int(share * len(ordered)))] * 1000, 3)

    return {"p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": round(ordered[-1] * 1000, 3)}
