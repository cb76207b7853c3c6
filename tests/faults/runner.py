"""Runs one fault: load, fault, recovery, drain, audit, result."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.audit import Audit, Findings
from tests.faults.browser import Browser
from tests.faults.catalogue import Fault
from tests.faults.chargers import load_chargers
from tests.faults.field import FaultFailed, Field
from tests.faults.ledger import Ledger
from tests.faults.sites import Site

STEADY_ANSWERS = 4
"""Of every charger, before the fault begins."""
FAULT_TIMEOUT_S = 900.0
FINISH_TIMEOUT_S = 120.0
DRAIN_TIMEOUT_S = 60.0
QUIET_S = 1.0
"""What is clean must still be clean after this: what counts twice may come late."""
KEPT_LOGS = Path("var", "faults")
_numbers = itertools.count(1)


@dataclass(slots=True)
class Result:
    """What came of a fault."""

    name: str
    description: str
    chargers: int
    messages: int = 0
    messages_per_s: float = 0.0
    lasted_s: float = 0.0
    """From the fault's begin until its cause was gone."""
    recovered_s: float = 0.0
    """From then until every charger had got an answer to something that it sent since."""
    slowest_answer_s: float = 0.0
    """Between the first sending of a message and its answer, repeats included."""
    drained_s: float = 0.0
    """From the last charger's end until everything agreed."""
    retried: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    callerrors: int = 0
    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """Everything that must not be; empty: the fault is survived."""

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {name: round(value, 1) if isinstance(value, float) else value for name, value in asdict(self).items()}


class Run:
    """One fault in one installation, which survives it, or is thrown away."""

    def __init__(self, fault: Fault, site: Site, *, short: bool) -> None:
        self._fault = fault
        self._site = site
        self._ledger = Ledger()
        self._browser = Browser(lambda: [gateway.http_port for gateway in site.gateways], site.cookie)
        prefix = f"{next(_numbers)}-{fault.name}-"[:24]
        self._field = Field(site, self._ledger, self._browser, prefix, short=short)
        self._field.chargers = load_chargers(
            prefix, fault.chargers, self._field.addresses, self._ledger, pause_s=fault.pause_s
        )
        self._complaints = {service.name: len(service.complaints()) for service in site.services}
        self._dead_letters = site.dead_letters()
        self._result = Result(fault.name, fault.description, fault.chargers)

    async def run(self) -> Result:
        """Everything."""
        result = self._result
        await self._browser.start()
        running = [asyncio.create_task(charger.run()) for charger in self._field.chargers]
        try:
            await self._steady()
            await self._inflict()
            await self._finish(running)
            findings = await self._drained()
            result.lost, result.doubled = len(findings.lost), len(findings.doubled)
            result.out_of_order = len(findings.disordered)
            result.problems += findings.lines()
        except FaultFailed as failed:
            result.problems.append(str(failed))
        except Exception as error:  # also one of the bench itself: the next fault gets another installation
            result.problems.append("".join(traceback.format_exception(error)))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._browser.stop()
        self._sum_up()
        return result

    async def _steady(self) -> None:
        wanted = STEADY_ANSWERS * self._fault.chargers
        await self._field.until(lambda: self._ledger.answers >= wanted, "the load is steady")
        # It gets nothing in its first second; one that has got nothing could not resume.
        await self._field.until(lambda: self._browser.saw(self._field.prefix), "the browser sees the load")

    async def _inflict(self) -> None:
        result, field = self._result, self._field
        began, before = time.monotonic(), self._ledger.answers
        async with asyncio.timeout(FAULT_TIMEOUT_S):
            await self._fault.inflict(field)
        over_at = field.over_at or time.monotonic()
        result.lasted_s = over_at - began
        result.recovered_s = await field.answered_since(over_at)
        await field.more_answers()
        took_s = time.monotonic() - began
        result.messages_per_s = (self._ledger.answers - before) / took_s

    async def _finish(self, running: list[asyncio.Task[None]]) -> None:
        """Let every charger end its session."""
        for charger in self._field.chargers:
            charger.finish()
        async with asyncio.timeout(FINISH_TIMEOUT_S):
            await asyncio.gather(*running)

    async def _drained(self) -> Findings:
        """The audit, repeated until it is clean (and stays so), or the time is up."""
        began = time.monotonic()
        while True:
            findings = await self._audited()
            if findings.clean:
                self._result.drained_s = time.monotonic() - began
                await asyncio.sleep(QUIET_S)
                return await self._audited()
            if time.monotonic() - began > DRAIN_TIMEOUT_S:
                return findings
            await asyncio.sleep(0.25)

    async def _audited(self) -> Findings:
        notifications = list(self._browser.notifications.values())
        self._field.expected.browser_reset = self._browser.resets > 0

        def audit() -> Findings:
            site = self._site
            findings = Audit(self._ledger, self._field.expected, site.query, site.order_column, notifications).run()
            left = site.query("select count(*) from outbox")[0][0]
            if left:
                findings.lost.append(f"{left} rows are left in the outbox")
            return findings

        return await asyncio.to_thread(audit)

    def _sum_up(self) -> None:
        result, ledger = self._result, self._ledger
        result.messages, result.retried = ledger.messages, ledger.retried
        result.callerrors = len(ledger.callerrors)
        result.slowest_answer_s = ledger.slowest_answer_s()
        result.problems += [f"CALLERROR: {one}" for one in ledger.callerrors[:5]]
        result.figures |= self._field.figures
        for code, count in sorted(ledger.closed.items()):
            result.figures[f"closed {code}"] = count
        for status, count in sorted(ledger.refused.items()):
            result.figures[f"refused {status}" if status else "not connected"] = count
        if ledger.timeouts:
            result.figures["timed out"] = ledger.timeouts
        if self._browser.resumed:
            result.figures["browser resumed"] = sum(self._browser.resumed)
        if self._browser.losses:
            result.figures["browser lost"] = self._browser.losses
        if self._browser.resets:
            result.figures["browser reset"] = self._browser.resets
        result.problems += self._new_complaints()
        dead = self._site.dead_letters() - self._dead_letters
        if dead != self._field.dead_letters:
            result.problems.append(f"{dead} dead letters instead of {self._field.dead_letters}")

    def _new_complaints(self) -> list[str]:
        found = [
            f"{service.name} complains: {complaint[:500]}"
            for service in self._site.services
            for complaint in service.complaints()[self._complaints.get(service.name, 0) :]
        ]
        return [one for one in found if not any(word in one for word in self._field.allowed)][:8]


