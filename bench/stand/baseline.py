"""The plain Node server (``--baseline DIR``): ``server.js`` and ``worker.js``, over the same servers."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.stand.servers import Depths, Servers
from bench.stand.target import Stored
from tests.servers import drop_database, drop_vhost
from tests.servers.daemon import answers, find_program, free_port, wait_until

QUEUE = "baseline.ocpp"
_START_S = 30.0


class Baseline:
    """Started when made."""

    name = "baseline"
    path = "/"
    password = ""

    def __init__(self, servers: Servers, directory: Path, *, worker: bool = True) -> None:
        self._servers = servers
        self.broker_url = servers.rabbitmq.new_vhost()
        self._database_url = servers.postgresql.new_database()
        self.ports: Sequence[int] = [free_port()]
        self._log = Path(servers.directory, self._database_url.rpartition("/")[2] + ".log")
        psql = find_program("psql", (), "postgresql-client")
        schema = str(directory / "schema.sql")
        subprocess.run([str(psql), "-q", self._database_url, "-f", schema], check=True, stderr=subprocess.DEVNULL)
        self._depths = Depths(self.broker_url)
        self._directory = directory
        self._processes = {"gateway": self._node("server.js")}
        if worker:
            self.start_worker()
        if not wait_until(lambda: answers(self.ports[0]) and (not worker or bool(self._printed())), _START_S):
            self.close()
            raise RuntimeError(f"the baseline in {directory} does not start: {self._log.read_text()[-2000:]}")

    def start_worker(self) -> None:
        """Start the worker."""
        self._processes["worker"] = self._node("worker.js")

    def end_worker(self) -> None:
        """End the worker, in good order as far as it knows any."""
        self._end("worker")

    def end_gateway(self) -> None:
        """End the gateway; what it put on the queue stays there."""
        self._end("gateway")

    def _end(self, name: str) -> None:
        process = self._processes.pop(name)
        process.terminate()
        process.wait()

    def _node(self, program: str) -> subprocess.Popen[bytes]:
        node = find_program("node", (), "nodejs")
        environment = {
            **os.environ,
            "PORT": str(self.ports[0]),
            "AMQP": self.broker_url,
            "PG": self._database_url,
            "QUEUE": QUEUE,
            "NODELAY": "1",
        }
        with self._log.open("ab") as log:
            return subprocess.Popen([str(node), program], cwd=self._directory, env=environment, stdout=log, stderr=log)

    def _printed(self) -> list[str]:
        return [line for line in self._log.read_text().splitlines() if len(line.split()) == 3 and line[:1].isdigit()]

    @property
    def pids(self) -> Mapping[str, Sequence[int]]:
        return {**{name: [process.pid] for name, process in self._processes.items()}, **self._servers.pids}

    def waiting(self) -> int:
        return self._depths.of(QUEUE)

    def stored(self) -> Stored:
        printed = self._printed()
        if not printed:
            return Stored(0, 0, time.time())
        at, handled, failed = map(int, printed[-1].split())  # as it said within the last second
        return Stored(handled - failed, 0, at / 1000)

    def lag_s(self) -> float | None:
        return None

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._depths.close()
        drop_vhost(self.broker_url)
        drop_database(self._database_url)
