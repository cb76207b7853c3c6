"""Pure arithmetic of the summaries: peaks of samples, and energy and time spread over the hours they fell in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from csms.domain.model import Sample, Session, SessionSummary

ENERGY_REGISTER = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"
HOUR = timedelta(hours=1)
LONGEST_SPAN = timedelta(days=31)
"""A longer time without any news of a session is a wrong clock rather than charging: it is not spread."""


def summarise(session: Session, device_id: str, samples: Sequence[Sample]) -> SessionSummary:
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
        peak_power_w=peak_power_w(samples),
        stop_reason=session.stop_reason,
    )


def peak_power_w(samples: Iterable[Sample]) -> float | None:
    """The highest power measured; without power samples, the highest average between two energy readings.

    Power is that of the whole connector, or the sum of its phases where only these were measured at that moment.
    """
    totals: dict[datetime, float] = {}
    phases: dict[datetime, dict[str, float]] = defaultdict(dict)
    register: dict[datetime, float] = {}
    for sample in samples:
        if sample.value is None:
            continue
        if sample.measurand == POWER and not sample.phase:
            totals[sample.sampled_at] = max(sample.value, totals.get(sample.sampled_at, sample.value))
        elif sample.measurand == POWER:
            phases[sample.sampled_at][sample.phase] = sample.value
        elif sample.measurand == ENERGY_REGISTER and not sample.phase:
            register[sample.sampled_at] = sample.value
    powers = [sum(by_phase.values()) for at, by_phase in phases.items() if at not in totals]
    powers.extend(totals.values())
    return max(powers or _powers_between(register), default=None)


def _powers_between(register: dict[datetime, float]) -> list[float]:
    readings = sorted(register.items())
    return [
        (wh - earlier_wh) * 3600 / (at - earlier_at).total_seconds()
        for (earlier_at, earlier_wh), (at, wh) in pairwise(readings)
        if wh >= earlier_wh
    ]


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
