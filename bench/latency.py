"""How long chargers wait for answers at a rate that does not depend on the answers (open loop).

Each latency counts from when the message was to be sent, so that a stall delays all that were due in it. Then the same
while one more charger floods: it keeps 32 CALLs outstanding.
"""

from __future__ import annotations

import argparse
from contextlib import closing

from bench.stand.baseline import Baseline
from bench.stand.csms import Csms
from bench.stand.measuring import Load, drain, measure
from bench.stand.profiling import profiled
from bench.stand.report import Bench, Rows, load_table, main, new_parser
from bench.stand.servers import Servers

FLOOD = ("--flooders", "1")


def run(servers: Servers, arguments: argparse.Namespace) -> Rows:
    """Quiet, and beside a flood."""
    rows = []
    for note, more in (("", ()), ("one floods", FLOOD)):
        load = Load(
            arguments.chargers,
            rate=arguments.rate,
            warm_up_s=arguments.warm_up,
            seconds=arguments.seconds,
            more=more,
            note=note,
        )
        if arguments.baseline:
            with closing(Baseline(servers, arguments.baseline)) as baseline:
                rows.append(measure(baseline, load))
        with (
            closing(Csms(servers, chargers=arguments.chargers + 1)) as csms,
            profiled(csms.pids, arguments.profile, load.seconds) as start,
        ):
            rows.append(measure(csms, load, on_measuring=start))
            drain(csms, rows[-1])
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__, profile=True)
    parser.add_argument("--chargers", type=int, default=100)
    parser.add_argument("--rate", type=float, default=1000.0, help="messages a second of all chargers")
    return parser


BENCH = Bench("latency", "Latency, open loop", __doc__ or "", _parser(), run, load_table)

if __name__ == "__main__":
    main(BENCH)
