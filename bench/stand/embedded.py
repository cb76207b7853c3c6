"""csms in one process: SQLite and the broker in memory, as it runs with no setting at all."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from bench.stand.csms import lag_of, metrics
from bench.stand.target import Stored
from tests.integration.processes import Service, admin
from tests.servers.daemon import free_port


class Embedded:
    """Started when made. Chargers are let in and written down when they come for the first time."""

    name = "embedded"
    path = "/ocpp/"
    password = "bench-7f3a90c1d2e4"

    def __init__(self, directory: Path, *, chargers: int) -> None:
        self.ports: Sequence[int] = [free_port()]
        self._database = directory / "csms.db"
        settings = {
            "CSMS_DATABASE_URL": f"sqlite:///{self._database}",
            "CSMS_GATEWAY_PORT": str(self.ports[0]),
            "CSMS_GATEWAY_UNKNOWN_CHARGERS": "accept",
        }
        tokens = directory / "tokens.csv"
        tokens.write_text("\n".join(["token", *(f"TAG-{number:05d}" for number in range(chargers))]) + "\n")
        self.service = Service("csms", directory, settings)
        self.first_start_s = self._start()
        self.service.end(signal.SIGTERM)
        admin(directory, settings, "token", "import", str(tokens))
        self.later_start_s = self._start()

    def _start(self) -> float:
        began = time.monotonic()
        try:
            self.service.start()
        except BaseException:
            # Whoever made this has nothing to close.
            self.close()
            raise
        return round(time.monotonic() - began, 2)

    @property
    def pids(self) -> Mapping[str, Sequence[int]]:
        return {"csms": [self.service.pid]}

    def waiting(self) -> None:
        return None

    def stored(self) -> Stored:
        at = time.time()
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=30)) as connection:
            messages, values = connection.execute(
                "SELECT (SELECT count(*) FROM charger_data WHERE unique_id <> ''), (SELECT count(*) FROM meter_values)"
            ).fetchone()
        return Stored(messages, values, at)

    def lag_s(self) -> float | None:
        return lag_of([metrics(self.service)])

    def close(self) -> None:
        if self.service.alive:
            self.service.end(signal.SIGTERM)
