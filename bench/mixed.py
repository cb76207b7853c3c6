"""The mixed load: heartbeat, status, start, 5 meter values, stop; each charger sends on when it is answered.

Gateway, worker, RabbitMQ (quorum queues), PostgreSQL (synchronous_commit, fsync) and generator share this machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.stand.baseline import Baseline
from bench.stand.csms import Csms
from bench.stand.measuring import Load, drain, measure
from bench.stand.profiling import Profiler
from bench.stand.report import load_table, main, new_parser
from bench.stand.servers import Servers


def run(servers: Servers, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """csms, and beside it the baseline, if there is one, with each number of chargers."""
    rows = []
    for chargers in arguments.chargers:
        load = Load(
            chargers, load=arguments.load, rate=arguments.rate, warm_up_s=arguments.warm_up, seconds=arguments.seconds
        )
        if arguments.baseline:
            baseline = Baseline(servers, arguments.baseline)
            try:
                rows.append(measure(baseline, load))
            finally:
                baseline.close()
        csms = Csms(servers, chargers=chargers, gateways=arguments.gateways, workers=arguments.workers)
        try:
            rows.append(_measured(csms, load, arguments.profile))
        finally:
            csms.close()
    return rows


def _measured(csms: Csms, load: Load, profile: Path | None) -> dict[str, Any]:
    if profile is None:
        figures = measure(csms, load)
    else:
        profiler = Profiler(csms.pids, profile, load.seconds)
        figures = measure(csms, load, on_measuring=profiler.start)
        for name, table in profiler.finish().items():
            print(f"--- {name}\n{table}")
    drain(csms, figures)
    return figures


def parser() -> argparse.ArgumentParser:
    """What can be chosen."""
    parser = new_parser(__doc__)
    parser.add_argument("--chargers", type=int, nargs="+", default=[100, 500])
    parser.add_argument("--load", default="mixed", help="mixed, heartbeat, status, meter or boot")
    parser.add_argument("--rate", type=float, default=0.0, help="messages a second of all chargers; 0: closed loop")
    parser.add_argument("--gateways", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--profile", type=Path, metavar="DIR", help="write py-spy's stacks there, print their top")
    return parser


if __name__ == "__main__":
    main(parser(), run, load_table)
