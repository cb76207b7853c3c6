"""SQLite that is locked by another process, or whose disk is full."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from tests.faults.catalogue import fault
from tests.faults.disks import SmallDisk
from tests.faults.field import Field
from tests.faults.sites import Embedded

DISK_MB = 24


@fault("sqlite-locked", layout=Embedded, touches="database")
async def sqlite_locked(field: Field) -> None:
    """Another process writes to the file, and does not commit for a minute."""
    path = field.site.database_url.removeprefix("sqlite:///")
    other = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
    try:
        await field.do(other.execute, "begin immediate")
        await asyncio.sleep(field.seconds(60, 13))
        other.execute("rollback")
    finally:
        other.close()


class SmallEmbedded(Embedded):
    """The database has a disk of its own, which can be filled."""

    disk: SmallDisk

    def start_servers(self) -> None:
        self.disk = SmallDisk(Path(self.directory) / "small", DISK_MB)

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.directory}/small/csms.db"

    def end(self) -> None:
        super().end()
        self.disk.close()


@fault("sqlite-disk-full", layout=SmallEmbedded, touches="database")
async def sqlite_disk_full(field: Field) -> None:
    """The disk with the database is full for half a minute."""
    await field.do(field.site.disk.fill)
    try:
        await asyncio.sleep(field.seconds(30, 4))
    finally:
        await field.do(field.site.disk.free)
