"""The mixed load: heartbeat, status, start, 5 meter values, stop; each charger sends on when it is answered.

Gateway, worker, RabbitMQ (quorum queues), PostgreSQL (synchronous_commit, fsync) and generator share this machine. csms
runs with its usual four shards, and with one, as it should on a single machine.
"""

from __future__ import annotations

import argparse
from contextlib import closing

from bench.stand.baseline import Baseline
from bench.stand.csms import SHARDS, Csms
from bench.stand.measuring import Load, drain, measure
from bench.stand.profiling import profiled
from bench.stand.report import Bench, Rows, load_table, main, new_parser
from bench.stand.servers import Servers


def run(servers: Servers, arguments: argparse.Namespace) -> Rows:
    """csms, and beside it the baseline, if there is one, with each number of chargers."""
    rows = []
    for chargers in arguments.chargers:
        load = Load(
            chargers,
            load=arguments.load,
            rate=arguments.rate,
            warm_up_s=arguments.warm_up,
            seconds=arguments.seconds,
        )
        if arguments.baseline:
            with closing(Baseline(servers, arguments.baseline)) as baseline:
                rows.append(measure(baseline, load))
        for shards in arguments.shards:
            with (
                closing(
                    Csms(
                        servers,
                        chargers=chargers,
                        gateways=arguments.gateways,
                        workers=arguments.workers,
                        shards=shards,
                    )
                ) as csms,
                profiled(csms.pids, arguments.profile, load.seconds) as start,
            ):
                rows.append(measure(csms, load, on_measuring=start))
                drain(csms, rows[-1])
            rows[-1]["settings"] = "" if shards == SHARDS else f"{shards} shard{'s' * (shards != 1)}"
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__, profile=True)
    parser.add_argument("--chargers", type=int, nargs="+", default=[100, 500])
    parser.add_argument("--load", default="mixed", help="mixed, heartbeat, status, meter, charging or boot")
    parser.add_argument("--rate", type=float, default=0.0, help="messages a second of all chargers; 0: closed loop")
    parser.add_argument("--gateways", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--shards", type=int, nargs="+", default=[SHARDS, 1])
    return parser


BENCH = Bench("mixed", "Mixed load, closed loop", __doc__ or "", _parser(), run, load_table)

if __name__ == "__main__":
    main(BENCH)
