"""Times as chargers really write them."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_timestamp(text: str) -> datetime | None:
    """The time in ``text`` as aware UTC; None when it is no time.

    RFC 3339 is what OCPP asks for. Chargers also leave out the zone (taken as UTC, which OCPP recommends
    for all times), write lower case letters, leap seconds or many digits of a second: all of that is read.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.upper().replace(":60", ":59"))
        except ValueError:
            return None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # within hours of the years 1 and 9999
        return None


def is_timestamp(text: str) -> bool:
    """Whether :func:`parse_timestamp` can read it."""
    return parse_timestamp(text) is not None
