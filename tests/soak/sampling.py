"""What is measured: of each process its memory, descriptors and threads, of the servers what waits and what is kept."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from pathlib import Path

from tests.faults.sites import ScaledOut
from tests.soak.verdict import Verdict, judge

QUEUES = (
    *(f"ocpp_messages.{shard}" for shard in range(4)),
    *("charging_events", "notifications", "analytics", "dead_letter_queue"),
)
STEADY_TABLES = ("outbox", "chargers", "connectors", "gateways", "shards")
"""Tables that must not grow under a steady load."""
_MB = 1024 * 1024
_SIZES = """
    select coalesce(parent.relname, c.relname), sum(pg_total_relation_size(c.oid))
    from pg_class c left join pg_inherits i on i.inhrelid = c.oid left join pg_class parent on parent.oid = i.inhparent
    join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind in ('r', 'p') group by 1
"""
Series = dict[tuple[str, str], list[tuple[float, float]]]


class Sampler:
    """Of one installation."""

    def __init__(self, site: ScaledOut) -> None:
        self._site = site
        self._began = time.monotonic()
        self.series: Series = defaultdict(list)
        """(name, kind) -> (seconds, value)."""

    def sample(self) -> None:
        """Measure all once."""
        now = time.monotonic() - self._began
        for service in self._site.services:
            if not service.alive:
                continue
            # A process that was started again is another one.
            name = f"{service.name} ({service.pid})"
            for kind, value in _of_process(service.pid).items():
                self.series[name, kind].append((now, value))
        for queue, depth in self.depths().items():
            self.series[queue, "queue"].append((now, depth))
        for table in STEADY_TABLES:
            rows = self._site.query(f"select count(*) from {table}")[0][0]
            self.series[table, "rows"].append((now, float(rows)))

    def depths(self) -> dict[str, int]:
        """Messages in each queue, taken and not acked included."""
        found = {one["name"]: int(one.get("messages", 0)) for one in self._site.rabbitmq.manage("GET", "queues/%2F")}
        return {queue: found.get(queue, 0) for queue in QUEUES}

    def newest(self, kind: str) -> dict[str, float]:
        """The last value of each series of this kind."""
        return {name: values[-1][1] for (name, its_kind), values in self.series.items() if its_kind == kind}

    def verdicts(self) -> list[Verdict]:
        """Of all series."""
        return [judge(f"{name} {kind}", kind, values) for (name, kind), values in self.series.items()]

    def table_sizes(self) -> dict[str, float]:
        """MB of each table with its indices, partitions added up."""
        return {name: round(float(size) / _MB, 2) for name, size in self._site.query(_SIZES)}

    def stored(self) -> int:
        """Messages in the log."""
        return int(self._site.query("select count(*) from charger_data")[0][0])


def _of_process(pid: int) -> dict[str, float]:
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {
        "rss_mb": int(fields["VmRSS"].split()[0]) / 1024,
        "threads": float(fields["Threads"]),
        "descriptors": float(len(os.listdir(f"/proc/{pid}/fd"))),
    }
