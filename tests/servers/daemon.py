"""A server process that outlives the test process that started it, known by its pid alone."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


class ServerMissing(Exception):  # noqa: N818 - it names what happened
    """A server's program is not on this machine; the text names the Debian package that has it."""


class ServerFailed(Exception):  # noqa: N818
    """A server did not start or stop; the text has the end of its log."""


def free_port() -> int:
    """A TCP port of loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def find_program(name: str, places: Sequence[str], package: str) -> Path:
    """The program ``name`` in one of ``places`` or on the PATH; raises :class:`ServerMissing`."""
    for place in places:
        if os.access(Path(place) / name, os.X_OK):
            return Path(place) / name
    found = shutil.which(name)
    if found is None:
        raise ServerMissing(f"{name} is not installed: apt-get install {package} (tests run real servers)")
    return Path(found)


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Ask ``condition`` again and again until it holds; False when it did not within ``timeout_s``."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def pause(pid: int) -> None:
    """SIGSTOP, and wait until it holds: threads that run at that moment go on for a little while."""
    os.kill(pid, signal.SIGSTOP)
    if not wait_until(lambda: all(state in "TXZ" for state in _thread_states(pid)), STOP_TIMEOUT_S):
        raise ServerFailed(f"process {pid} does not stand still")


def _thread_states(pid: int) -> list[str]:
    return [_state_and_parent(task)[0] for task in Path(f"/proc/{pid}/task").glob("*")]


def _state_and_parent(process: Path) -> tuple[str, int]:
    """The state letter and the parent's pid of a process, or a thread, in /proc; X when it is not there."""
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0
    return fields[0], int(fields[1])


class Daemon:
    """A process that is started in the background, with its files in ``directory``."""

    name = "server"
    user: str | None = None
    """The account to run under when the tests run as root; None: root itself."""

    def __init__(self, directory: Path, pid: int = 0) -> None:
        self.directory = directory
        self.pid = pid
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def alive(self) -> bool:
        """Whether the process exists; a zombie that nobody reaps does not count."""
        return self.pid != 0 and _state_and_parent(Path(f"/proc/{self.pid}"))[0] not in "XZ"

    def account(self) -> str | None:
        """The account to switch to, or None to stay."""
        return self.user if os.geteuid() == 0 else None

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> str:
        """Run ``command`` to its end under the server's account; its output. Raises :class:`ServerFailed`."""
        account = self.account()
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            user=account,
            group=account,
            extra_groups=None if account is None else [],
        )
        if done.returncode:
            raise ServerFailed(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def launch(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
        """Start ``command`` in the background, in a session of its own, and return its pid."""
        # The shell ends at once, so the server is nobody's child here: nothing to reap, whoever stops it.
        line = f"setsid {shlex.join(command)} >>{shlex.quote(str(log))} 2>&1 </dev/null & echo $!"
        return int(self.run(["sh", "-c", line], environment))

    def await_start(self, ready: Callable[[], bool]) -> None:
        """Wait until the server answers; raises :class:`ServerFailed` when it ends or takes too long."""
        if not wait_until(lambda: not self.alive or ready(), START_TIMEOUT_S) or not self.alive:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])
            self.kill()
            raise ServerFailed(f"{self.name} did not start:\n{tail}")

    def send(self, signal_number: int) -> None:
        """Send a signal to the server's process, if it still exists."""
        if self.alive:
            os.kill(self.pid, signal_number)

    def await_end(self) -> None:
        """Wait until the process is gone; raises :class:`ServerFailed` when it stays."""
        if not wait_until(lambda: not self.alive, STOP_TIMEOUT_S):
            raise ServerFailed(f"{self.name} (pid {self.pid}) does not end")
        self.pid = 0

    def kill(self) -> None:
        """SIGKILL, as a power cut would: nothing is flushed, nobody is told."""
        self.send(signal.SIGKILL)
        self.await_end()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nobody answers, until :meth:`resume`."""
        for pid in (self.pid, *self.children()) if self.alive else ():
            pause(pid)

    def resume(self) -> None:
        """SIGCONT after :meth:`pause`."""
        for pid in (*self.children(), self.pid) if self.alive else ():
            os.kill(pid, signal.SIGCONT)

    def children(self) -> list[int]:
        """Pids of the server's child processes."""
        processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [int(process.name) for process in processes if _state_and_parent(process)[1] == self.pid]


def answers(port: int) -> bool:
    """Whether somebody listens on this port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
