"""csms as it really runs: twistd processes on free ports, in a directory of their own, known by their pids."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.servers.daemon import free_port, pause, wait_until

ROOT = Path(__file__).parents[2]
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "--nodaemon", "--pidfile=")
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
_BAD_LEVELS = ("error", "critical")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a csms process: ours, without its settings, and with these."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("CSMS_")}
    return {**own, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default", **settings}


def admin(directory: Path, settings: Mapping[str, str], *arguments: str, timeout_s: float = START_TIMEOUT_S) -> Any:
    """What ``csms-admin --json`` answers; fails with what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "csms.admin", "--json", *arguments],
        cwd=directory,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"csms-admin {arguments} ended with {done.returncode}: {done.stderr}{done.stdout}")
    return json.loads(done.stdout)


class Service:
    """One twistd process. Its log is JSON, one object a line, in ``<directory>/<name>.log``."""

    def __init__(self, plugin: str, directory: Path, settings: Mapping[str, str], *, name: str = "") -> None:
        self.name = name or plugin
        self.http_port = free_port()
        self._plugin = plugin
        self._directory = directory
        self._log = directory / f"{self.name}.log"
        port = "CSMS_WORKER_HTTP_PORT" if plugin == "csms-worker" else "CSMS_HTTP_PORT"
        self._settings = {**settings, "CSMS_LOG_FORMAT": "json", port: str(self.http_port)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until /health says that it is ready."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start, and do not wait."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*TWISTD, self._plugin], cwd=self._directory, env=environment(self._settings), stdout=log, stderr=log
            )

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until /health answers 200."""
        end = time.monotonic() + timeout_s
        while (answer := self.health())[0] != 200:
            if self._process is None or self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{self.name} is not ready: {answer}\n{self.output()}")
            time.sleep(0.05)

    def health(self) -> tuple[int, Any]:
        """Status and body of /health; status 0 while nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=5)
        try:
            connection.request("GET", "/health")
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def setting(self, name: str) -> str:
        """What it was given as an environment variable."""
        return self._settings[name]

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def ports(self) -> set[int]:
        """The local ports of its TCP connections (IPv4)."""
        inodes = set()
        for descriptor in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))
                inodes.update([match[1]] if match else [])
        connections = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return {int(fields[1].rpartition(":")[2], 16) for fields in connections if fields[9] in inodes}

    def terminate(self) -> int:
        """SIGTERM, as an operator would; how it ended: 0, an exit code, or minus the signal."""
        return self.end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end; how it ended."""
        assert self._process is not None
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{self.name} does not end\n{self.output()}") from error

    def pause(self) -> None:
        """SIGSTOP: its connections stay open and nobody answers, until :meth:`resume`."""
        pause(self.pid)

    def resume(self) -> None:
        """SIGCONT after :meth:`pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def destroy(self) -> None:
        """End it in any case."""
        if self._process is not None and self.alive:
            self._process.kill()
            self._process.wait()

    def clean_up(self) -> None:
        """End it in any case; its output is shown by pytest if the test failed."""
        self.destroy()
        print(f"--- {self.name}\n{self.output()}")  # noqa: T201

    def output(self) -> str:
        """All that it wrote."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def events(self) -> list[dict[str, Any]]:
        """Its log, read; lines that are no JSON become events of level error."""
        events = []
        for line in self.output().splitlines():
            try:
                events.append(json.loads(line))
            except ValueError:
                events.append({"level": "error", "message": line})
        return events

    def complaints(self) -> list[str]:
        """What it logged as an error, and Python's warnings."""
        return [event["message"] for event in self.events() if event["level"] in _BAD_LEVELS or _warns(event)]

    def sign_in_link(self) -> str:
        """The link that it prints at its start, perhaps a moment after it is ready."""
        links: list[str] = []

        def printed() -> bool:
            links.extend(event["link"] for event in self.events() if "link" in event)
            return bool(links)

        assert wait_until(printed, START_TIMEOUT_S), f"{self.name} has printed no link\n{self.output()}"
        return links[0]


def _warns(event: Mapping[str, Any]) -> bool:
    return "Warning: " in str(event["message"])
