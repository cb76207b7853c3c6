"""All faults by name, in the order in which the full run takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.field import FaultFunction
from tests.faults.sites import Layout, ScaledOut


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, as the runner sees it."""

    name: str
    description: str
    inflict: FaultFunction
    layout: Layout = ScaledOut
    short: bool = False
    """Whether ``make test`` runs it, too."""
    touches: frozenset[str] = frozenset()
    chargers: int = 18
    """How many are the load."""
    pause_s: float = 0.1
    """Between two messages of a charger."""


FAULTS: dict[str, Fault] = {}


def fault(
    name: str,
    *,
    layout: Layout = ScaledOut,
    short: bool = False,
    touches: str = "",
    chargers: int = 18,
    pause_s: float = 0.1,
) -> Callable[[FaultFunction], FaultFunction]:
    """Add the decorated function to the catalogue. ``touches``: words, separated by blanks."""

    def add(inflict: FaultFunction) -> FaultFunction:
        if name in FAULTS:
            raise ValueError(f"there are two faults called {name}")
        description = (inflict.__doc__ or "").strip().partition("\n")[0]
        FAULTS[name] = Fault(
            name,
            description,
            inflict,
            layout,
            short,
            frozenset(touches.split()),
            chargers,
            pause_s,
        )
        return inflict

    return add


def load_faults() -> dict[str, Fault]:
    """The catalogue, filled: importing a module of faults adds its own."""
    from tests.faults import (  # noqa: F401
        broker,
        charger_faults,
        clusters,
        database,
        embedded,
        life,
        message_faults,
        moments,
        networks,
        pairs,
        processes,
        shards,
    )

    pairs.add_pairs()
    return FAULTS
