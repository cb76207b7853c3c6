"""One run of the load generator against a target, and all that is looked at meanwhile."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.stand.processes import cpu_s, memory_mb
from bench.stand.target import Stored, Target
from csms.gateway.stream_reading import SETTLE_S
from tests.integration.processes import ROOT, environment

_LOOK_EVERY_S = 0.5
_SILENCE_S = 240.0
_DRAIN_S = 120.0
WARM_UP_S = SETTLE_S + 3.0
"""A gateway whose first browser has just come reads each event twice, from its queue and from the stream."""
_FROM_MEMORY = "Heartbeat"


@dataclass(frozen=True, slots=True)
class Load:
    """What the generator is asked for; see ``python -m bench.load --help``."""

    chargers: int
    load: str = "mixed"
    rate: float = 0.0
    warm_up_s: float = WARM_UP_S
    seconds: float = 10.0
    more: Sequence[str] = ()
    note: str = ""
    """What else is special, for a person."""

    def arguments(self, target: Target) -> list[str]:
        """The generator's command line."""
        return [
            *map(str, target.ports),
            *("--path", target.path, "--password", target.password, "--chargers", str(self.chargers)),
            *("--load", self.load, "--rate", str(self.rate)),
            *("--warm-up", str(self.warm_up_s), "--seconds", str(self.seconds)),
            *self.more,
        ]


class Generator:
    """The load generator as a process; what it tells comes out of :meth:`phases`."""

    def __init__(self, arguments: Sequence[str], module: str = "bench.load") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def phases(self, meanwhile: Callable[[], None] = lambda: None) -> Iterator[dict[str, Any]]:
        """Each line that it prints; ``meanwhile`` is called twice a second."""
        lines = self._process.stdout
        assert lines is not None
        silent_since = time.monotonic()
        while True:
            ready, _, _ = select.select([lines], [], [], _LOOK_EVERY_S)
            if not ready:
                meanwhile()
                if time.monotonic() - silent_since > _SILENCE_S:
                    raise TimeoutError("the load generator says nothing")
                continue
            line = lines.readline()
            if not line:
                return
            silent_since = time.monotonic()
            yield json.loads(line)

    def hang_up(self) -> None:
        """Tell it to come to its end."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def close(self) -> None:
        """Let it end, or end it; raises RuntimeError if it failed."""
        self.hang_up()
        try:
            code = self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if code:
            raise RuntimeError(f"the load generator ended with {code}")


@dataclass(slots=True)
class _Looks:
    """What was seen during the measuring."""

    count: int = 0
    waiting: list[int] = field(default_factory=list)
    lag_s: list[float] = field(default_factory=list)


def measure(target: Target, load: Load, *, on_measuring: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Put ``load`` on ``target``; all figures, for JSON."""
    generator = Generator(load.arguments(target))
    looks, figures = _Looks(), {}
    before = after = Stored(0, 0, 0.0)
    cpu: dict[str, float] = {}
    measuring = False

    def look() -> None:
        if measuring:
            looks.count += 1
            if (waiting := target.waiting()) is not None:
                looks.waiting.append(waiting)
            if looks.count % 4 == 1 and (lag := target.lag_s()) is not None:
                looks.lag_s.append(lag)

    try:
        for phase in generator.phases(look):
            match phase["phase"]:
                case "connected":
                    figures["connect_s"] = phase["seconds"]
                case "measuring":
                    before, measuring = target.stored(), True
                    cpu = cpu_s(target.pids)
                    on_measuring()
                case "measured":
                    measuring = False
                    cpu = {name: used - cpu[name] for name, used in cpu_s(target.pids).items()}
                    after = target.stored()
                    figures["memory_mb"] = memory_mb(target.pids)
                case "result":
                    figures.update(phase)
    finally:
        generator.close()
    del figures["phase"]
    took_s = max(after.at - before.at, 1e-9)
    answered = max(figures["answered"], 1)
    each_us = {name: round(used / answered * 1e6, 1) for name, used in cpu.items()}
    figures |= {
        "target": target.name,
        "chargers": load.chargers,
        "load": load.load,
        "rate": load.rate,
        "note": load.note,
        "stored_per_s": round((after.messages - before.messages) / took_s, 1),
        "values_per_s": round((after.values - before.values) / took_s, 1),
        "cpu_us_per_message": each_us,
        "cpu_us_per_message_all": round(sum(each_us.values()), 1),
        "waiting": looks.waiting,
        "waiting_max": max(looks.waiting, default=0),
        "waiting_growth_per_s": _growth_per_s(looks.waiting),
        "lag_max_s": round(max(looks.lag_s), 3) if looks.lag_s else None,
    }
    return figures


def drain(target: Target, figures: dict[str, Any], *, already: int = 0) -> None:
    """Wait until all that was answered is stored; adds how long that took, and fails if something is missing.

    ``already``: so many messages were stored before.
    """
    total = figures["total"]
    expected = sum(count for action, count in total.items() if action != _FROM_MEMORY) + figures["flood_total"]
    began = time.monotonic()
    while (stored := target.stored().messages - already) < expected:
        if time.monotonic() - began > _DRAIN_S:
            raise RuntimeError(f"{target.name} answered {expected} messages and stored {stored}")
        time.sleep(0.1)
    figures["drain_s"] = round(time.monotonic() - began, 2)


def _growth_per_s(waiting: Sequence[int]) -> float:
    """How much the queue grew each second: the last third's mean against the first's."""
    third = len(waiting) // 3
    if not third:
        return 0.0
    first, last = sum(waiting[:third]) / third, sum(waiting[-third:]) / third
    return round((last - first) / ((len(waiting) - third) * _LOOK_EVERY_S), 1)
