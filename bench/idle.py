"""Connected chargers that say nothing: memory of the gateway for each; and how long it takes when all come back.

Every charger has authenticated itself (HTTP Basic) and booted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import closing

from bench.stand.csms import Csms
from bench.stand.measuring import Generator, Load
from bench.stand.processes import cpu_s, memory_mb
from bench.stand.report import Bench, Row, Rows, Table, main, new_parser
from bench.stand.servers import Servers
from tests.servers.daemon import wait_until

_QUIET_S = 60.0


def run(servers: Servers, arguments: argparse.Namespace) -> Rows:
    """Each number of chargers twice: the second time they come back."""
    rows = []
    for chargers in arguments.chargers:
        with closing(Csms(servers, chargers=chargers)) as csms:
            first = _connected(csms, chargers, arguments)
            again = _connected(csms, chargers, arguments)
            rows.append({**first, "again_s": again["connect_s"], "again_refused": again["refused"]})
    return rows


def _connected(csms: Csms, chargers: int, arguments: argparse.Namespace) -> Row:
    """Let all connect, look at the gateway while they are there, and let all go."""
    before = memory_mb(csms.pids)["gateway"]
    more = ("--idle", "--connecting", str(arguments.connecting))
    generator = Generator(Load(chargers, more=more).arguments(csms))
    try:
        phase = next(generator.phases())
        wait_until(lambda: csms.waiting() == 0, _QUIET_S)
        after = memory_mb(csms.pids)
        cpu = cpu_s(csms.pids)
        time.sleep(arguments.seconds)
        used = {name: total - cpu[name] for name, total in cpu_s(csms.pids).items()}
    finally:
        generator.close()
    if not wait_until(lambda: csms.connected() == 0, _QUIET_S):
        raise RuntimeError(f"{csms.connected()} chargers are still connected")
    return {
        "chargers": chargers,
        "connecting": arguments.connecting,
        "connect_s": phase["seconds"],
        "refused": phase["refused"],
        "memory_mb": after,
        "kb_per_charger": round((after["gateway"] - before) * 1000 / chargers, 1),
        "cpu_share": {name: round(used_s / arguments.seconds, 3) for name, used_s in used.items()},
    }


def table(rows: Sequence[Row]) -> Table:
    """A line for each number of chargers."""
    head = ["chargers", "connect s", "come back s", "refused, tried again", "gateway MB", "kB a charger"]
    lines = [[*head, "gateway CPU", "all CPU"]]
    for row in rows:
        cpu = row["cpu_share"]
        line = [f"{row['chargers']:,}", f"{row['connect_s']:.1f}", f"{row['again_s']:.1f}"]
        line += [str(row["again_refused"]), f"{row['memory_mb']['gateway']:.0f}", f"{row['kb_per_charger']:.1f}"]
        lines.append([*line, f"{cpu['gateway']:.1%}", f"{sum(cpu.values()):.1%}"])
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("--chargers", type=int, nargs="+", default=[2000, 5000, 15000])
    parser.add_argument("--connecting", type=int, default=400, help="handshakes and boots at once")
    return parser


BENCH = Bench("idle", "Idle chargers, and all coming back", __doc__ or "", _parser(), run, table)

if __name__ == "__main__":
    main(BENCH)
