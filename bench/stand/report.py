"""What a benchmark says: a table for people, JSON for programs. And what all benchmarks' command lines share."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.stand.machine import busy, conditions
from bench.stand.measuring import WARM_UP_S
from bench.stand.servers import SCHEDULERS, Servers

Row = dict[str, Any]
Rows = list[Row]
Table = list[list[str]]
FIGURES = Path("var/bench.json")
_SERVERS = ("gateway", "worker", "csms", "rabbitmq", "postgresql")


@dataclass(frozen=True, slots=True)
class Bench:
    """One benchmark. ``name`` is that of its module."""

    name: str
    title: str
    about: str
    parser: argparse.ArgumentParser
    run: Callable[[Any, argparse.Namespace], Rows]
    """Gets the servers, if it needs them."""
    table: Callable[[Sequence[Row]], Table]
    needs_servers: bool = True


def new_parser(about: str | None, *, profile: bool = False) -> argparse.ArgumentParser:
    """A command line with what all benchmarks have."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds for which it counts")
    parser.add_argument("--warm-up", type=float, default=WARM_UP_S, help="seconds before it counts")
    parser.add_argument(
        "--baseline", type=Path, metavar="DIR", help="the plain Node server, run beside where it can be"
    )
    parser.add_argument(
        "--figures",
        type=Path,
        default=FIGURES,
        metavar="FILE",
        help="JSON of all benchmarks; those of this one go there",
    )
    parser.add_argument(
        "--schedulers", type=int, default=SCHEDULERS, help="threads of RabbitMQ's Erlang machine, its +S (%(default)s)"
    )
    if profile:
        parser.add_argument("--profile", type=Path, metavar="DIR", help="write py-spy's stacks there, print their top")
    return parser


def main(bench: Bench) -> None:
    """Run as the command line says; the table is printed, the figures go to ``--figures``."""
    arguments = bench.parser.parse_args()
    # SIGTERM ends a benchmark as Ctrl-C does: with what it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    busy_before = busy()
    servers = Servers.start(schedulers=arguments.schedulers) if bench.needs_servers else None
    try:
        rows = bench.run(servers, arguments)
    finally:
        if servers is not None:
            servers.close()
    print(text_of(bench.table(rows)))
    keep(arguments.figures, bench.name, rows, busy_before)


def keep(path: Path, name: str, rows: Rows, busy_before: float) -> None:
    """Put ``rows`` where the figures of all benchmarks are, in place of older ones, with how they came about."""
    figures = json.loads(path.read_text()) if path.exists() else {}
    words = iter(sys.argv[1:])
    told = [("DIR" if "/" in word else word) for word in words if word != "--figures" or not next(words)]
    figures[name] = {
        "command": "python " + shlex.join([f"bench/{name}.py", *told]),
        **conditions(),
        "busy": busy_before,
        "rows": rows,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")


def text_of(table: Table) -> str:
    """Columns, aligned."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    return "\n".join(lines)


def load_table(rows: Sequence[Row]) -> Table:
    """A line for each run of the load generator; behind one of csms, what it is of the baseline's in the same load."""
    used = [name for name in _SERVERS if any(name in row["cpu_us_per_message"] for row in rows)]
    head = ["", "load", "chargers", "answered/s", "stored/s", "p50 ms", "p99 ms", "max ms", "lag s", "queue grows/s"]
    table = [[*head, "CPU µs", *(f"{name} µs" for name in used), "generator µs", "errors"]]
    for row in rows:
        cpu = row["cpu_us_per_message"]
        table.append(
            [
                ", ".join(filter(None, (row["target"], row.get("settings")))),
                load_name(row),
                f"{row['chargers']:,}",
                f"{row['answered_per_s']:,.0f}",
                f"{row['stored_per_s']:,.0f}",
                *(f"{row.get(name, 0):,.1f}" for name in ("p50_ms", "p99_ms", "max_ms")),
                "" if row["lag_max_s"] is None else f"{row['lag_max_s']:.2f}",
                f"{row['waiting_growth_per_s']:,.0f}" if row["waiting"] else "",
                f"{row['cpu_us_per_message_all']:,.0f}",
                *(f"{cpu.get(name, 0):,.0f}" for name in used),
                f"{row['own_cpu_us_per_message']:.0f}",
                str(sum(row["errors"].values())),
            ]
        )
        beside = baseline_of(row, rows)
        if beside is not None:
            line = ["ratio", "", "", ratio(row, beside, "answered_per_s"), ratio(row, beside, "stored_per_s")]
            line += [ratio(row, beside, name) for name in ("p50_ms", "p99_ms", "max_ms")]
            line += ["", "", ratio(row, beside, "cpu_us_per_message_all")]
            table.append(line + [""] * (len(table[0]) - len(line)))
    return table


def load_name(row: Row) -> str:
    """What the load was, for a person."""
    name = row["load"] + (f", {row['rate']:,.0f}/s" if row["rate"] else "")
    return f"{name}, {row['note']}" if row.get("note") else name


def baseline_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """The baseline's run under the same load."""
    if row["target"] == "baseline":
        return None
    same = ("load", "chargers", "rate", "note")
    found = (other for other in rows if other["target"] == "baseline" and all(other.get(k) == row.get(k) for k in same))
    return next(found, None)


def ratio(row: Row, beside: Row, name: str) -> str:
    """How many times the baseline's figure csms' is."""
    mine, other = row.get(name), beside.get(name)
    return f"{mine / other:.2f} x" if mine is not None and other else ""
