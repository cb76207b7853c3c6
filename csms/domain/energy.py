"""The energy, power and state of charge of a session, from its meter.

Energy is the register minus its reading at the start. A charger without a register value adds up intervals instead.
Samples older than the newest one that had its effect change nothing but the start: they are history that came late.
"""

from __future__ import annotations

from collections.abc import Iterable

from csms.domain.model import Flag, Session
from csms.domain.samples import BEGIN, Reading


def apply_readings(session: Session, readings: Iterable[Reading], *, once: bool = False) -> bool:
    """Bring ``session`` up to date with what its samples say; whether anything changed that people see.

    ``once``: these samples surely had no effect before, so that intervals count even when they come late.
    """
    before = _shown(session)
    for reading in readings:
        _apply(session, reading, once)
    _settle(session)
    return _shown(session) != before


def end_meter(session: Session, register_wh: float | None) -> None:
    """Set the register's reading at the end and settle the energy; without one, what is known so far counts."""
    if session.meter_stop_wh is None:
        session.meter_stop_wh = register_wh
    _settle(session)
    if session.power_w is not None:
        session.power_w = 0.0


def _apply(session: Session, reading: Reading, once: bool) -> None:
    newest_at = session.meter_last_at
    newer = newest_at is None or reading.at > newest_at
    current = newer or reading.at == newest_at
    if reading.register_wh is not None:
        if reading.context == BEGIN:
            _begin(session, reading.register_wh)
        _apply_register(session, reading.register_wh, current)
    elif reading.interval_wh is not None and (newer or once) and session.meter_last_wh is None:
        session.energy_wh += max(0.0, reading.interval_wh)
    if current and session.stopped_at is None and reading.power_w is not None:
        session.power_w = reading.power_w
    if current and reading.soc_percent is not None:
        session.soc_percent = reading.soc_percent
    if newer and reading.says_something:
        session.meter_last_at = reading.at


def _begin(session: Session, register_wh: float) -> None:
    if session.meter_start_wh is None or Flag.METER_START_ESTIMATED in session.flags:
        session.meter_start_wh = register_wh
        session.flags.discard(Flag.METER_START_ESTIMATED)


def _apply_register(session: Session, register_wh: float, current: bool) -> None:
    if session.meter_start_wh is None:
        session.meter_start_wh = register_wh
        session.flags.add(Flag.METER_START_ESTIMATED)
    elif not current and Flag.METER_START_ESTIMATED in session.flags:
        session.meter_start_wh = min(session.meter_start_wh, register_wh)
    if register_wh < session.meter_start_wh:
        # A glitch, or kWh that claim to be Wh: no measure of this session.
        session.flags.add(Flag.METER_DECREASED)
        return
    if current or session.meter_last_wh is None:
        if session.meter_last_wh is not None and register_wh < session.meter_last_wh:
            session.flags.add(Flag.METER_DECREASED)
        session.meter_last_wh = register_wh


def _settle(session: Session) -> None:
    start, stop, last = session.meter_start_wh, session.meter_stop_wh, session.meter_last_wh
    end = last if stop is None else stop
    if start is None or end is None:
        return
    if end < start:
        session.flags.add(Flag.METER_DECREASED)
        session.energy_wh = 0.0
    elif end > start or last is not None:
        session.energy_wh = end - start
    # Else the register never moved and never was sampled: what the intervals add up to stands.


def _shown(session: Session) -> tuple[float | None, ...]:
    return (
        session.energy_wh,
        session.power_w,
        session.soc_percent,
        session.meter_start_wh,
        session.meter_stop_wh,
    )
