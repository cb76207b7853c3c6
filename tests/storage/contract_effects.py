"""What comes of commands and messages, with each step in a transaction of its own, for each kind of database."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from twisted.internet.threads import deferToThread

from csms.domain.command_model import Command
from csms.domain.handling import Handled
from csms.domain.stored import FROM_CHARGER, TO_CHARGER
from tests.domain.commanding import ACCEPTED, CommandedStation
from tests.domain.effects_scenario import kept, play
from tests.storage.contract_quirks import StoredUnit
from tests.storage.databases import DatabaseCase, PostgresqlCase, SqliteCase

WRITTEN = re.compile(r"^\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)")


class WatchedStation(CommandedStation):
    """A station that notes which tables each of its actions writes to."""

    statements: list[str]

    def watch(self, statements: list[str]) -> None:
        self.statements = statements
        self.to_charger: defaultdict[str, set[str]] = defaultdict(set)
        self.from_charger: defaultdict[str, set[str]] = defaultdict(set)

    def handle(self, action: str, payload: Mapping[str, Any]) -> Handled:
        self.statements.clear()
        handled = super().handle(action, payload)
        self.from_charger[action] |= self._written()
        return handled

    def answer(self, command: Command, response: Mapping[str, Any] = ACCEPTED) -> None:
        self.statements.clear()
        super().answer(command, response)
        self.to_charger[command.action] |= self._written()

    def _written(self) -> set[str]:
        return {found[1] for one in self.statements if (found := WRITTEN.match(one))}


class EffectsContract(DatabaseCase):
    async def test_commands_leave_the_same_in_the_database_as_in_memory(self) -> None:
        in_memory = CommandedStation()
        play(in_memory)
        expected = in_memory.place.run(lambda uow: kept(uow, in_memory.charger.id))
        for kind, records in expected.items():
            self.assertTrue(records, f"no {kind}: the scenario tests too little")
        unit = StoredUnit(self.database)
        station = await deferToThread(lambda: CommandedStation(unit=unit))
        await deferToThread(play, station)
        found = await self.look(lambda uow: kept(uow, station.charger.id))
        for kind, records in expected.items():
            self.assertEqual(found[kind], records, kind)
        events = await self.look(lambda uow: uow.devices.security_events.page(charger_id=station.charger.id))
        self.assertEqual([(one.type, one.critical) for one in events], [("MemoryExhaustion", True)])

    async def test_each_action_writes_to_the_tables_that_it_is_said_to(self) -> None:
        unit = StoredUnit(self.database)
        station = await deferToThread(lambda: WatchedStation(unit=unit))
        station.watch(self.statements())
        await deferToThread(play, station)
        for action, tables in station.to_charger.items():
            self.assertEqual(tables, set(TO_CHARGER[action]), action)
        for action, tables in station.from_charger.items():
            self.assertLessEqual(set(FROM_CHARGER[action]), tables, action)
        silent = {action for action, tables in TO_CHARGER.items() if tables} - station.to_charger.keys()
        self.assertEqual(silent, set(), "the scenario does not play these")


class SqliteEffects(EffectsContract, SqliteCase):
    pass


class PostgresqlEffects(EffectsContract, PostgresqlCase):
    pass


del EffectsContract, DatabaseCase, SqliteCase, PostgresqlCase
