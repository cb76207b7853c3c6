"""One charging session by each version, by chargers that are not ours, and all that must be seen of it."""

from __future__ import annotations

import asyncio
import sqlite3
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg2

from tests.integration.chargers import (
    METER_START_WH,
    METER_STOP_WH,
    Account,
    charge_16,
    charge_201,
    charger_16,
    charger_201,
)
from tests.integration.people import Browser
from tests.servers.daemon import wait_until

TOKEN = "04A2B7C1D3"
TRANSACTION_201 = "b7c1e5f0-0000-4000-8000-000000000001"
SETTLE_S = 15.0
_SESSIONS = """
    select c.device_id, s.state, s.id_token, s.stop_reason, s.meter_start_wh, s.meter_stop_wh, s.energy_wh, s.flags,
           s.ocpp_version, m.energy_wh
    from charging_sessions s join chargers c on c.id = s.charger_id left join session_summaries m on m.session_id = s.id
    order by s.ocpp_version, s.id
"""
_LOG = """
    select d.action from charger_data d join chargers c on c.id = d.charger_id where c.device_id = '{}'
    order by d.received_at, d.message_id
"""
EXPECTED_TYPES = {
    "charger.connected",
    "charger.booted",
    "charger.status.changed",
    "charging.started",
    "meter.values.updated",
    "charging.stopped",
}
ACTIONS = {
    "1.6": {
        "BootNotification",
        "StatusNotification",
        "Authorize",
        "StartTransaction",
        "MeterValues",
        "StopTransaction",
    },
    "2.0.1": {"BootNotification", "StatusNotification", "Authorize", "TransactionEvent"},
}


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows, by the driver itself."""
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        connection: Any = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    else:
        connection = psycopg2.connect(url)
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        return list(cursor.fetchall())
    finally:
        connection.close()


class Scenario:
    """Two chargers charge one session each, at the same time."""

    def __init__(self, test: unittest.TestCase, database_url: str, accounts: Sequence[Account]) -> None:
        self._test = test
        self._url = database_url
        self.old, self.new = accounts

    async def run(self, browser: Browser) -> None:
        """Charge, and read the browser's frames to the end of both sessions."""
        await asyncio.gather(self._charge_old(), self._charge_new(), self._watch(browser))

    async def _charge_old(self) -> None:
        async with charger_16(self.old) as charger:
            answers = await charge_16(charger, TOKEN)
        check = self._test
        check.assertEqual(answers["boot"].status, "Accepted")
        check.assertEqual(answers["authorize"].id_tag_info["status"], "Accepted")
        check.assertEqual(answers["start"].id_tag_info["status"], "Accepted")
        check.assertGreater(answers["start"].transaction_id, 0)

    async def _charge_new(self) -> None:
        async with charger_201(self.new) as charger:
            answers = await charge_201(charger, TOKEN, TRANSACTION_201)
        check = self._test
        check.assertEqual(answers["boot"].status, "Accepted")
        check.assertEqual(answers["authorize"].id_token_info["status"], "Accepted")
        check.assertEqual(answers["start"].id_token_info["status"], "Accepted")

    async def _watch(self, browser: Browser) -> None:
        ended: set[str] = set()

        def both_gone(frame: dict[str, Any]) -> bool:
            if frame.get("type") == "charger.disconnected" and frame["event"] == "notification":
                ended.add(frame["deviceId"])
            return len(ended) == 2

        await browser.until(both_gone)

    def check_browser(self, browser: Browser) -> None:
        """Every change came, once, and in order."""
        check = self._test
        for account in (self.old, self.new):
            types = browser.types(account.device_id)
            check.assertLessEqual(EXPECTED_TYPES, set(types))
            for once in ("charging.started", "charging.stopped", "charger.connected", "charger.disconnected"):
                check.assertEqual(types.count(once), 1, f"{account.device_id}: {types}")
            check.assertLess(types.index("charging.started"), types.index("charging.stopped"))
            special = browser.special(account.device_id)
            check.assertLess(special.index("charging:started"), special.index("charging:stopped"))
            check.assertIn("charger:status:changed", special)
        ids = [frame["id"] for frame in browser.frames if frame["event"] == "notification"]
        check.assertEqual(len(ids), len(set(ids)))
        stopped = [frame for frame in browser.frames if frame["event"] == "charging:stopped"]
        for frame in stopped:
            check.assertEqual(frame["data"]["energyWh"], METER_STOP_WH - METER_START_WH)

    def check_rows(self) -> None:
        """Both versions are in the same tables, each effect once, and nothing is left behind."""
        check = self._test
        settled = wait_until(
            lambda: (
                not query(self._url, "select id from outbox")
                and len(query(self._url, "select session_id from session_summaries")) == 2
            ),
            SETTLE_S,
        )
        check.assertTrue(settled, "outbox and summaries are not settled")
        energy = METER_STOP_WH - METER_START_WH
        for account, version, row in zip(
            (self.old, self.new), ("1.6", "2.0.1"), query(self._url, _SESSIONS), strict=True
        ):
            expected = (
                account.device_id,
                "ended",
                TOKEN,
                "EVDisconnected",
                METER_START_WH,
                METER_STOP_WH,
                energy,
                "",
                version,
                energy,
            )
            check.assertEqual(row, expected)
            actions = [action for (action,) in query(self._url, _LOG.format(account.device_id))]
            check.assertEqual(set(actions) - {"Heartbeat"}, ACTIONS[version] | {"ConnectionOpened", "ConnectionClosed"})
            check.assertEqual(actions[0], "ConnectionOpened")
        registers = query(
            self._url,
            "select count(*) from meter_values where measurand = 'Energy.Active.Import.Register' and session_id <> 0",
        )
        check.assertGreaterEqual(registers[0][0], 2)
        check.assertEqual(query(self._url, "select id from dead_letters"), [])
