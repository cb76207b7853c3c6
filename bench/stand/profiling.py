"""py-spy beside a run: where the time of gateway and worker goes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_TOP = 30
_RATE_HZ = 200


@contextmanager
def profiled(pids: Mapping[str, Sequence[int]], directory: Path | None, seconds: float) -> Iterator[Callable[[], None]]:
    """Gives what starts the profiling, which does nothing without a ``directory``; prints tables at the end."""
    if directory is None:
        yield lambda: None
        return
    profiler = Profiler(pids, directory, seconds)
    yield profiler.start
    for name, table in profiler.finish().items():
        print(f"--- {name}\n{table}")


class Profiler:
    """Samples the Python processes of a target from :meth:`start` on, for ``seconds``; a flame graph for each."""

    def __init__(self, pids: Mapping[str, Sequence[int]], directory: Path, seconds: float) -> None:
        self._directory = directory
        self._seconds = max(1, int(seconds))
        self._pids = {f"{name}-{pid}": pid for name in ("gateway", "worker", "csms") for pid in pids.get(name, ())}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        beside = Path(sys.executable).with_name("py-spy")
        found = str(beside) if beside.exists() else shutil.which("py-spy")
        if found is None:
            raise SystemExit("--profile needs py-spy: pip install py-spy")
        self._program = found
        directory.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Attach to all of them."""
        for name, pid in self._pids.items():
            output = ("--format", "raw", "--output", str(self._raw(name)))
            command = [self._program, "record", "--pid", str(pid), "--duration", str(self._seconds), *output]
            command += ["--rate", str(_RATE_HZ), "--nonblocking"]
            self._running[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def finish(self) -> dict[str, str]:
        """Wait for the samples; for each process the functions that took most, and where its stacks are."""
        tables = {}
        for name, process in self._running.items():
            process.wait(self._seconds + 60)
            tables[name] = _top(self._raw(name))
        return tables

    def _raw(self, name: str) -> Path:
        return self._directory / f"{name}.stacks"


def _top(raw: Path) -> str:
    """Functions by their own samples, and by those of what they call; ``raw`` has a stack a line, outermost first."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    total = 0
    for line in raw.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        total += int(count)
        own[frames[-1]] += int(count)
        within.update(dict.fromkeys(frames, int(count)))
    lines = [f"{raw} ({total} samples): open it at https://www.speedscope.app or with flamegraph.pl", ""]
    for title, counts in (("own", own), ("with callees", within)):
        lines.append(f"  {title}:")
        lines += [f"  {100 * count / max(total, 1):5.1f} %  {frame}" for frame, count in counts.most_common(_TOP)]
        lines.append("")
    return "\n".join(lines)
