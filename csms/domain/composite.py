"""What several charging profiles together allow (1.6 section 3.13; 2.x K01): computed, without asking the charger.

At any moment, of each purpose the valid profile with the highest stack level counts. A TxProfile overrides the
TxDefaultProfile; the ChargePointMaxProfile caps whatever they allow. At the same stack level a profile for the EVSE
overrides one for the whole charger.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from csms.domain.device_records import ChargingProfile, Comparison, Period

MAX_PROFILE = "ChargePointMaxProfile"
TX_DEFAULT = "TxDefaultProfile"
TX = "TxProfile"

MAX_WINDOW_S = 14 * 24 * 3600
"""Longer windows are cut: a schedule that recurs does so within two weeks."""
NOMINAL_V = 230.0
"""Between a phase and neutral, where limits in A and W meet."""
DEFAULT_PHASES = 3
_RECURRENCES_S = {"Daily": 86_400, "Weekly": 7 * 86_400}
_TOLERANCE = 0.1
_TOLERATED_SHARE = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Charging:
    """The transaction on the EVSE."""

    transaction_id: str
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is asked: from ``start`` for ``duration_s``, limits in ``unit`` (W or A)."""

    evse_id: int
    start: datetime
    duration_s: float
    unit: str
    charging: Charging | None = None

    @property
    def end(self) -> datetime:
        return self.start + timedelta(seconds=max(0.0, min(self.duration_s, MAX_WINDOW_S)))


def composite(profiles: Iterable[ChargingProfile], window: Window) -> tuple[Period, ...]:
    """The limit over the window, in ascending order; the first period starts at 0. Limit None: nothing limits.

    For EVSE 0 only what caps the whole charger counts.
    """
    caps, overriding, defaults = _by_purpose(profiles, window)
    moments = {window.start}
    for profile in (*caps, *overriding, *defaults):
        moments.update(at for at in _changes(profile, window) if window.start < at < window.end)
    periods: list[Period] = []
    for at in sorted(moments):
        session = _prevailing(overriding, at, window) or _prevailing(defaults, at, window)
        limit, phases = _lower(_prevailing(caps, at, window), session)
        if not periods or (periods[-1].limit, periods[-1].phases) != (limit, phases):
            periods.append(Period((at - window.start).total_seconds(), limit, phases))
    return tuple(periods)


def compare(expected: Sequence[Period], reported: Sequence[Period], duration_s: float) -> Comparison:
    """How ``reported`` compares with ``expected`` over the first ``duration_s``; no limit of ours, no difference."""
    starts = {0.0, *(period.start_s for period in (*expected, *reported))}
    found = Comparison.EQUAL
    for start in sorted(start for start in starts if 0 <= start < max(duration_s, 1.0)):
        ours, theirs = limit_at(expected, start), limit_at(reported, start)
        if ours is None or ours.limit is None:
            continue
        tolerated = max(_TOLERANCE, _TOLERATED_SHARE * abs(ours.limit))
        if theirs is None or theirs.limit is None or theirs.limit > ours.limit + tolerated:
            return Comparison.HIGHER
        if theirs.limit < ours.limit - tolerated:
            found = Comparison.LOWER
    return found


def limit_at(periods: Sequence[Period], offset_s: float) -> Period | None:
    """The period that ``offset_s`` lies in; None before the first."""
    index = bisect_right(periods, offset_s, key=lambda period: period.start_s)
    return periods[index - 1] if index else None


_Limit = tuple[float, int | None]


def _by_purpose(
    profiles: Iterable[ChargingProfile], window: Window
) -> tuple[list[ChargingProfile], list[ChargingProfile], list[ChargingProfile]]:
    caps, overriding, defaults = [], [], []
    for profile in profiles:
        if profile.purpose == MAX_PROFILE:
            caps.append(profile)
        elif window.evse_id and profile.purpose == TX_DEFAULT and profile.evse_id in (0, window.evse_id):
            defaults.append(profile)
        elif window.evse_id and profile.purpose == TX and profile.evse_id == window.evse_id:
            charging = window.charging
            if charging is not None and profile.transaction_id in ("", charging.transaction_id):
                overriding.append(profile)
    return caps, overriding, defaults


def _prevailing(profiles: Iterable[ChargingProfile], at: datetime, window: Window) -> _Limit | None:
    ranked = sorted(profiles, key=lambda one: (one.stack_level, one.evse_id != 0, one.set_at), reverse=True)
    return next((limit for one in ranked if (limit := _limit(one, at, window)) is not None), None)


def _lower(cap: _Limit | None, session: _Limit | None) -> tuple[float | None, int | None]:
    limits = [limit for limit in (session, cap) if limit is not None]
    return min(limits, key=lambda limit: limit[0]) if limits else (None, None)


def _limit(profile: ChargingProfile, at: datetime, window: Window) -> _Limit | None:
    if (profile.valid_from is not None and at < profile.valid_from) or (
        profile.valid_to is not None and at >= profile.valid_to
    ):
        return None
    offset = (at - _begin(profile, window)).total_seconds()
    if offset < 0:
        return None
    if profile.kind == "Recurring":
        offset %= _recurrence_s(profile)
    if profile.duration_s is not None and offset >= profile.duration_s:
        return None
    period = limit_at(profile.periods, offset)
    if period is None or period.limit is None:
        return None
    return _in_unit(period.limit, period.phases, profile.unit, window.unit), period.phases


def _begin(profile: ChargingProfile, window: Window) -> datetime:
    """When the schedule's first second is, or was first."""
    if profile.kind != "Relative" and profile.start_schedule is not None:
        return profile.start_schedule
    if profile.purpose == MAX_PROFILE:
        return profile.set_at
    # Nobody charges: as if somebody began at the window's start.
    return window.start if window.charging is None else window.charging.started_at


def _changes(profile: ChargingProfile, window: Window) -> Iterator[datetime]:
    """Moments in the window, and around it, at which the profile's limit may change."""
    for moment in (profile.valid_from, profile.valid_to):
        if moment is not None:
            yield moment
    offsets = [period.start_s for period in profile.periods]
    if profile.duration_s is not None:
        offsets.append(float(profile.duration_s))
    begin = _begin(profile, window)
    beyond = (window.end - begin).total_seconds()
    repeats = [0.0]
    if profile.kind == "Recurring":
        every = _recurrence_s(profile)
        first = max(0, int((window.start - begin).total_seconds() // every))
        repeats = [float(number * every) for number in range(first, int(max(beyond, 0.0) // every) + 1)]
        offsets = [0.0, *(offset for offset in offsets if offset < every)]
    for repeat in repeats:
        yield from (begin + timedelta(seconds=repeat + one) for one in offsets if repeat + one <= beyond)


def _recurrence_s(profile: ChargingProfile) -> int:
    return _RECURRENCES_S.get(profile.recurrency, _RECURRENCES_S["Daily"])


def _in_unit(limit: float, phases: int | None, unit: str, wanted: str) -> float:
    if unit == wanted:
        return limit
    watts_per_ampere = NOMINAL_V * (phases or DEFAULT_PHASES)
    return limit * watts_per_ampere if wanted == "W" else limit / watts_per_ampere
