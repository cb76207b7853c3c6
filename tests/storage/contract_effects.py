"""What comes of commands, with each step in a transaction of its own, for each kind of database."""

from __future__ import annotations

from twisted.internet.threads import deferToThread

from tests.domain.commanding import CommandedStation
from tests.domain.effects_scenario import kept, play
from tests.storage.contract_quirks import StoredUnit
from tests.storage.databases import DatabaseCase, PostgresqlCase, SqliteCase


class EffectsContract(DatabaseCase):
    async def test_commands_leave_the_same_in_the_database_as_in_memory(self) -> None:
        in_memory, stored = CommandedStation(), CommandedStation
        play(in_memory)
        expected = in_memory.place.run(lambda uow: kept(uow, in_memory.charger.id))
        for kind, records in expected.items():
            self.assertTrue(records, f"no {kind}: the scenario tests too little")
        unit = StoredUnit(self.database)
        station = await deferToThread(lambda: stored(unit=unit))
        await deferToThread(play, station)
        found = await self.look(lambda uow: kept(uow, station.charger.id))
        for kind, records in expected.items():
            with self.subTest(kind=kind):
                self.assertEqual(found[kind], records)
        events = await self.look(lambda uow: uow.devices.security_events.page(charger_id=station.charger.id))
        self.assertEqual([(one.type, one.critical) for one in events], [("MemoryExhaustion", True)])


class SqliteEffects(EffectsContract, SqliteCase):
    pass


class PostgresqlEffects(EffectsContract, PostgresqlCase):
    pass


del EffectsContract, DatabaseCase, SqliteCase, PostgresqlCase
