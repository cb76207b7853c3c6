"""Times of chargers: read leniently, checked against the time of receipt, never a reason to refuse anything."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec

from csms.domain.model import Flag
from csms.ocpp.timestamps import parse_timestamp

OLDEST = timedelta(days=365)
"""A message may have waited in a charger for a season; a time before that is a clock that was never set."""
NEWEST = timedelta(hours=26)
"""Local time declared as UTC is up to 14 hours ahead, and a clock may drift; beyond that it is nonsense."""
AHEAD = timedelta(minutes=5)
LATE = timedelta(minutes=5)
_MAX_LENGTH = 64
_WITH_ZONE = re.compile(r".*[Tt ].*(?:[Zz]|[+-]\d\d(?::?\d\d)?)", re.DOTALL)


class DeviceTime(msgspec.Struct, frozen=True):
    """When something happened: ``at`` is the charger's time, or that of receipt when ``plausible`` is False.

    ``flags``: what was odd about it (:class:`csms.domain.model.Flag`).
    """

    at: datetime
    plausible: bool
    flags: frozenset[Flag] = frozenset()


def device_time(value: object, received_at: datetime) -> DeviceTime:
    """Read a time that a charger sent in a message received at ``received_at``.

    A missing zone is taken as UTC and flagged; a time in the window from a year ago to a day ahead is kept, flagged
    when it lies ahead or long before; for anything else (1970, the year 222222017, no text at all) the time of
    receipt stands in.
    """
    parsed = parse_timestamp(value) if isinstance(value, str) and len(value) <= _MAX_LENGTH else None
    if parsed is None or not received_at - OLDEST <= parsed <= received_at + NEWEST:
        return DeviceTime(received_at, False, frozenset({Flag.CLOCK_SKEW}))
    flags = set()
    if not _WITH_ZONE.fullmatch(str(value)):
        flags.add(Flag.ZONE_MISSING)
    if parsed > received_at + AHEAD:
        flags.add(Flag.CLOCK_SKEW)
    if parsed < received_at - LATE:
        flags.add(Flag.OFFLINE)
    return DeviceTime(parsed, True, frozenset(flags))


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and ``Z``: the form that every charger reads, 1.6 and 2.x."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
