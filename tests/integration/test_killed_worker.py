"""SIGKILL to a worker in the middle of a batch, under load: nothing answered is lost, nothing happens twice."""

from __future__ import annotations

import asyncio
import signal
import unittest
from collections import Counter
from typing import Any

import psycopg2

from tests.integration.load import ENERGY_WH, Ledger, LoadCharger
from tests.integration.processes import Service
from tests.integration.scenario import query
from tests.integration.site import ScaledOut
from tests.servers.daemon import wait_until

CHARGERS = 12
SESSIONS = 12
SETTLE_S = 40.0
# Backends that have written sessions in a transaction that is open, and wait for our lock before they can commit.
_IN_MID_BATCH = """
    select a.client_port from pg_stat_activity a where a.wait_event_type = 'Lock' and exists (
        select 1 from pg_locks l join pg_class c on c.oid = l.relation
        where l.pid = a.pid and l.granted and c.relname = 'charging_sessions' and l.mode = 'RowExclusiveLock')
"""
_SESSIONS = """
    select c.device_id, s.transaction_id, s.state, s.meter_start_wh, s.meter_stop_wh, s.energy_wh, s.id
    from charging_sessions s join chargers c on c.id = s.charger_id
"""
_LOG = "select c.device_id, d.unique_id, d.action from charger_data d join chargers c on c.id = d.charger_id"


class KilledWorkerTests(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.site = ScaledOut(
            self,
            {
                "CSMS_GATEWAY_UNKNOWN_CHARGERS": "accept",
                "CSMS_GATEWAY_REQUIRE_PASSWORD": "no",
                "CSMS_WORKER_UNKNOWN_TOKENS": "accept",
            },
        )
        self.site.start()
        self.listener = self.site.listener()
        self.ledger = Ledger()

    async def test_killed_in_mid_batch_every_answer_has_its_row_once_and_every_event_its_notification(self) -> None:
        progress = Progress(CHARGERS * 2)
        chargers = [LoadCharger(f"LOAD-{n}", self.site.gateway_port, self.ledger) for n in range(CHARGERS)]
        load = asyncio.gather(*(charger.run(SESSIONS, progress.one_more) for charger in chargers))
        await progress.reached.wait()
        killed = await asyncio.to_thread(self.kill_in_mid_batch)
        await load
        self.assertGreater(self.ledger.repeats + len(self.ledger.answered), CHARGERS * SESSIONS * 4)
        self.assertEqual(self.ledger.refused, [])
        await asyncio.to_thread(self.settle)
        self.check_log()
        sessions = self.check_sessions()
        self.check_notifications(sessions)
        for service in self.site.services:
            if service is not killed:
                self.assertEqual(service.complaints(), [])

    def kill_in_mid_batch(self) -> Service:
        """Hold the last table that a batch writes; kill a worker that waits for it."""
        holder = psycopg2.connect(self.site.database_url)
        try:
            holder.cursor().execute("lock table outbox in share mode")
            victims: list[Service] = []

            def somebody_waits() -> bool:
                ports = {port for (port,) in query(self.site.database_url, _IN_MID_BATCH)}
                victims.extend(worker for worker in self.site.workers if ports & worker.ports())
                return bool(victims)

            self.assertTrue(wait_until(somebody_waits, SETTLE_S), "no worker came into the middle of a batch")
            self.assertEqual(victims[0].end(signal.SIGKILL), -signal.SIGKILL)
        finally:
            holder.close()
        return victims[0]

    def settle(self) -> None:
        """Wait until what was answered is worked off."""
        sessions, stops = len(self.ledger.started), "select count(*) from charging_sessions where state = 'ended'"

        def worked_off() -> bool:
            ended = query(self.site.database_url, stops)[0][0]
            summaries = query(self.site.database_url, "select count(*) from session_summaries")[0][0]
            return ended == summaries == sessions and not query(self.site.database_url, "select id from outbox")

        self.assertTrue(wait_until(worked_off, SETTLE_S), "the messages are not worked off")

    def check_log(self) -> None:
        rows = Counter(query(self.site.database_url, _LOG))
        missing = [message for message in self.ledger.answered if rows[message] != 1]
        self.assertEqual(missing, [])

    def check_sessions(self) -> dict[int, tuple[str, int]]:
        """One ended session for each that was started, with its meters; their ids."""
        rows = query(self.site.database_url, _SESSIONS)
        found = {(device, int(number)): values for device, number, *values, _ in rows}
        expected = {
            key: ["ended", start_wh, self.ledger.stopped[key], ENERGY_WH]
            for key, start_wh in self.ledger.started.items()
        }
        self.assertEqual(len(expected), CHARGERS * SESSIONS)
        self.assertEqual(len(rows), len(expected))
        self.assertEqual(found, expected)
        return {row[6]: (row[0], int(row[1])) for row in rows}

    def check_notifications(self, sessions: dict[int, tuple[str, int]]) -> None:
        """A consumer that drops repeated event ids has seen each start and stop once."""
        events: dict[str, dict[str, Any]] = {body["eventId"]: body for _, body in self.listener.take()}
        for kind in ("charging.started", "charging.stopped"):
            seen = Counter(body["sessionId"] for body in events.values() if body["type"] == kind)
            self.assertEqual(seen, Counter(sessions.keys()), kind)


class Progress:
    """Tells when ``count`` things have happened."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.reached = asyncio.Event()

    async def one_more(self) -> None:
        """One has."""
        self._left -= 1
        if self._left <= 0:
            self.reached.set()
