"""A RabbitMQ node of the tests' own: own name, ports, cookie, directories; everything on loopback."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pika

from tests.servers.daemon import Daemon, ServerFailed, answers, find_program, free_port

_PLACES = ("/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin")
_PORT_NAMES = ("amqp", "http", "dist", "epmd")
_MANAGEMENT_PORTS: dict[int, int] = {}


class RabbitMQ(Daemon):
    """A single node with the management plugin; its user is guest with the password guest."""

    name = "rabbitmq"

    def __init__(
        self,
        directory: Path,
        ports: dict[str, int] | None = None,
        pid: int = 0,
        epmd_pid: int = 0,
        *,
        settings: Mapping[str, str] | None = None,
        schedulers: int = 2,
    ):
        super().__init__(directory, pid)
        self.settings = {"raft.wal_max_size_bytes": "32000000"} if settings is None else dict(settings)
        """Of rabbitmq.conf, beside addresses and logs."""
        self.schedulers = schedulers
        """Threads in which Erlang runs its processes."""
        self.ports = ports or {name: free_port() for name in _PORT_NAMES}
        self.epmd = Daemon(directory, epmd_pid)
        _MANAGEMENT_PORTS[self.ports["amqp"]] = self.ports["http"]

    def url(self, vhost: str = "/") -> str:
        """The URL of a vhost that exists."""
        return f"amqp://guest:guest@127.0.0.1:{self.ports['amqp']}/{quote(vhost, safe='')}"

    def start(self) -> None:
        """Start, or start again with what is on disk, and wait until it serves."""
        program = find_program("rabbitmq-server", _PLACES, "rabbitmq-server")
        self._write_settings()
        if not self.epmd.alive:
            epmd = find_program("epmd", (), "erlang-base")
            command = [str(epmd), "-port", str(self.ports["epmd"]), "-address", "127.0.0.1"]
            self.epmd.pid = self.launch(command, self._environment(), self.directory / "epmd.log")
            self.epmd.await_start(lambda: answers(self.ports["epmd"]))
        self.pid = self.launch([str(program)], self._environment(), self.log)
        self.await_start(self._serves)

    def stop(self) -> None:
        """Shut the node down in good order; what is on disk stays for another start."""
        self.send(signal.SIGTERM)
        self.await_end()
        self.end_epmd()

    def kill(self) -> None:
        """SIGKILL to the node (and its name server)."""
        super().kill()
        self.end_epmd()

    def end_epmd(self) -> None:
        """The name server goes with its only node."""
        self.epmd.kill()

    def new_vhost(self) -> str:
        """Make a fresh vhost; its URL."""
        name = f"test-{uuid.uuid4().hex}"
        _request(self.ports["http"], "PUT", f"/api/vhosts/{name}")
        return self.url(name)

    def depth(self, queue: str, vhost: str = "/") -> int:
        """How many messages wait in a queue at this moment."""
        connection = pika.BlockingConnection(pika.URLParameters(self.url(vhost)))
        try:
            return int(connection.channel().queue_declare(queue, passive=True).method.message_count)
        finally:
            connection.close()

    def active_consumer(self, queue: str, vhost: str = "/") -> int:
        """The local port of the client that the queue hands its messages to; 0: nobody."""
        for consumer in self.manage("GET", f"consumers/{quote(vhost, safe='')}"):
            # A channel that has just opened or closed has no details.
            if consumer["queue"]["name"] == queue and consumer["active"] and consumer["channel_details"]:
                return int(consumer["channel_details"]["peer_port"])
        return 0

    def manage(self, method: str, path: str, body: object = None) -> Any:
        """The answer of the management API to a request below ``/api/``."""
        return _request(self.ports["http"], method, f"/api/{path}", body)

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl against this node (takes a second or two); its output."""
        program = find_program("rabbitmqctl", _PLACES, "rabbitmq-server")
        return self.run([str(program), "-n", self.node, *arguments], self._environment())

    @property
    def node(self) -> str:
        """The name by which other nodes know it."""
        return f"csms{self.ports['amqp']}@localhost"

    def _serves(self) -> bool:
        if not (answers(self.ports["amqp"]) and answers(self.ports["http"])):
            return False
        try:
            _request(self.ports["http"], "GET", "/api/whoami")
        except (OSError, http.client.HTTPException, ServerFailed):
            return False
        return True

    def _write_settings(self) -> None:
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.ports['amqp']}\n"
            "management.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {self.ports['http']}\n"
            "disk_free_limit.absolute = 50MB\n"
            "log.console = true\n"
            "log.console.level = warning\n" + "".join(f"{name} = {value}\n" for name, value in self.settings.items())
        )
        (self.directory / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self.directory / "rabbitmq-env.conf").write_text("")
        cookie = self.directory / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(uuid.uuid4().hex)
            cookie.chmod(0o400)

    def _environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        directory = str(self.directory)
        return inherited | {
            "HOME": directory,
            "RABBITMQ_CONF_ENV_FILE": f"{directory}/rabbitmq-env.conf",
            "RABBITMQ_CONFIG_FILE": f"{directory}/rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{directory}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{directory}/mnesia",
            "RABBITMQ_LOG_BASE": f"{directory}/log",
            "RABBITMQ_PID_FILE": f"{directory}/rabbitmq.pid",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self.ports["dist"]),
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # Few schedulers that do not spin: tests share the machine with the server. No epmd of its own making.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"+S {self.schedulers} +sbwt none +sbwtdcpu none +sbwtdio none"
            " -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
            # Makes the start script become the Erlang machine, so that the pid is the node's.
            "RUNNING_UNDER_SYSTEMD": "1",
        }


def drop_vhost(url: str) -> None:
    """Delete the vhost of a URL that :meth:`RabbitMQ.new_vhost` gave, with all that is in it."""
    parts = urlsplit(url)
    _request(_MANAGEMENT_PORTS[parts.port or 0], "DELETE", f"/api/vhosts/{parts.path[1:]}")


def _request(port: int, method: str, path: str, body: object = None) -> Any:
    credentials = base64.b64encode(b"guest:guest").decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(
            method,
            path,
            None if body is None else json.dumps(body),
            {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
        )
        response = connection.getresponse()
        answer = response.read()
        if response.status >= 300:
            raise ServerFailed(f"{method} {path}: {response.status} {answer.decode(errors='replace')}")
        return json.loads(answer) if answer else None
    finally:
        connection.close()