class Bench:
    """Runs faults; those of one layout share an installation as long as it is sound."""

    def __init__(self, *, short: bool) -> None:
        self._short = short
        self._sites: dict[Any, Site] = {}

    async def run(self, fault: Fault) -> Result:
        """One fault."""
        site = self._sites.pop(fault.layout, None)
        if site is None:
            await self.close()  # two installations at once are too much for a small machine
            site = await self._started(fault)
        try:
            result = await Run(fault, site, short=self._short).run()
        except BaseException:
            await site.close()
            raise
        if result.problems:
            result.problems.append(f"the logs are kept in {keep_logs(fault.name, site)}")
            await site.close()
        else:
            self._sites[fault.layout] = site
        return result

    async def close(self) -> None:
        """End all installations."""
        for site in self._sites.values():
            await site.close()
        self._sites.clear()

    async def _started(self, fault: Fault) -> Site:
        site = fault.layout()
        try:
            await site.start()
        except BaseException:
            with suppress(Exception):
                await site.close()
            raise
        return site


def keep_logs(name: str, site: Site) -> Path:
    """Save the logs of an installation in which something went wrong; where they are."""
    kept = KEPT_LOGS / name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for service in site.services:
        (kept / f"{service.name}.log").write_text(service.output())
    return kept


def summary(result: Mapping[str, Any]) -> str:
    """One line about a result."""
    verdict = "ok    " if not result["problems"] else "FAILED"
    return (
        f"{verdict} {result['name']}: {result['messages']} messages, {result['messages_per_s']}/s,"
        f" lasted {result['lasted_s']} s, recovered in {result['recovered_s']} s,"
        f" slowest answer {result['slowest_answer_s']} s, retried {result['retried']}, lost {result['lost']},"
        f" doubled {result['doubled']}, out of order {result['out_of_order']}, drained in {result['drained_s']} s"
        f" {result['figures']}"
    )
