"""The worker alone: it empties a backlog of meter values of running sessions, and now and then a status.

The backlog comes from chargers whose gateway runs while no worker does. PostgreSQL counts the statements.
"""

from __future__ import annotations

import argparse
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import psycopg2

from bench.stand.baseline import Baseline
from bench.stand.csms import Csms, metrics
from bench.stand.measuring import Generator, Load
from bench.stand.processes import cpu_s
from bench.stand.report import Bench, Row, Rows, Table, main, new_parser
from bench.stand.servers import Servers

_LOOK_S = 0.02
_LONGEST_S = 120.0
_BATCHES = re.compile(r'^csms_batch_size_(count|sum)\{queue="ocpp_messages[^"]*"\} (\S+)$', re.MULTILINE)
_TABLE = re.compile(r"(insert into|update|delete from|from)\s+(?:only\s+)?([a-z_]+)", re.IGNORECASE)
_STATEMENTS = """
    SELECT query, calls, total_exec_time FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
    WHERE d.datname = current_database()
"""


def run(servers: Servers, arguments: argparse.Namespace) -> Rows:
    """Make a backlog, and time how it is emptied."""
    rows = []
    load = Load(arguments.chargers, load="charging", warm_up_s=0.0, seconds=arguments.seconds)
    if arguments.baseline:
        with closing(Baseline(servers, arguments.baseline)) as baseline:
            _fill(baseline, load, baseline.end_worker)
            baseline.end_gateway()
            rows.append({"target": "baseline", **_emptied(baseline, baseline.start_worker, arguments.limit)})
    with closing(Csms(servers, chargers=arguments.chargers)) as csms:
        worker = csms.workers[0]
        _fill(csms, load, lambda: worker.end(signal.SIGTERM))
        csms.gateways[0].end(signal.SIGTERM)
        count = Statements(csms.database_url)
        figures = _emptied(csms, worker.launch, arguments.limit)
        batches = _batches(metrics(worker))
        statements = count.each(batches["batches"])
        for one in statements:
            print(f"{one['per_batch']:8.2f} in a batch, {one['ms_per_batch']:8.3f} ms: {one['what']}")
        rows.append({"target": "csms", **figures, **batches, "statements": statements})
    return rows


def _fill(target: Csms | Baseline, load: Load, end_worker: Callable[[], Any]) -> None:
    """Chargers begin their sessions while the worker runs, and go on when it has ended."""
    generator = Generator(load.arguments(target))
    try:
        for phase in generator.phases():
            if phase["phase"] == "connected":
                end_worker()
    finally:
        generator.close()


def _emptied(target: Csms | Baseline, start_worker: Callable[[], Any], limit_s: float) -> Row:
    backlog = target.waiting()
    start_worker()
    end = time.monotonic() + _LONGEST_S
    while (waiting := target.waiting()) >= backlog:
        if time.monotonic() > end:
            raise TimeoutError(f"the worker of {target.name} does not begin")
        time.sleep(_LOOK_S)
    began, cpu, first = time.monotonic(), cpu_s(target.pids), waiting
    while (waiting := target.waiting()) and time.monotonic() - began < limit_s:
        time.sleep(_LOOK_S)
    took_s = time.monotonic() - began
    used = {name: after - cpu[name] for name, after in cpu_s(target.pids).items()}
    count = max(first - waiting, 1)
    each_us = {name: round(used[name] / count * 1e6, 1) for name in ("worker", "rabbitmq", "postgresql")}
    return {
        "backlog": backlog,
        "took_s": round(took_s, 2),
        "per_s": round(count / took_s, 1),
        "cpu_us_per_message": each_us,
        "cpu_us_per_message_all": round(sum(each_us.values()), 1),
    }


def _batches(text: str) -> dict[str, float]:
    found: dict[str, float] = {"count": 0.0, "sum": 0.0}
    for name, value in _BATCHES.findall(text):
        found[name] += float(value)
    return {"batches": found["count"], "messages_per_batch": round(found["sum"] / max(found["count"], 1), 1)}


class Statements:
    """Counts all statements of a database from now on."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._all("CREATE EXTENSION pg_stat_statements")
        name = url.rpartition("/")[2]
        self._all(f"ALTER DATABASE {name} SET pg_stat_statements.track = 'top'")

    def each(self, batches: float) -> list[dict[str, Any]]:
        """By kind and table: how often in a batch, and how long that took in all."""
        calls: Counter[str] = Counter()
        took_ms: Counter[str] = Counter()
        for query, count, total_ms in self._all(_STATEMENTS):
            found = _TABLE.search(query)
            verb = query.split(None, 1)[0].lower()
            name = f"{verb} {found[2]}" if found else verb
            calls[name] += count
            took_ms[name] += total_ms
        return [
            {"what": name, "per_batch": round(count / batches, 2), "ms_per_batch": round(took_ms[name] / batches, 3)}
            for name, count in calls.most_common()
            if count / batches >= 0.01
        ]

    def _all(self, statement: str) -> Sequence[Sequence[Any]]:
        with closing(psycopg2.connect(self._url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []


def table(rows: Sequence[Row]) -> Table:
    """A line for each target, then one for each kind of statement in a batch of csms."""
    head = ["", "backlog", "messages/s", "CPU µs", "worker µs", "rabbitmq µs", "postgresql µs", "messages a batch"]
    lines = [[*head, "statements a batch"]]
    for row in rows:
        cpu = row["cpu_us_per_message"]
        statements = sum(one["per_batch"] for one in row.get("statements", ()))
        line = [row["target"], f"{row['backlog']:,}", f"{row['per_s']:,.0f}", f"{row['cpu_us_per_message_all']:,.0f}"]
        line += [f"{cpu[name]:,.0f}" for name in ("worker", "rabbitmq", "postgresql")]
        lines.append([*line, f"{row.get('messages_per_batch', 1):,.0f}", f"{statements:.1f}" if statements else "1"])
        beside = next((other for other in rows if other["target"] == "baseline"), row)
        if beside is not row:
            lines.append(["ratio", "", f"{row['per_s'] / beside['per_s']:.2f} x", *[""] * 6])
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("--chargers", type=int, default=100)
    parser.add_argument("--limit", type=float, default=30.0, help="seconds of emptying at most")
    return parser


BENCH = Bench("worker", "Worker alone", __doc__ or "", _parser(), run, table)

if __name__ == "__main__":
    main(BENCH)
