"""Whether a long past slows the present: the message log and the meter values, new and with millions of rows, by turns.

Measured in both: the mixed load, and the requests of a person who looks at a charger's messages, sessions and meter
values. Half of the rows lie in this month's partition, the rest in the eleven months before. What the filling leaves to
do (VACUUM, ANALYZE, CHECKPOINT) is done before anything is measured.
"""

from __future__ import annotations

import argparse
import http.client
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg2
from sqlalchemy import create_engine

from bench.load.tally import spread_ms
from bench.stand.csms import Csms
from bench.stand.measuring import Load, drain, measure
from bench.stand.report import Bench, Row, Rows, Table, load_table, main, new_parser
from bench.stand.servers import Servers
from bench.stand.target import PREFIX
from csms.storage.partitions import make_one
from tests.integration.people import sign_in

_LOOKS = 200
_STEP = 500_000
_RAW = (
    ',"MeterValues",{"connectorId":1,"transactionId":1234567890,"meterValue":[{"timestamp":"2026-01-01T00:00:00.000Z",'
    '"sampledValue":[{"value":"1030","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register",'
    '"unit":"Wh"},{"value":"7360","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"}]}]}]'
)
# A row each for the numbers n of one step, spread over the time from first to last and over all chargers.
_FILLS = {
    "charger_data": """
    INSERT INTO charger_data
        (charger_id, received_at, message_id, connection_id, unique_id, action, ocpp_version, gateway, raw, answer,
         error)
    SELECT charger_id, at, 'fill-' || n, 'fill', '', 'MeterValues', '1.6', 'gateway', '[2,' || n || %(raw)s, '{}', ''
    """,
    "meter_values": """
    INSERT INTO meter_values
        (charger_id, sampled_at, series_key, session_id, evse_id, connector_id, received_at, measurand, phase, context,
         location, value, unit, raw_value)
    SELECT charger_id, at, n, 1000000000 + n / 60, 1, 1, at, 'Energy.Active.Import.Register', '', 'Sample.Periodic',
        'Outlet', n, 'Wh', n::text
    """,
}
_NUMBERS = """
    FROM (SELECT n, ids[1 + n %% array_length(ids, 1)] AS charger_id,
              %(first)s + (%(last)s - %(first)s) * ((n - %(done)s)::float8 / %(count)s) AS at
          FROM (SELECT array_agg(id) AS ids FROM chargers) AS c,
              generate_series(%(done)s, %(done)s + %(count)s - 1) AS n) AS numbers
"""


def run(servers: Servers, arguments: argparse.Namespace) -> Rows:
    """Fill one database; then measure a new one and the full one, by turns."""
    rows: Rows = []
    with closing(Csms(servers, chargers=arguments.chargers)) as full:
        cookie = _sign_in(full)
        began = time.monotonic()
        filled = _fill(full.database_url, arguments.rows, arguments.fill_seconds)
        took_s = round(time.monotonic() - began, 1)
        for _ in range(arguments.turns):
            with closing(Csms(servers, chargers=arguments.chargers)) as new:
                rows.append(_measured(new, arguments, _sign_in(new), "new tables"))
            note = f"{filled / 1e6:.1f} million rows in each"
            rows.append({**_measured(full, arguments, cookie, note), "fill_s": took_s, "filled": filled})
    return rows


def _sign_in(csms: Csms) -> str:
    return sign_in(csms.gateways[0].sign_in_link())


def _measured(csms: Csms, arguments: argparse.Namespace, cookie: str, note: str) -> Row:
    load = Load(arguments.chargers, warm_up_s=arguments.warm_up, seconds=arguments.seconds, note=note)
    already = csms.stored().messages
    figures = measure(csms, load)
    drain(csms, figures, already=already)
    return {**figures, "looks": _look(csms, cookie, arguments.chargers)}


