"""Pure arithmetic of the summaries: peaks of samples, and energy and time spread over the hours they fell in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from csms.domain.model import Measured, Session, SessionSummary

HOUR = timedelta(hours=1)
LONGEST_SPAN = timedelta(days=31)
"""A longer time without any news of a session is a wrong clock rather than charging: it is not spread."""


def summarise(session: Session, device_id: str, peak_power_w: float | None) -> SessionSummary:
    """The summary of a session that has ended. Without a stop time it ended when it was last measured."""
    stopped_at = session.stopped_at or session.meter_last_at or session.started_at
    duration_s = max(0.0, (stopped_at - session.started_at).total_seconds())
    return SessionSummary(
        session_id=session.id,
        charger_id=session.charger_id,
        device_id=device_id,
        id_token=session.id_token,
        started_at=session.started_at,
        stopped_at=stopped_at,
        duration_s=duration_s,
        energy_wh=session.energy_wh,
        average_power_w=session.energy_wh * 3600 / duration_s if duration_s else 0.0,
        peak_power_w=peak_power_w,
        stop_reason=session.stop_reason,
    )


def highest_power_w(powers: Iterable[Measured]) -> float | None:
    """The highest power measured: that of the whole connector, or the sum of its phases where only these were."""
    totals: dict[datetime, float] = {}
    phases: dict[datetime, dict[str, float]] = defaultdict(dict)
    for one in powers:
        if one.phase:
            phases[one.at][one.phase] = one.value
        else:
            totals[one.at] = max(one.value, totals.get(one.at, one.value))
    sums = (sum(by_phase.values()) for at, by_phase in phases.items() if at not in totals)
    return max((*totals.values(), *sums), default=None)


def highest_average_w(register: Iterable[Measured]) -> float | None:
    """The highest average between two readings of the energy register: what there is without a measured power."""
    readings = sorted({one.at: one.value for one in register if not one.phase}.items())
    return max(
        (
            (wh - earlier_wh) * 3600 / (at - earlier_at).total_seconds()
            for (earlier_at, earlier_wh), (at, wh) in pairwise(readings)
            if wh >= earlier_wh
        ),
        default=None,
    )


def hour_of(moment: datetime) -> datetime:
    """The beginning of the hour (UTC) that ``moment`` falls in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def spread(begin: datetime, end: datetime) -> Iterator[tuple[datetime, float]]:
    """The hours (UTC) between the two moments, each with the seconds of it that lie between them."""
    hour = hour_of(begin)
    while hour < end:
        following = hour + HOUR
        yield hour, (min(end, following) - max(begin, hour)).total_seconds()
        hour = following
