"""``python -m tests.soak``: exit code 0 when everything is flat and nothing complained."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from tests.faults.sites import ScaledOut
from tests.soak.load import Load
from tests.soak.sampling import Sampler
from tests.soak.verdict import Verdict

SAMPLE_S = 5.0
PROGRESS_S = 30.0
DRAIN_S = 60.0


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="csms under steady load for a while.")
    parser.add_argument("--minutes", type=float, default=30.0, metavar="N", help="how long (default: 30)")
    parser.add_argument("--chargers", type=int, default=300, metavar="N", help="how many (default: 300)")
    parser.add_argument("--browsers", type=int, default=5, metavar="N", help="that stay (default: 5)")
    parser.add_argument(
        "--restarts", type=float, default=0.0, metavar="N", help="stop and start a process every N minutes (0: never)"
    )
    parser.add_argument("--json", type=Path, default=Path("var/soak.json"), metavar="FILE", help="where the figures go")
    return asyncio.run(Soak(parser.parse_args()).run())


class SoakSite(ScaledOut):
    """Gateways keep few events, so that what they keep is complete before it counts."""

    def settings(self, name: str) -> dict[str, str]:
        return {**super().settings(name), "CSMS_HTTP_EVENTS_KEPT": "1000"}


class Soak:
    """One run."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._site = SoakSite()
        self._random = Random(1)
        self._restarts: list[str] = []

    async def run(self) -> int:
        """Everything; the exit code."""
        try:
            await self._site.start()
            return await self._loaded(Load(self._site, self._arguments.chargers))
        finally:
            await self._site.close()

    async def _loaded(self, load: Load) -> int:
        sampler = Sampler(self._site)
        restarting: asyncio.Task[None] | None = None
        try:
            await load.start(self._arguments.browsers)
            if self._arguments.restarts:
                restarting = asyncio.create_task(self._restart())
            await self._measure(sampler, load)
        finally:
            if restarting is not None:
                restarting.cancel()
                await asyncio.gather(restarting, return_exceptions=True)
            await load.stop()
            load.destroy()
        left = await self._drained(sampler)
        return self._report(sampler, load, left)

    async def _measure(self, sampler: Sampler, load: Load) -> None:
        began = told_at = time.monotonic()
        stored = await asyncio.to_thread(sampler.stored)
        while (now := time.monotonic()) - began < self._arguments.minutes * 60:
            await asyncio.to_thread(sampler.sample)
            if now - told_at >= PROGRESS_S:
                total = await asyncio.to_thread(sampler.stored)
                self._tell(sampler, load, now - began, (total - stored) / (now - told_at))
                stored, told_at = total, now
            await asyncio.sleep(SAMPLE_S)

    def _tell(self, sampler: Sampler, load: Load, seconds: float, per_s: float) -> None:
        alive = {f"{service.name} ({service.pid})": service.name for service in self._site.services if service.alive}
        memory = {alive[name]: round(value) for name, value in sampler.newest("rss_mb").items() if name in alive}
        waiting = sum(sampler.newest("queue").values())
        print(
            f"{seconds / 60:5.1f} min  {per_s:5.1f} messages/s  MB {memory}  in queues {waiting:.0f}"
            f"  outbox {sampler.newest('rows')['outbox']:.0f}  {dict(load.answers)}",
            flush=True,
        )

    async def _restart(self) -> None:
        while True:
            await asyncio.sleep(self._arguments.restarts * 60)
            service = self._random.choice(self._site.services)
            code = await asyncio.to_thread(service.terminate)
            self._restarts.append(f"{service.name}: {code}")
            await self._site.launch(service)

    async def _drained(self, sampler: Sampler) -> dict[str, float]:
        """What is left in queues and outbox when the load is over and some time has passed."""
        end = time.monotonic() + DRAIN_S
        while True:
            left = {name: float(depth) for name, depth in (await asyncio.to_thread(sampler.depths)).items() if depth}
            outbox = await asyncio.to_thread(self._site.query, "select count(*) from outbox")
            left |= {"outbox": float(outbox[0][0])} if outbox[0][0] else {}
            if not left or time.monotonic() > end:
                return left
            await asyncio.sleep(1.0)

    def _report(self, sampler: Sampler, load: Load, left: dict[str, float]) -> int:
        verdicts = sampler.verdicts()
        growing = [one for one in verdicts if one.flat is False]
        complaints = [f"{one.name}: {line[:300]}" for one in self._site.services for line in one.complaints()]
        for one in verdicts:
            print(_line(one))
        for title, found in (("complaint", complaints), ("left over", [f"{left}"] if left else [])):
            for line in found[:20]:
                print(f"{title}: {line}")
        sound = not (growing or complaints or left)
        print("FLAT" if sound else f"NOT FLAT: {', '.join(one.name for one in growing) or 'see above'}")
        figures: dict[str, Any] = {
            "minutes": self._arguments.minutes,
            "chargers": self._arguments.chargers,
            "messages": sampler.stored(),
            "answers": dict(load.answers),
            "restarts": self._restarts,
            "table_mb": sampler.table_sizes(),
            "left": left,
            "complaints": complaints,
            "sound": sound,
            "verdicts": [asdict(one) for one in verdicts],
        }
        self._arguments.json.parent.mkdir(parents=True, exist_ok=True)
        self._arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
        return 0 if sound else 1


def _line(one: Verdict) -> str:
    word = {True: "flat", False: "GROWS", None: "too short"}[one.flat]
    return (
        f"{word:9} {one.name:36} {one.first:9.1f} -> {one.last:9.1f}  highest {one.highest:9.1f}"
        f"  {one.per_hour:+9.1f} an hour"
    )


if __name__ == "__main__":
    sys.exit(main())
