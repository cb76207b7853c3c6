"""One event to many browsers: from the charger's message, through the database, to each browser's frame.

Beside it chargers send at a fixed rate, with the browsers and without, to see whether these move their latency.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from bench.stand.csms import Csms
from bench.stand.measuring import Generator, Load, drain, measure
from bench.stand.report import Bench, Row, Rows, Table, main, new_parser
from bench.stand.servers import Servers
from bench.stand.target import PREFIX
from tests.integration.people import sign_in


def run(servers: Servers, arguments: argparse.Namespace) -> Rows:
    """Chargers and browsers, each alone and both together."""
    rows: Rows = []
    settings = {"CSMS_HTTP_MAX_BROWSERS": str(arguments.browsers)}
    with closing(Csms(servers, chargers=arguments.chargers + 1, settings=settings)) as csms:
        cookie = sign_in(csms.gateways[0].sign_in_link())

        def chargers(note: str) -> None:
            load = Load(
                arguments.chargers,
                rate=arguments.rate,
                warm_up_s=arguments.warm_up,
                seconds=arguments.seconds,
                note=note,
            )
            rows.append(measure(csms, load))

        chargers("no browsers")
        drain(csms, rows[-1])
        figures: Row = {"target": "browsers", "load": "status changes alone"}
        with _watched(csms, cookie, arguments, figures):
            time.sleep(arguments.seconds)
        rows.append(figures)
        figures = {"target": "browsers", "load": "status changes beside the chargers"}
        with _watched(csms, cookie, arguments, figures):
            chargers(f"{arguments.browsers:,} browsers")
        rows.append(figures)
    return rows


@contextmanager
def _watched(csms: Csms, cookie: str, arguments: argparse.Namespace, figures: Row) -> Iterator[None]:
    """While this lasts, browsers watch something change; ``figures`` says afterwards how fast they saw it."""
    device_id = f"{PREFIX}{arguments.chargers:05d}"
    command = [str(csms.ports[0]), str(csms.gateways[0].http_port), "--cookie", cookie, "--device-id", device_id]
    command += ["--password", csms.password, "--browsers", str(arguments.browsers)]
    generator = Generator(command, "bench.load.browsers")
    try:
        phases = generator.phases()
        next(phases)
        yield
        generator.hang_up()
        figures.update(next(phases))
    finally:
        generator.close()


def table(rows: Sequence[Row]) -> Table:
    """What chargers saw, and what browsers saw."""
    lines = [["", "load", "browsers", "events", "p50 ms", "p99 ms", "max ms", "the last one's p50 ms", "generator µs"]]
    for row in rows:
        if row["target"] == "browsers":
            line = ["browsers", row["load"], f"{row['browsers']:,}", str(row["changes"])]
            last = [f"{row['last_p50_ms']:.1f}", f"{row['own_cpu_us_per_frame']:.0f}"]
        else:
            line = ["chargers", f"{row['rate']:,.0f} messages/s, {row['note']}", "", ""]
            last = ["", f"{row['own_cpu_us_per_message']:.0f}"]
        lines.append([*line, *(f"{row[name]:.1f}" for name in ("p50_ms", "p99_ms", "max_ms")), *last])
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("--browsers", type=int, default=1000)
    parser.add_argument("--chargers", type=int, default=100)
    parser.add_argument("--rate", type=float, default=200.0, help="messages a second of all chargers")
    return parser


BENCH = Bench("browsers", "One event to many browsers", __doc__ or "", _parser(), run, table)

if __name__ == "__main__":
    main(BENCH)
