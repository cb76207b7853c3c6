"""Whether a series of measurements is flat once it has warmed up: a line through it, and what it would rise by."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WARM_UP = 0.4
"""The part of the time that does not count: caches fill, pools grow, allocators find their size."""
FEWEST = 12
"""Samples that a series needs after its warm-up."""
ALLOWED_SHARE = 0.03
ALLOWED = {"rss_mb": 4.0, "descriptors": 12.0, "threads": 2.0, "queue": 50.0, "rows": 200.0}
"""By kind of series: what it may rise by in the time measured and still be flat; ALLOWED_SHARE of it if that is more.

The load is random: sessions, browsers and requests come and go.
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one series."""

    name: str
    first: float
    """Median of its first tenth after the warm-up."""
    last: float
    """Median of its last tenth."""
    highest: float
    rise: float
    """Of the line through it, from the end of the warm-up to the end."""
    per_hour: float
    flat: bool | None
    """None: too short to tell."""


def judge(name: str, kind: str, samples: Sequence[tuple[float, float]]) -> Verdict:
    """``samples``: (seconds, value), in order."""
    began, ended = samples[0][0], samples[-1][0]
    warm = [one for one in samples if one[0] >= began + WARM_UP * (ended - began)]
    times, values = [one[0] for one in warm], [one[1] for one in warm]
    tenth = max(1, len(warm) // 10)
    first, last = statistics.median(values[:tenth]), statistics.median(values[-tenth:])
    if len(warm) < FEWEST:
        return Verdict(name, first, last, max(values), 0.0, 0.0, None)
    slope = statistics.linear_regression(times, values).slope
    rise = slope * (times[-1] - times[0])
    allowed = max(ALLOWED[kind], ALLOWED_SHARE * statistics.median(values))
    return Verdict(name, first, last, max(values), rise, slope * 3600, rise <= allowed)
