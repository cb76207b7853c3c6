"""csms in one process, as it comes: SQLite, the broker in memory. No other server runs."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bench.stand.embedded import Embedded
from bench.stand.measuring import Load, drain, measure
from bench.stand.profiling import profiled
from bench.stand.report import Bench, Row, Rows, Table, load_table, main, new_parser


def run(_: None, arguments: argparse.Namespace) -> Rows:
    """A closed loop with each number of chargers."""
    rows = []
    for chargers in arguments.chargers:
        load = Load(chargers, warm_up_s=arguments.warm_up, seconds=arguments.seconds)
        with (
            tempfile.TemporaryDirectory(prefix="csms-bench-") as directory,
            closing(Embedded(Path(directory), chargers=chargers)) as embedded,
            profiled(embedded.pids, arguments.profile, load.seconds) as start,
        ):
            figures = measure(embedded, load, on_measuring=start)
            drain(embedded, figures)
            starts = {"first_start_s": embedded.first_start_s, "later_start_s": embedded.later_start_s}
            rows.append({**figures, **starts})
    return rows


def table(rows: Sequence[Row]) -> Table:
    """The load's table, with memory and start."""
    lines = [
        [*line, f"{row['memory_mb']['csms']:.0f}", f"{row['first_start_s']:.1f}", f"{row['later_start_s']:.1f}"]
        for line, row in zip(load_table(rows)[1:], rows, strict=True)
    ]
    return [[*load_table(rows)[0], "memory MB", "first start s", "later start s"], *lines]


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__, profile=True)
    parser.add_argument("--chargers", type=int, nargs="+", default=[200])
    return parser


BENCH = Bench("embedded", "Embedded", __doc__ or "", _parser(), run, table, needs_servers=False)

if __name__ == "__main__":
    main(BENCH)
