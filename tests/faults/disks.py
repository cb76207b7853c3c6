"""A small disk of memory that can be filled: a tmpfs, which only root may mount."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

_BLOCK = b"\0" * 65536


class SmallDisk:
    """Mounted at ``path`` until :meth:`close`."""

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        path.mkdir(mode=0o755, parents=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "csms-faults", str(path)], check=True
        )

    def fill(self) -> None:
        """Leave not a byte."""
        with suppress(OSError), (self.path / "filling").open("ab", buffering=0) as file:
            while True:
                file.write(_BLOCK)

    def free(self) -> None:
        """Take back what :meth:`fill` did."""
        (self.path / "filling").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount and remove it; whoever still has a file open there keeps that."""
        if os.path.ismount(self.path):
            subprocess.run(["umount", "--lazy", str(self.path)], check=True)
        # What is around it could not go as long as it was mounted.
        shutil.rmtree(self.path.parent, ignore_errors=True)
