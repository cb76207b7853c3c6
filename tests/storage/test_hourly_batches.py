"""What the analytics worker asks of each kind of database."""

from __future__ import annotations

from csms.domain.messages import Notification, NotificationType
from csms.storage.unit_of_work import SqlUnitOfWork
from csms.workers.analytics import add_up
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase, a_session


class HourlyBatchesContract(DatabaseCase):
    async def test_registers_are_asked_for_once_in_a_batch(self) -> None:
        charger_id = await self.a_charger()

        def begin(uow: SqlUnitOfWork) -> list[int]:
            sessions = [uow.sessions.add(a_session(charger_id, number)) for number in range(20)]
            for session in sessions[:10]:
                uow.analytics.set_register(session.id, 5.0, NOW)
            return [session.id for session in sessions]

        ids = await self.write(begin)
        batch = [
            Notification(
                type=NotificationType.METER_VALUES_UPDATED,
                charger_id=charger_id,
                device_id="CP-1",
                timestamp=NOW,
                event_id=f"e{session_id}",
                data={"sessionId": session_id, "energyWh": 100.0},
            )
            for session_id in ids
        ]
        statements = self.statements()
        await self.write(lambda uow: add_up(batch, uow, NOW))
        asked = [one for one in statements if one.startswith("SELECT") and "session_registers" in one]
        self.assertEqual(len(asked), 1)


class SqliteHourlyBatches(HourlyBatchesContract, SqliteCase):
    pass


class PostgresqlHourlyBatches(HourlyBatchesContract, PostgresqlCase):
    pass


del HourlyBatchesContract, DatabaseCase, PostgresqlCase, SqliteCase
