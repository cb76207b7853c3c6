"""What odd chargers did, kept for a person to look at, and what a unit of work offers for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from csms.ocpp.quirks import Deviation


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviationRecord:
    """A deviation of a charger that was tolerated, however often: unique by charger, ``kind``, ``action``, ``path``."""

    charger_id: int
    kind: str
    action: str
    path: str
    """Where in the payload, as JSONPath; ``[*]`` for every place of a list."""
    first_seen: datetime
    last_seen: datetime
    count: int = 1
    example: str = ""
    """What stood there the last time, as JSON, shortened."""


class Deviations(Protocol):
    """What chargers did against their schema and was tolerated."""

    def note(self, charger_id: int, action: str, deviations: Iterable[Deviation], *, at: datetime) -> None: ...

    def of(self, charger_id: int) -> Sequence[DeviationRecord]:
        """All of a charger's, the newest first."""
        ...
