"""What a benchmark prints: a table for people, JSON for programs. And what all benchmarks' command lines share."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.stand.servers import Servers

Rows = list[dict[str, Any]]
Table = list[list[str]]


def new_parser(about: str | None) -> argparse.ArgumentParser:
    """A command line with what all benchmarks have."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds for which it counts")
    parser.add_argument("--warm-up", type=float, default=3.0, help="seconds before it counts")
    parser.add_argument("--baseline", type=Path, metavar="DIR", help="the plain Node server, to be run beside")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures; else standard output")
    return parser


def main(
    parser: argparse.ArgumentParser,
    run: Callable[[Servers, argparse.Namespace], Rows],
    table: Callable[[Rows], Table],
) -> None:
    """Run as the command line says; the table goes to standard error, JSON to standard output or ``--json``."""
    arguments = parser.parse_args()
    servers = Servers.start()
    try:
        rows = run(servers, arguments)
    finally:
        servers.close()
    print(text_of(table(rows)), file=sys.stderr)
    figures = json.dumps(rows, indent=1)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(figures + "\n")
    else:
        print(figures)


def text_of(table: Table) -> str:
    """Columns, aligned."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    return "\n".join(lines)


def load_table(rows: Sequence[dict[str, Any]]) -> Table:
    """A line for each run of the load generator."""
    head = ["target", "load", "chargers", "answered/s", "stored/s", "values/s", "p50 ms", "p99 ms", "max ms"]
    head += ["lag s", "waiting", "grows/s", "CPU us", "gateway", "worker", "rabbitmq", "postgresql", "own us", "errors"]
    table = [head]
    for row in rows:
        cpu = row["cpu_us_per_message"]
        table.append(
            [
                row["target"],
                row["load"] + (f" {row['rate']:g}/s" if row["rate"] else ""),
                str(row["chargers"]),
                f"{row['answered_per_s']:.0f}",
                f"{row['stored_per_s']:.0f}",
                f"{row['values_per_s']:.0f}",
                *(f"{row.get(name, 0):.1f}" for name in ("p50_ms", "p99_ms", "max_ms")),
                "-" if row["lag_max_s"] is None else f"{row['lag_max_s']:.2f}",
                str(row["waiting_max"]),
                f"{row['waiting_growth_per_s']:.0f}",
                f"{row['cpu_us_per_message_all']:.0f}",
                *(f"{cpu.get(name, 0):.0f}" for name in ("gateway", "worker", "rabbitmq", "postgresql")),
                f"{row['own_cpu_us_per_message']:.0f}",
                str(sum(row["errors"].values())),
            ]
        )
    return table