def _look(csms: Csms, cookie: str, chargers: int) -> dict[str, dict[str, float]]:
    """How long requests for recent data take, of chargers taken at random."""
    chooser = random.Random(1)
    connection = http.client.HTTPConnection("127.0.0.1", csms.gateways[0].http_port, timeout=60)
    looks = {}
    since = f"{datetime.now(UTC) - timedelta(minutes=10):%Y-%m-%dT%H:%M:%SZ}"
    paths = {
        "messages": "/api/v1/chargers/{}/messages?limit=50",
        "sessions": "/api/v1/sessions?deviceId={}&limit=50",
        "meter values": "/api/v1/chargers/{}/meter-values?limit=50&since={since}",
    }
    with closing(connection):
        for name, path in paths.items():
            took_s = []
            for _ in range(_LOOKS):
                device_id = f"{PREFIX}{chooser.randrange(chargers):05d}"
                began = time.perf_counter()
                connection.request("GET", path.format(device_id, since=since), headers={"Cookie": cookie})
                response = connection.getresponse()
                body = response.read()
                if response.status != 200:
                    raise RuntimeError(f"{path} answered {response.status}: {body[:200]!r}")
                took_s.append(time.perf_counter() - began)
            looks[name] = spread_ms(took_s)
    return looks


def _fill(url: str, rows: int, seconds: float) -> int:
    """Put up to ``rows`` rows into each table, as many as ``seconds`` allow; how many."""
    now = datetime.now(UTC)
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg2:", 1))
    for month in range(12, 0, -1):
        with engine.begin() as transaction:
            while make_one(transaction, now - timedelta(days=30 * month)):
                pass
    engine.dispose()
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(len(_FILLS)) as pool:
        filled = min(pool.map(lambda fill: _fill_one(url, *fill, rows=rows, end=end, now=now), _FILLS.items()))
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        # As autovacuum would: partitions that nobody has written to stay as they are.
        cursor.execute("SELECT relname FROM pg_stat_user_tables WHERE n_ins_since_vacuum > 0 ORDER BY relname")
        for statement in (*(f"VACUUM (ANALYZE) {name}" for (name,) in cursor.fetchall()), "CHECKPOINT"):
            print(statement, file=sys.stderr)
            cursor.execute(statement)
    return filled


def _fill_one(url: str, table_name: str, statement: str, *, rows: int, end: float, now: datetime) -> int:
    """Put up to ``rows`` rows into one table, until ``end`` of the monotonic clock; how many."""
    begin_of_month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    done = 0
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        while done < rows and time.monotonic() < end:
            count = min(_STEP, rows - done)
            recent = done // _STEP % 2 == 0
            first, last = (begin_of_month, now) if recent else (begin_of_month - timedelta(days=330), begin_of_month)
            values = {"first": first, "last": last, "done": done, "count": count, "raw": _RAW}
            cursor.execute(statement + _NUMBERS, values)
            done += count
            print(f"{table_name}: {done / 1e6:.1f} of {rows / 1e6:.1f} million rows", file=sys.stderr)
    return done


def table(rows: Sequence[Row]) -> Table:
    """The load's table, and what requests took."""
    names = list(rows[0]["looks"])
    lines = [
        [*line, *(f"{row['looks'][name]['p50_ms']:.1f} / {row['looks'][name]['p99_ms']:.1f}" for name in names)]
        for line, row in zip(load_table(rows)[1:], rows, strict=True)
    ]
    return [[*load_table(rows)[0], *(f"{name}, p50 / p99 ms" for name in names)], *lines]


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("--chargers", type=int, default=100)
    parser.add_argument("--rows", type=int, default=50_000_000, help="in each of the two tables")
    parser.add_argument("--turns", type=int, default=2, help="measure each of both so many times")
    parser.add_argument("--fill-seconds", type=float, default=120.0, help="fill no longer than this")
    return parser


BENCH = Bench("big_tables", "Big tables", __doc__ or "", _parser(), run, table)

if __name__ == "__main__":
    main(BENCH)
