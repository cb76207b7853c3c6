"""What processes cost: processor time and memory, with their children, from /proc."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(roots: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Processor time of each named set of processes with all their descendants, also those that have ended."""
    ticks, children = _all()
    return {
        name: sum(ticks.get(pid, 0) for root in pids for pid in _tree(root, children)) / _TICKS_PER_S
        for name, pids in roots.items()
    }


def memory_mb(roots: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Memory of each named set with all descendants; what processes share is shared out among them (PSS)."""
    _, children = _all()
    return {
        name: round(sum(_pss_kb(pid) for root in pids for pid in _tree(root, children)) / 1024, 1)
        for name, pids in roots.items()
    }


def _all() -> tuple[dict[int, int], dict[int, list[int]]]:
    ticks: dict[int, int] = {}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(entry.name)
        ticks[pid] = sum(map(int, fields[11:15]))  # its own, and those of children that it has reaped
        children[int(fields[1])].append(pid)
    return ticks, children


def _tree(root: int, children: Mapping[int, list[int]]) -> list[int]:
    pids = [root]
    for pid in pids:
        pids += children.get(pid, ())
    return pids


def _pss_kb(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
