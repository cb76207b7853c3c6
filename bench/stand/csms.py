"""csms scaled out: gateways and workers as processes of their own, over the stand's RabbitMQ and PostgreSQL."""

from __future__ import annotations

import re
import signal
import time
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psycopg2

from bench.stand.servers import Depths, Servers
from bench.stand.target import PREFIX, Stored
from csms.domain import topology
from tests.integration.processes import Service, admin
from tests.servers import drop_database, drop_vhost
from tests.servers.daemon import free_port

_PASSWORD = "bench-7f3a90c1d2e4"
"""Of chargers that exist on this machine only."""
_LAG = re.compile(r"^csms_shard_lag_seconds\{[^}]*ocpp_messages[^}]*\} (\S+)$", re.MULTILINE)
_CONNECTED = re.compile(r"^csms_charger_connections\{.*\} (\S+)$", re.MULTILINE)
SHARDS = 4

# What chargers said, without what gateways tell of connections; by each charger's index, however much else is there.
_STORED = """
    SELECT sum((SELECT count(*) FROM charger_data d
                WHERE d.charger_id = c.id AND d.received_at >= %(since)s AND d.unique_id <> ''))::bigint,
           sum((SELECT count(*) FROM meter_values v
                WHERE v.charger_id = c.id AND v.sampled_at >= %(since)s))::bigint
    FROM chargers c
"""


class Csms:
    """Started when made, with ``chargers`` (and a token for each) in its database."""

    name = "csms"
    path = "/ocpp/"
    password = _PASSWORD

    def __init__(
        self,
        servers: Servers,
        *,
        chargers: int,
        gateways: int = 1,
        workers: int = 1,
        shards: int = SHARDS,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._servers = servers
        self._since = datetime.now(UTC)
        self.broker_url = servers.rabbitmq.new_vhost()
        self.database_url = servers.postgresql.new_database()
        self.directory = Path(servers.directory, self.database_url.rpartition("/")[2])
        self.directory.mkdir()
        self.settings = {
            "CSMS_BROKER_URL": self.broker_url,
            "CSMS_DATABASE_URL": self.database_url,
            "CSMS_BROKER_SHARDS": str(shards),
            **(settings or {}),
        }
        self.ports: Sequence[int] = [free_port() for _ in range(gateways)]
        self.gateways = [self._gateway(port) for port in self.ports]
        self.workers = [
            Service("csms-worker", self.directory, self.settings, name=f"worker-{number}") for number in range(workers)
        ]
        self.queues = topology.shard_queues(shards)
        self._depths = Depths(self.broker_url)
        self._database = psycopg2.connect(self.database_url)
        self._database.autocommit = True
        try:
            self._provision(chargers)
            for service in (*self.gateways, *self.workers):
                service.launch()
            for service in (*self.gateways, *self.workers):
                service.wait_ready()
        except BaseException:
            self.close()
            raise

    def _gateway(self, port: int) -> Service:
        settings = {**self.settings, "CSMS_GATEWAY_PORT": str(port)}
        return Service("csms-gateway", self.directory, settings, name=f"gateway-{port}")

    def _provision(self, chargers: int) -> None:
        """One charger and its token as an operator would; the rest are copies of that row, and a file of tokens."""
        password = self.directory / "password"
        password.write_text(_PASSWORD)
        admin(self.directory, self.settings, "charger", "add", f"{PREFIX}{0:05d}", "--password-file", str(password))
        tokens = self.directory / "tokens.csv"
        tokens.write_text("\n".join(["token", *(f"TAG-{number:05d}" for number in range(chargers))]) + "\n")
        admin(self.directory, self.settings, "token", "import", str(tokens))
        with self._database.cursor() as cursor:
            cursor.execute(
                "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
                " WHERE table_name = 'chargers' AND column_name NOT IN ('id', 'device_id')"
            )
            (others,) = cursor.fetchone() or ("",)
            cursor.execute(
                f"INSERT INTO chargers (device_id, {others}) SELECT %s || to_char(number, 'FM00000'), {others}"
                " FROM chargers, generate_series(1, %s) AS number",
                (PREFIX, chargers - 1),
            )

    @property
    def pids(self) -> Mapping[str, Sequence[int]]:
        return {
            "gateway": [service.pid for service in self.gateways],
            "worker": [service.pid for service in self.workers],
            **self._servers.pids,
        }

    def waiting(self) -> int:
        return self._depths.of(*self.queues)

    def stored(self) -> Stored:
        at = time.time()
        with self._database.cursor() as cursor:
            cursor.execute(_STORED, {"since": self._since})
            messages, values = cursor.fetchone() or (0, 0)
        return Stored(messages, values, at)

    def connected(self) -> int:
        """Chargers that are connected, as the gateways count them."""
        counts = [float(n) for service in self.gateways for n in _CONNECTED.findall(metrics(service))]
        return int(sum(counts))

    def lag_s(self) -> float | None:
        return lag_of([metrics(service) for service in self.workers])

    def close(self) -> None:
        for service in (*self.gateways, *self.workers):
            if service.alive:
                service.end(signal.SIGTERM)
        complaints = [line for service in (*self.gateways, *self.workers) for line in service.complaints()]
        self._depths.close()
        self._database.close()
        drop_vhost(self.broker_url)
        drop_database(self.database_url)
        if complaints:
            print(f"csms complained {len(complaints)} times, first of this: {complaints[0]}")


def lag_of(texts: Iterable[str]) -> float | None:
    """The longest lag of a shard in the metrics of workers."""
    return max((float(lag) for text in texts for lag in _LAG.findall(text)), default=None)


def metrics(service: Service) -> str:
    """All metrics of a process, as Prometheus reads them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{service.http_port}/metrics", timeout=10) as answer:
        body: bytes = answer.read()
    return body.decode()
