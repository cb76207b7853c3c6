"""csms-admin backup and after-restore. What they do under load is in tests/integration/test_backup.py."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from csms.config.settings import DatabaseSettings
from csms.domain.command_model import Command, CommandState
from csms.domain.commands import new_command
from csms.domain.identifiers import new_id
from csms.domain.model import Charger
from csms.domain.repositories import UnitOfWork
from csms.ports import DatabaseError
from csms.storage.database import SqlDatabase
from tests.admin.test_commands import CommandCase


class BackupTests(CommandCase):
    async def test_a_backup_has_everything_and_overwrites_nothing(self) -> None:
        await self.admin("charger", "add", "CP1")
        copy = self.directory / "copy.db"
        answer = await self.admin("backup", str(copy))
        self.assertEqual(answer.data, {"file": str(copy), "bytes": copy.stat().st_size})
        with closing(sqlite3.connect(copy)) as connection:
            self.assertEqual(connection.execute("SELECT device_id FROM chargers").fetchall(), [("CP1",)])
        self.assertIn("is there already", await self.refused("backup", str(copy)))
        self.assertIn("No such file or directory", await self.refused("backup", str(self.directory / "none" / "x")))

    async def test_a_database_that_is_damaged_or_not_there_makes_no_backup(self) -> None:
        copy = self.directory / "copy.db"
        for content in (None, b"this is no database" * 1000):
            if content is not None:
                (self.directory / "csms.db").write_bytes(content)
            with self.assertRaises(DatabaseError):
                await self.admin("backup", str(copy))
        self.assertEqual([path.name for path in self.directory.iterdir()], ["csms.db"])

    async def test_postgresql_is_left_to_its_own_tools(self) -> None:
        database = DatabaseSettings(url="postgresql://csms@127.0.0.1:1/csms")
        self.settings = dataclasses.replace(self.settings, database=database)
        with self.assertRaisesRegex(DatabaseError, "pg_dump"):
            await self.admin("backup", str(self.directory / "copy.db"))


class AfterRestoreTests(CommandCase):
    async def test_no_id_comes_twice_and_what_was_open_is_unknown(self) -> None:
        now = datetime.now(UTC)

        def add(uow: UnitOfWork) -> None:
            charger = uow.chargers.add(Charger(device_id="CP1"))
            for state in (CommandState.WAITING, CommandState.QUEUED, CommandState.SENT, CommandState.ANSWERED):
                command = new_command(charger, "Reset", "{}", command_id=new_id(0), now=now, timeout_s=30.0)
                uow.commands.add(dataclasses.replace(command, state=state))

        await self.with_database(lambda database: database.transact(add, name="add"))
        answer = await self.admin("after-restore", "--skip", "1000")
        self.assertEqual(answer.data, {"skipped": 1000, "commandsGivenUp": 3})
        await self.admin("charger", "add", "CP2")
        await self.admin("token", "add", "T")

        async def look(database: SqlDatabase) -> Any:
            def work(uow: Any) -> Any:
                commands: list[Command] = uow.commands.page()
                states = sorted(command.state for command in commands)
                return states, uow.chargers.by_device_id("CP2").id, uow.outbox.waiting(older_than=FAR, limit=100)

            return await database.transact(work, name="look")

        states, charger_id, waiting = await self.with_database(look)
        self.assertEqual(states, ["answered", "unknown", "unknown", "unknown"])
        self.assertEqual(charger_id, 1002)
        self.assertEqual([row.routing_key for row in waiting], ["notification.command.changed"] * 3)


FAR = datetime(9999, 1, 1, tzinfo=UTC)
