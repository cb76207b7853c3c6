"""The plain Node server (``--baseline DIR``): ``server.js`` and ``worker.js``, over the same servers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.stand.servers import Depths, Servers
from bench.stand.target import Stored
from tests.servers import drop_database, drop_vhost
from tests.servers.daemon import answers, find_program, free_port, wait_until

_QUEUE = "baseline.ocpp"
_START_S = 30.0


class Baseline:
    """Started when made."""

    name = "baseline"
    path = "/"
    password = ""

    def __init__(self, servers: Servers, directory: Path) -> None:
        self._servers = servers
        self._broker_url = servers.rabbitmq.new_vhost()
        self._database_url = servers.postgresql.new_database()
        self.ports: Sequence[int] = [free_port()]
        self._log = Path(servers.directory, self._database_url.rpartition("/")[2] + ".log")
        psql = find_program("psql", (), "postgresql-client")
        schema = str(directory / "schema.sql")
        subprocess.run([str(psql), "-q", self._database_url, "-f", schema], check=True, stderr=subprocess.DEVNULL)
        self._depths = Depths(self._broker_url)
        self._processes = {"gateway": self._node(directory, "server.js"), "worker": self._node(directory, "worker.js")}
        if not wait_until(lambda: answers(self.ports[0]) and bool(self._printed()), _START_S):
            self.close()
            raise RuntimeError(f"the baseline in {directory} does not start: {self._log.read_text()[-2000:]}")

    def _node(self, directory: Path, program: str) -> subprocess.Popen[bytes]:
        node = find_program("node", (), "nodejs")
        environment = {
            **os.environ,
            "PORT": str(self.ports[0]),
            "AMQP": self._broker_url,
            "PG": self._database_url,
            "QUEUE": _QUEUE,
            "NODELAY": "1",
        }
        with self._log.open("ab") as log:
            return subprocess.Popen([str(node), program], cwd=directory, env=environment, stdout=log, stderr=log)

    def _printed(self) -> list[str]:
        return [line for line in self._log.read_text().splitlines() if len(line.split()) == 3 and line[:1].isdigit()]

    @property
    def pids(self) -> Mapping[str, Sequence[int]]:
        return {**{name: [process.pid] for name, process in self._processes.items()}, **self._servers.pids}

    def waiting(self) -> int:
        return self._depths.of(_QUEUE)

    def stored(self) -> Stored:
        at, handled, failed = map(int, self._printed()[-1].split())  # as it said within the last second
        return Stored(handled - failed, 0, at / 1000)

    def lag_s(self) -> float | None:
        return None

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._depths.close()
        drop_vhost(self._broker_url)
        drop_database(self._database_url)
