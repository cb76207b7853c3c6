"""Groups, unknown tokens and deviations in dictionaries and lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from csms.domain.token_records import TokenGroup
from csms.ocpp.quirks import Deviation


@dataclass
class MemoryGroups:
    by_name: dict[str, TokenGroup] = field(default_factory=dict)

    def get(self, name: str) -> TokenGroup | None:
        return self.by_name.get(name.casefold())

    def add(self, group: TokenGroup) -> TokenGroup:
        return self.by_name.setdefault(group.name.casefold(), group)


@dataclass
class MemoryUnknownTokens:
    """Every sighting: charger, token, type, whether a session began with it."""

    sightings: list[tuple[int, str, str, bool]] = field(default_factory=list)

    def seen(self, charger_id: int, token: str, *, type: str, at: datetime, in_session: bool) -> None:  # noqa: A002
        self.sightings.append((charger_id, token, type, in_session))


@dataclass
class MemoryDeviations:
    noted: list[tuple[int, str, Deviation]] = field(default_factory=list)

    def note(self, charger_id: int, action: str, deviations: Iterable[Deviation], *, at: datetime) -> None:
        self.noted += [(charger_id, action, one) for one in deviations]
