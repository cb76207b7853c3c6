"""What odd chargers did, for each kind of database."""

from __future__ import annotations

from datetime import timedelta

from csms.ocpp.quirks import Deviation
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase

TEXT = Deviation("number-as-text", "$.connectorId", '"1"')


class DeviationsContract(DatabaseCase):
    async def test_the_same_deviation_is_one_row_with_a_count_and_its_newest_example(self) -> None:
        charger_id = await self.a_charger()

        def note(uow: SqlUnitOfWork, minutes: int, example: str) -> None:
            odd, at = Deviation(TEXT.kind, TEXT.path, example), NOW + timedelta(minutes=minutes)
            uow.deviations.note(charger_id, "StatusNotification", [odd, odd], at=at)

        await self.write(note, 0, '"1"')
        await self.write(note, 5, '"2"')
        (row,) = await self.look(lambda uow: uow.deviations.of(charger_id))
        self.assertEqual((row.kind, row.action, row.path), (TEXT.kind, "StatusNotification", TEXT.path))
        self.assertEqual((row.count, row.example), (4, '"2"'))
        self.assertEqual((row.first_seen, row.last_seen), (NOW, NOW + timedelta(minutes=5)))

    async def test_kinds_actions_paths_and_chargers_are_kept_apart(self) -> None:
        charger_id, other_id = await self.a_charger(), await self.a_charger("CP-2")

        def note(uow: SqlUnitOfWork) -> None:
            uow.deviations.note(charger_id, "A", [TEXT, Deviation("null", TEXT.path)], at=NOW)
            uow.deviations.note(charger_id, "A", [Deviation(TEXT.kind, "$.x")], at=NOW + timedelta(seconds=1))
            uow.deviations.note(charger_id, "B", [TEXT], at=NOW)
            uow.deviations.note(other_id, "A", [TEXT], at=NOW)

        await self.write(note)
        rows = await self.look(lambda uow: uow.deviations.of(charger_id))
        self.assertEqual(len(rows), 4)
        self.assertEqual(rows[0].path, "$.x", "the newest first")
        self.assertEqual(len(await self.look(lambda uow: uow.deviations.of(other_id))), 1)
        await self.write(lambda uow: uow.chargers.remove("CP-2"))
        self.assertEqual(await self.look(lambda uow: uow.deviations.of(other_id)), [])


class SqliteDeviations(DeviationsContract, SqliteCase):
    pass


class PostgresqlDeviations(DeviationsContract, PostgresqlCase):
    pass


del DeviationsContract, DatabaseCase, PostgresqlCase, SqliteCase
