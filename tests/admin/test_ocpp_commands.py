"""``csms-admin command``: what is stored, what is refused, and what is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from csms.admin import commands
from csms.admin.output import Answer
from csms.domain import command_life as life
from csms.domain.command_model import CommandState
from csms.domain.handling import Notes
from csms.domain.model import Charger
from csms.domain.repositories import UnitOfWork
from csms.storage.database import SqlDatabase
from tests.admin.test_commands import CommandCase

RESET = '{"type": "Soft"}'


class OcppCommandTests(CommandCase):
    async def change(self, work: Any) -> Any:
        async def run(database: SqlDatabase) -> Any:
            return await database.transact(work, name="test")

        return await self.with_database(run)

    async def know(self) -> None:
        await self.change(lambda uow: uow.chargers.add(Charger(device_id="CP1", ocpp_version="1.6")) and None)

    async def send(self, *words: str) -> Answer:
        """Send while somebody else, in place of worker and gateway, sees that nobody holds the charger."""

        def look(uow: UnitOfWork) -> None:
            due = uow.commands.due(datetime.now(UTC), limit=10)
            notes = Notes("test", datetime.now(UTC))
            life.not_routed(uow, [command.command_id for command in due], datetime.now(UTC), notes)

        async def pause(_: Any, __: float) -> None:
            await self.change(look)

        with patch("csms.admin.site.Site.pause", pause):
            return await self.admin("command", "send", "CP1", *words)

    async def test_a_command_is_due_at_once_and_its_end_is_shown(self) -> None:
        await self.know()
        answer = await self.send("Reset", RESET)
        self.assertEqual((answer.data["state"], answer.data["payload"]), ("not_connected", {"type": "Soft"}))
        self.assertEqual(answer.data["createdBy"], commands.BY)
        self.assertIn("not_connected", answer.text)
        shown = await self.admin("command", "show", answer.data["id"])
        self.assertEqual(shown.data, answer.data)

    async def test_a_queued_command_is_not_waited_for(self) -> None:
        await self.know()
        answer = await self.send("ClearCache", "--queue", "3600")
        self.assertEqual(answer.data["state"], CommandState.QUEUED.value)

    async def test_without_a_worker_the_wait_ends(self) -> None:
        await self.know()
        with patch.object(commands, "GRACE_S", -1.0):
            answer = await self.admin("command", "send", "CP1", "ClearCache", "--timeout", "1")
        self.assertEqual(answer.data["state"], "waiting")

    async def test_listings_are_the_newest_first(self) -> None:
        self.assertEqual((await self.admin("command", "list")).text, "no commands yet")
        await self.know()
        for action in ("ClearCache", "GetConfiguration"):
            await self.send(action)
        listed = await self.admin("command", "list", "CP1", "--limit", "5")
        self.assertEqual([row["action"] for row in listed.data], ["GetConfiguration", "ClearCache"])
        self.assertEqual((await self.admin("command", "list", "CP2")).data, [])

    async def test_what_cannot_be_is_refused_with_the_reason(self) -> None:
        self.assertIn("no charger CP1", await self.refused("command", "send", "CP1", "Reset", RESET))
        await self.know()
        for words, reason in (
            (("Reset", "{"), "no JSON"),
            (("Reset", "[]"), "no JSON object"),
            (("Reset", "{}"), "type"),
            (("Nonsense",), "no command 'Nonsense'"),
        ):
            self.assertIn(reason, await self.refused("command", "send", "CP1", *words))
        self.assertIn("no command nobody", await self.refused("command", "show", "nobody"))
