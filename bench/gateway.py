"""The gateway alone: from a frame's arrival to the answer, publish and confirm included.

No worker runs; a process of its own empties the queues, so that the broker does what it does with one.
"""

from __future__ import annotations

import argparse
from contextlib import closing

from bench.stand.baseline import QUEUE, Baseline
from bench.stand.csms import Csms
from bench.stand.drainer import drained
from bench.stand.measuring import Load, measure
from bench.stand.profiling import profiled
from bench.stand.report import Bench, Rows, load_table, main, new_parser
from bench.stand.servers import Servers


def run(servers: Servers, arguments: argparse.Namespace) -> Rows:
    """Each action by itself, of those that need no worker."""
    rows = []
    for name in arguments.loads:
        load = Load(arguments.chargers, load=name, warm_up_s=arguments.warm_up, seconds=arguments.seconds)
        if arguments.baseline:
            with (
                closing(Baseline(servers, arguments.baseline, worker=False)) as baseline,
                drained(baseline.broker_url, [QUEUE]),
            ):
                rows.append(measure(baseline, load))
        with (
            closing(Csms(servers, chargers=arguments.chargers, workers=0)) as csms,
            drained(csms.broker_url, csms.queues),
            profiled(csms.pids, arguments.profile, load.seconds) as start,
        ):
            rows.append(measure(csms, load, on_measuring=start))
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__, profile=True)
    parser.add_argument("--chargers", type=int, default=100)
    parser.add_argument("--loads", nargs="+", default=["heartbeat", "status", "meter"])
    return parser


BENCH = Bench("gateway", "Gateway alone", __doc__ or "", _parser(), run, load_table)

if __name__ == "__main__":
    main(BENCH)
