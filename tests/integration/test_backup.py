"""A backup that is taken under load, a crash, a restore into a fresh place: the chargers go on, repeats count once."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.faults.chargers import LoadCharger, load_chargers
from tests.faults.ledger import Attempt, Ledger
from tests.faults.link import Addresses
from tests.faults.sites import OPEN
from tests.integration.processes import Service, admin
from tests.integration.scenario import query
from tests.integration.site import ScaledOut
from tests.servers import drop_database, postgresql_url
from tests.servers.daemon import find_program, free_port

CHARGERS = 8
ENOUGH = 40
"""Answers, before and after each step."""
PATIENCE_S = 60.0
Key = tuple[str, str]
_LOG = "select c.device_id, d.unique_id from charger_data d join chargers c on c.id = d.charger_id"
_REPEATED = """
    select c.device_id, s.start_key, count(*) from charging_sessions s join chargers c on c.id = s.charger_id
    group by c.device_id, s.start_key having count(*) > 1
"""
_NEWEST_SESSION = "select max(id) from charging_sessions"


class RestoreContract(unittest.IsolatedAsyncioTestCase):
    """With a load that does not stop for anything."""

    async def asyncSetUp(self) -> None:
        await asyncio.to_thread(self.install)
        self.ledger = Ledger()
        addresses = Addresses([self.charger_port])
        self.chargers = load_chargers("BACK-", CHARGERS, addresses, self.ledger, pause_s=0.02)
        self.load = [asyncio.create_task(charger.run()) for charger in self.chargers]
        self.addAsyncCleanup(self.end_load)

    async def end_load(self) -> None:
        for task in self.load:
            task.cancel()
        await asyncio.gather(*self.load, return_exceptions=True)

    charger_port: int
    settings: dict[str, str]
    directory: Path

    def install(self) -> None:
        """Start an installation."""
        raise NotImplementedError

    def back_up(self) -> str:
        """Take a backup; the URL of a fresh place that has it."""
        raise NotImplementedError

    def crash(self) -> None:
        """Kill everything of csms."""
        raise NotImplementedError

    def start_again(self, database_url: str) -> None:
        """Start anew, with another database."""
        raise NotImplementedError

    def check_log(self, service: Service) -> None:
        """It has nothing to complain about."""
        self.assertEqual(service.complaints(), [])

    async def answers(self, count: int = ENOUGH) -> None:
        """Wait for so many more."""
        wanted = self.ledger.answers + count
        await self.until(lambda: self.ledger.answers >= wanted)

    async def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not await asyncio.to_thread(condition):
            self.assertLess(time.monotonic(), end, "it did not happen")
            await asyncio.sleep(0.05)

    def answered(self, *, before: float = float("inf"), after: float = 0.0) -> set[Key]:
        """Messages that were answered before, and sent after, these moments."""
        found: list[Attempt] = self.ledger.attempts
        return {
            (one.device_id, one.unique_id)
            for one in found
            if one.answered_at and one.answered_at < before and one.sent_at > after and not one.refused
        }

    async def test_what_was_answered_before_the_backup_is_in_it_and_the_chargers_go_on_after_the_restore(self) -> None:
        await self.answers()
        began = time.monotonic()
        await self.settled(began)
        url = await asyncio.to_thread(self.back_up)
        in_backup = Counter(await asyncio.to_thread(query, url, _LOG))
        self.assertEqual(self.answered(before=began) - set(in_backup), set())
        self.assertEqual(await asyncio.to_thread(query, url, _REPEATED), [])
        await self.answers()
        await asyncio.to_thread(self.crash)
        await self.restore_and_check(url, in_backup)

    async def restore_and_check(self, url: str, in_backup: Counter[Key]) -> None:
        settings = {**self.settings, "CSMS_DATABASE_URL": url}
        newest = (await asyncio.to_thread(query, url, _NEWEST_SESSION))[0][0]
        done = await asyncio.to_thread(admin, self.directory, settings, "after-restore")
        self.assertEqual(done["skipped"], 1_000_000)
        started = time.monotonic()
        await asyncio.to_thread(self.start_again, url)
        await self.until(
            lambda: {charger.device_id for charger in self.chargers} <= self.ledger.answered_since(started)
        )
        await self.repeat_what_is_in_the_backup(in_backup)
        for charger in self.chargers:
            charger.finish()
        await asyncio.gather(*self.load)
        self.assertEqual(self.ledger.callerrors, [])

        def worked_off() -> bool:
            return not self.answered(after=started) - set(query(url, _LOG)) and not query(url, "select id from outbox")

        await self.until(worked_off)
        rows = Counter(await asyncio.to_thread(query, url, _LOG))
        self.assertEqual([key for key in in_backup if rows[key] < in_backup[key]], [])
        self.assertEqual([key for key in self.answered(after=started) if rows[key] != 1 + in_backup[key]], [])
        self.assertEqual(await asyncio.to_thread(query, url, _REPEATED), [])
        self.assertGreater((await asyncio.to_thread(query, url, _NEWEST_SESSION))[0][0], newest + 1_000_000)

    async def repeat_what_is_in_the_backup(self, in_backup: Counter[Key]) -> None:
        """A charger sends an old StartTransaction once more: it gets the transaction id that it had."""
        start = next(
            one
            for one in self.ledger.attempts
            if one.action == "StartTransaction" and in_backup[one.device_id, one.unique_id]
        )
        charger: LoadCharger = next(one for one in self.chargers if one.device_id == start.device_id)
        before = next(one for one in self.ledger.sessions if one.device_id == start.device_id).transaction_id
        answer = await charger.say("StartTransaction", json.loads(start.frame)[3])
        self.assertEqual(str(answer["transactionId"]), before)

    async def settled(self, before: float) -> None:
        """Wait until what was answered before this moment is in the database."""
        url = self.settings["CSMS_DATABASE_URL"]
        await self.until(lambda: not self.answered(before=before) - set(query(url, _LOG)))


class SqliteTests(RestoreContract):
    """One process; its file is copied by ``csms-admin backup``."""

    def install(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)
        self.charger_port = free_port()
        self.settings = {
            "CSMS_BROKER_URL": "memory:",
            "CSMS_DATABASE_URL": f"sqlite:///{self.directory}/csms.db",
            "CSMS_GATEWAY_PORT": str(self.charger_port),
            **OPEN,
        }
        self.service = self.started("csms", self.settings)

    def started(self, name: str, settings: dict[str, str]) -> Service:
        service = Service("csms", self.directory, settings, name=name)
        self.addCleanup(service.clean_up)
        service.start()
        return service

    def back_up(self) -> str:
        copy = self.directory / "copy.db"
        done = admin(self.directory, self.settings, "backup", str(copy))
        self.assertEqual(done, {"file": str(copy), "bytes": copy.stat().st_size})
        self.assertEqual([path.name for path in self.directory.glob("copy*")], ["copy.db"])
        self.assertEqual(copy.stat().st_mode & 0o777, 0o600)
        (self.directory / "fresh").mkdir()
        shutil.copy(copy, self.directory / "fresh" / "csms.db")
        return f"sqlite:///{self.directory}/fresh/csms.db"

    def crash(self) -> None:
        self.service.end(signal.SIGKILL)

    def start_again(self, database_url: str) -> None:
        again = self.started("again", {**self.settings, "CSMS_DATABASE_URL": database_url})
        self.addCleanup(self.check_log, again)


class PostgresqlTests(RestoreContract):
    """Three processes on RabbitMQ and PostgreSQL: the database is older than what the broker holds."""

    def install(self) -> None:
        self.site = ScaledOut(self, OPEN)
        self.site.start()
        self.directory = self.site.directory
        self.settings = {**self.site.settings, "CSMS_DATABASE_URL": self.site.database_url}
        self.charger_port = self.site.gateway_port

    def back_up(self) -> str:
        dump = self.directory / "csms.dump"
        self.run_program("pg_dump", "--format=custom", f"--file={dump}", self.site.database_url)
        fresh = postgresql_url()
        self.addCleanup(drop_database, fresh)
        self.run_program("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={fresh}", str(dump))
        return fresh

    def run_program(self, name: str, *arguments: str) -> None:
        places = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
        program = find_program(name, places, "postgresql-client")
        done = subprocess.run([program, *arguments], capture_output=True, text=True, env=os.environ, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def crash(self) -> None:
        for worker in self.site.workers:
            worker.end(signal.SIGKILL)
        self.site.gateway.end(signal.SIGKILL)

    def start_again(self, database_url: str) -> None:
        settings = {**self.site.settings, "CSMS_DATABASE_URL": database_url}
        kinds = ("gateway", "worker")
        again = [Service(f"csms-{kind}", self.directory, settings, name=f"again-{kind}") for kind in kinds]
        for service in again:
            self.addCleanup(service.clean_up)
            self.addCleanup(self.check_log, service)
            service.launch()
        for service in again:
            service.wait_ready()


del RestoreContract
