"""Writes the tables of docs/benchmarks.rst from the figures that the benchmarks left in a file."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

from bench import estimate
from bench.stand.report import FIGURES, Bench, text_of

NAMES = ("mixed", "gateway", "worker", "latency", "idle", "browsers", "scale", "embedded", "big_tables")
OUT = Path("docs/benchmarks.inc")


def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    arguments.out.write_text(page(json.loads(arguments.figures.read_text())))


def page(figures: dict[str, Any]) -> str:
    """All sections, as reStructuredText."""
    lines = [".. Written by bench/tables.py; do not edit.", ""]
    for name in NAMES:
        if name in figures:
            bench: Bench = importlib.import_module(f"bench.{name}").BENCH
            lines += _section(bench, figures[name])
    return "\n".join([*lines, *estimate.sections(figures)])


def _section(bench: Bench, run: dict[str, Any]) -> list[str]:
    servers = ", ".join(f"{name} {version}" for name, version in run["servers"].items() if version)
    libraries = ", ".join(f"{name} {version}" for name, version in run["libraries"].items())
    machine = f"{run['machine']}, load average before: {run['busy']}"
    return [
        bench.title,
        "-" * len(bench.title),
        "",
        bench.about.strip(),
        "",
        ".. code-block:: text",
        "",
        f"    $ {run['command']}",
        *(f"    {line}".rstrip() for line in text_of(bench.table(run["rows"])).splitlines()),
        "",
        f"{run['at']}, commit {run['commit']}; {machine}; Python {run['python']}, {servers}; {libraries}.",
        "",
    ]


if __name__ == "__main__":
    main()
