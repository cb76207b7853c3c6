"""``python -m tests.faults``: run all faults, or those that are named, and write the report."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from tests.faults.catalogue import Fault, load_faults
from tests.faults.report import REPORT, write
from tests.faults.runner import Bench, summary


def main() -> int:
    """0 when every fault was survived."""
    faults = load_faults()
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Causes faults in csms under load.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults to run, in this order; none: all")
    parser.add_argument("--list", action="store_true", help="list the faults")
    parser.add_argument("--short", action="store_true", help="the short durations of make test")
    parser.add_argument("--no-report", action="store_true", help=f"do not write {REPORT}")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in faults]
    if unknown:
        parser.error(f"no fault is called {', '.join(unknown)}; --list lists them")
    if arguments.list:
        for one in faults.values():
            print(f"{one.name:40} {'short  ' if one.short else '       '}{one.description}")
        return 0
    chosen = [faults[name] for name in arguments.names] or list(faults.values())
    return asyncio.run(_run(chosen, short=arguments.short, report=not (arguments.no_report or arguments.short)))


async def _run(chosen: list[Fault], *, short: bool, report: bool) -> int:
    task = asyncio.current_task()
    if task is not None:
        # As at Ctrl-C: nothing that was started stays behind.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    bench = Bench(short=short)
    failed = 0
    try:
        for number, one in enumerate(chosen, start=1):
            print(f"[{number}/{len(chosen)}] {one.name}: {one.description}", flush=True)
            result = (await bench.run(one)).as_json()
            print(f"    {summary(result)}", *(f"    ! {line}" for line in result["problems"]), sep="\n", flush=True)
            failed += bool(result["problems"])
            if report:
                write(result)
    finally:
        await bench.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
