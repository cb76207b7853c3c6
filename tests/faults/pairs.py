"""Two faults at once: a second one while the first is not over."""

from __future__ import annotations

import asyncio

from tests.faults.catalogue import FAULTS, Fault
from tests.faults.field import Field

HEAD_START_S = 0.5
PAIRS = (
    ("broker-killed", "worker-killed"),
    ("broker-killed", "gateway-killed"),
    ("broker-restarted", "half-open"),
    ("broker-frozen", "worker-killed"),
    ("broker-frozen", "gateway-stopped"),
    ("broker-memory-alarm", "worker-killed"),
    ("broker-memory-alarm", "gateway-killed"),
    ("connections-closed-by-broker", "worker-killed"),
    ("shard-queue-deleted", "gateway-killed"),
    ("worker-killed-before-commit", "gateway-killed"),
    ("worker-frozen", "gateway-killed"),
    ("gateway-frozen", "worker-killed"),
    ("gateway-killed", "worker-killed"),
    ("retry-storm", "worker-killed"),
    ("offline-backlog", "gateway-killed"),
    ("poison-message", "worker-killed"),
)


def add_pairs() -> None:
    """Add the pairs to the catalogue, after the faults that they are made of."""
    for first, second in PAIRS:
        _add(FAULTS[first], FAULTS[second])


def _add(first: Fault, second: Fault) -> None:
    name = f"{first.name}+{second.name}"

    async def both(field: Field) -> None:
        field.alone = False
        beginning = asyncio.ensure_future(first.inflict(field))
        await asyncio.wait([beginning], timeout=HEAD_START_S)
        await second.inflict(field)
        await beginning
        field.over()

    FAULTS[name] = Fault(
        name,
        f"{first.description.rstrip('.')}; meanwhile: {second.description}",
        both,
        first.layout,
        touches=first.touches | second.touches,
    )
