"""What a load is put on: csms or the baseline, seen alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

PREFIX = "BENCH-"


@dataclass(frozen=True, slots=True)
class Stored:
    """How many messages of chargers, and how many meter values, were in the database at a time."""

    messages: int
    values: int
    at: float


class Target(Protocol):
    """A server that runs."""

    name: str
    ports: Sequence[int]
    path: str
    password: str

    @property
    def pids(self) -> Mapping[str, Sequence[int]]:
        """The roots of its processes' trees, with those of the servers that it uses."""
        ...

    def waiting(self) -> int | None:
        """Messages in the broker's queues that wait to be stored; None: nobody can look from outside."""
        ...

    def stored(self) -> Stored:
        """What is in the database."""
        ...

    def lag_s(self) -> float | None:
        """Age of the oldest message of the last batch when it was stored; None: it does not tell."""
        ...

    def close(self) -> None:
        """End it."""
        ...
