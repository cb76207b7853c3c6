"""What a message costs with more chargers at the same rate, and with more processes.

On one machine more processes bring no more cores: what is to be seen is whether a message stays as cheap.
"""

from __future__ import annotations

import argparse
from contextlib import closing

from bench.load.scripts import MIXED
from bench.stand.csms import Csms
from bench.stand.measuring import Load, drain, measure
from bench.stand.report import Bench, Rows, load_table, main, new_parser
from bench.stand.servers import Servers


def run(servers: Servers, arguments: argparse.Namespace) -> Rows:
    """First more chargers, open loop; then more gateways and workers, closed loop."""
    rows = []
    for chargers in arguments.chargers:
        # A whole round of steps, so that each charger has each as often as the next.
        round_s = chargers * len(MIXED) / arguments.rate if arguments.rate else 0.0
        seconds = max(arguments.seconds, round_s)
        more = ("--connecting", "50")
        load = Load(chargers, rate=arguments.rate, warm_up_s=arguments.warm_up, seconds=seconds, more=more)
        with closing(Csms(servers, chargers=chargers)) as csms:
            rows.append(measure(csms, load))
            drain(csms, rows[-1])
    for count in arguments.processes:
        note = f"{count} + {count} processes"
        load = Load(arguments.closed, warm_up_s=arguments.warm_up, seconds=arguments.seconds, note=note)
        with closing(Csms(servers, chargers=arguments.closed, gateways=count, workers=count)) as csms:
            rows.append(measure(csms, load))
            drain(csms, rows[-1])
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("--chargers", type=int, nargs="*", default=[100, 1000, 5000])
    parser.add_argument("--rate", type=float, default=500.0, help="messages a second of all chargers; 0: closed loop")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 4], help="gateways, and as many workers")
    parser.add_argument("--closed", type=int, default=200, help="chargers in the closed loop")
    return parser


BENCH = Bench("scale", "More chargers, more processes", __doc__ or "", _parser(), run, load_table)

if __name__ == "__main__":
    main(BENCH)
