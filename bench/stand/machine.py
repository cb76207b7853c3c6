"""Under which conditions figures were measured: the machine, and the versions of what ran on it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.integration.processes import ROOT

_LIBRARIES = ("Twisted", "autobahn", "pika", "psycopg2-binary", "SQLAlchemy", "msgspec", "jsonschema-rs")
_NUMBER = re.compile(r"\d+(\.\d+)+")


def conditions() -> dict[str, Any]:
    """All of it, for JSON."""
    return {"at": time.strftime("%Y-%m-%d", time.gmtime()), "commit": _commit(), "machine": _machine(), **_versions()}


def busy() -> float:
    """The load average of the last minute; before a benchmark it should be next to 0."""
    return round(os.getloadavg()[0], 1)


def _machine() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    memory_gb = int(memory[1]) / 1024 / 1024 if memory else 0
    name = model[1] if model else platform.machine()
    return f"{os.cpu_count()} cores of {name}, {memory_gb:.0f} GB, Linux {platform.release()}"


def _versions() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "servers": {
            "RabbitMQ": _printed(["dpkg-query", "-W", "rabbitmq-server"]),
            "PostgreSQL": _printed(["psql", "--version"]),
            "Node.js": _printed(["node", "--version"]),
        },
    }


def _printed(command: Sequence[str]) -> str:
    """The first thing that looks like a version in what a program prints."""
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
    found = _NUMBER.search(text)
    return found[0] if found else ""


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
