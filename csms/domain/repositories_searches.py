"""What a unit of work offers to those who look for something: sessions, meter values, messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from csms.domain.model import LogEntry, Sample, Session, SessionState


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSearch:
    """Which sessions; what is empty or None does not matter."""

    state: SessionState | None = None
    active: bool | None = None
    charger_id: int | None = None
    device_id: str = ""
    id_token: str = ""
    since: datetime | None = None
    """Started at that time or later."""
    until: datetime | None = None
    """Started before that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSearch:
    """Which meter values, of one charger or one session."""

    charger_id: int
    session_id: int = 0
    measurand: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSearch:
    """Which messages of a charger."""

    charger_id: int
    action: str = ""
    failed: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSample:
    """``series_key`` tells samples of the same time apart."""

    sample: Sample
    series_key: int


class Searches(Protocol):
    """Pages of what was found. Nothing of it is meant to be changed."""

    def sessions(self, search: SessionSearch, *, before_id: int, limit: int) -> Sequence[Session]:
        """Newest first; 0 begins with the newest."""
        ...

    def samples(self, search: SampleSearch, *, after: tuple[datetime, int] | None, limit: int) -> Sequence[FoundSample]:
        """Oldest first, behind that time and series."""
        ...

    def messages(self, search: MessageSearch, *, before: tuple[datetime, str] | None, limit: int) -> Sequence[LogEntry]:
        """Newest first, older than that time and message id."""
        ...
