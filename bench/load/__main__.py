"""``python -m bench.load``: put a load on a server; each phase and the result are a line of JSON on standard output."""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import time
from typing import Any

from bench.load.charger import Account, Charger
from bench.load.scripts import LOADS
from bench.load.swarm import Pace, Swarm
from bench.load.tally import Tally

_CONNECT_S = 120.0
_FINISH_S = 30.0
_PORTS_PER_SOURCE = 8_000


def main() -> None:
    """Run as the command line says."""
    arguments = _arguments()
    descriptors = 2 * (arguments.chargers + 100)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, descriptors), hard), hard))
    tally, flood = Tally(), Tally()
    swarm = Swarm(_chargers(arguments, tally, flood), tally, connecting=arguments.connecting)
    _tell("connected", seconds=round(swarm.connect(_CONNECT_S), 3), refused=swarm.refused)
    gc.collect()
    gc.disable()  # nothing here makes cycles, and a pause would count as the server's
    if arguments.idle:
        swarm.idle(sys.stdin)
    else:
        swarm.run(Pace(arguments.rate, arguments.warm_up, arguments.seconds), _tell)
        left = swarm.finish(_FINISH_S)
        if left:
            tally.errors["never answered"] += left
        _tell("result", **tally.result(), flood_total=sum(flood.total.values()), flood_errors=dict(flood.errors))
    swarm.close()


def _chargers(arguments: argparse.Namespace, tally: Tally, flood: Tally) -> list[Charger]:
    chargers: list[Charger] = []
    for number in range(arguments.chargers + arguments.flooders):
        account = Account(
            device_id=f"{arguments.prefix}{number:05d}",
            password=arguments.password,
            token=f"TAG-{number:05d}",
            port=arguments.ports[number % len(arguments.ports)],
            source=f"127.0.0.{1 + number // _PORTS_PER_SOURCE}",
            path=arguments.path,
        )
        if number < arguments.chargers:
            chargers.append(Charger(account, arguments.load, tally, begin=len(chargers)))
        else:
            chargers.append(Charger(account, "meter", flood, window=arguments.flood_window))
    return chargers


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("ports", type=int, nargs="+", help="where gateways listen on 127.0.0.1; taken in turn")
    parser.add_argument("--path", default="/ocpp/", help="what stands before the deviceId")
    parser.add_argument("--chargers", type=int, default=100)
    parser.add_argument("--prefix", default="BENCH-", help="deviceIds are this and a number of five digits")
    parser.add_argument("--password", default="", help="HTTP Basic password of every charger")
    parser.add_argument("--load", choices=sorted(LOADS), default="mixed")
    parser.add_argument("--rate", type=float, default=0.0, help="messages a second of all together; 0: closed loop")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds before it counts")
    parser.add_argument("--seconds", type=float, default=10.0, help="for which it counts")
    parser.add_argument("--connecting", type=int, default=100, help="handshakes at once")
    parser.add_argument("--flooders", type=int, default=0, help="chargers beyond, who send as much as they can")
    parser.add_argument("--flood-window", type=int, default=32, help="CALLs that a flooder has outstanding")
    parser.add_argument("--idle", action="store_true", help="only stay connected, until standard input ends")
    return parser.parse_args()


def _tell(phase: str, **more: Any) -> None:
    print(json.dumps({"phase": phase, "at": time.time(), **more}), flush=True)


if __name__ == "__main__":
    main()
