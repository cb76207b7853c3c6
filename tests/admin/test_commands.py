"""The commands of csms-admin against a database of its own."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from csms.admin.__main__ import run
from csms.admin.arguments import parser
from csms.admin.output import Answer, CommandError
from csms.config.settings import DatabaseSettings, Settings
from csms.domain.credentials import verify
from csms.domain.model import Charger
from csms.parts import make_database
from csms.ports import DatabaseError, DeadLetter, Message
from csms.storage.database import SqlDatabase
from csms.storage.dead_letters import StoredDeadLetters

GOOD = "correct-horse-battery-9"


class CommandCase(TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.settings = Settings(database=DatabaseSettings(url=f"sqlite:///{self.directory}/csms.db"))

    async def admin(self, *words: str) -> Answer:
        return await run(reactor, self.settings, parser().parse_args(words))

    async def refused(self, *words: str) -> str:
        try:
            answer = await self.admin(*words)
        except CommandError as error:
            return str(error)
        raise AssertionError(f"{words} answered {answer}")

    async def with_database(self, work: Any) -> Any:
        database: SqlDatabase = make_database(self.settings.database, reactor)
        await database.start()
        try:
            return await work(database)
        finally:
            await database.stop()

    async def charger(self, device_id: str) -> Charger:
        async def find(database: SqlDatabase) -> Charger | None:
            return await database.read(lambda uow: uow.chargers.by_device_id(device_id), name="find")

        found: Charger = await self.with_database(find)
        return found


class ChargerTests(CommandCase):
    async def test_add_makes_a_password_that_opens_the_door_and_is_not_stored(self) -> None:
        answer = await self.admin("charger", "add", "CP1")
        password = answer.data["password"]
        self.assertIn(password, answer.text)
        stored = (await self.charger("CP1")).password_hash
        self.assertTrue(verify(stored, password))
        self.assertNotIn(password, stored)

    async def test_add_takes_a_password_from_a_file_and_does_not_repeat_it(self) -> None:
        file = self.directory / "password"
        file.write_text(GOOD + "\n")
        answer = await self.admin("charger", "add", "CP1", "--password-file", str(file))
        self.assertNotIn(GOOD, answer.text + json.dumps(answer.data))
        self.assertTrue(verify((await self.charger("CP1")).password_hash, GOOD))

    async def test_a_weak_password_is_refused_with_the_reason(self) -> None:
        with patch("sys.stdin", StringIO("aaaaaaaaaaaaaaaaaaaa")):
            reason = await self.refused("charger", "add", "CP1", "--password-file", "-")
        self.assertEqual(reason, "the password in standard input is refused: it repeats itself: take a random one")

    async def test_a_missing_password_file_is_named(self) -> None:
        reason = await self.refused("charger", "add", "CP1", "--password-file", "/nowhere/x")
        self.assertEqual(reason, "cannot read /nowhere/x: No such file or directory")

    async def test_no_password_is_a_choice(self) -> None:
        answer = await self.admin("charger", "add", "CP1", "--no-password")
        self.assertNotIn("password", answer.data)
        self.assertEqual((await self.charger("CP1")).password_hash, "")

    async def test_add_twice_is_refused_and_changes_nothing(self) -> None:
        password = (await self.admin("charger", "add", "CP1")).data["password"]
        self.assertIn("CP1 is there already", await self.refused("charger", "add", "CP1"))
        self.assertTrue(verify((await self.charger("CP1")).password_hash, password))

    async def test_what_cannot_stand_in_a_url_is_no_device_id(self) -> None:
        for wrong in ("a/b", "a:b", "", " a", "x" * 49, "a\nb", ".."):
            self.assertIn("cannot be a deviceId", await self.refused("charger", "add", wrong))

    async def test_set_password_replaces_the_old_one(self) -> None:
        old = (await self.admin("charger", "add", "CP1")).data["password"]
        new = (await self.admin("charger", "set-password", "CP1")).data["password"]
        stored = (await self.charger("CP1")).password_hash
        self.assertTrue(verify(stored, new))
        self.assertFalse(verify(stored, old))

    async def test_unknown_chargers_are_named(self) -> None:
        self.assertEqual(await self.refused("charger", "set-password", "NO"), "there is no charger NO")
        self.assertEqual(await self.refused("charger", "remove", "NO"), "there is no charger NO")

    async def test_list_shows_who_is_there(self) -> None:
        self.assertIn("no chargers yet", (await self.admin("charger", "list")).text)
        await self.admin("charger", "add", "CP2")
        await self.admin("charger", "add", "CP1", "--no-password")
        answer = await self.admin("charger", "list")
        self.assertEqual([(row["deviceId"], row["password"]) for row in answer.data], [("CP1", False), ("CP2", True)])
        self.assertEqual(len(answer.text.splitlines()), 3)
        await self.admin("charger", "remove", "CP2")
        self.assertEqual(len((await self.admin("charger", "list")).data), 1)

    async def test_a_serial_number_is_bound_to_one_charger(self) -> None:
        for device_id in ("CP1", "CP2"):
            await self.admin("charger", "add", device_id)
        self.assertIn("has not told its serial number yet", await self.refused("charger", "bind", "CP1"))
        answer = await self.admin("charger", "bind", "CP1", "SN-1")
        self.assertEqual(answer.text, "the certificate of charger CP1 must name CN=SN-1")
        self.assertEqual(await self.refused("charger", "bind", "CP2", "SN-1"), "SN-1 is bound to charger CP1 already")
        await self.admin("charger", "bind", "CP1", "SN-1")
        await self.admin("charger", "unbind", "CP1")
        await self.admin("charger", "bind", "CP2", "SN-1")
        self.assertEqual((await self.charger("CP2")).certificate_name, "SN-1")
        self.assertEqual(await self.refused("charger", "bind", "NO", "SN-2"), "there is no charger NO")

    async def test_the_reported_serial_number_can_be_bound(self) -> None:
        async def add(database: SqlDatabase) -> None:
            reported = Charger(device_id="CP1", serial_number="SN-7")
            await database.transact(lambda uow: uow.chargers.add(reported), name="add")

        await self.with_database(add)
        await self.admin("charger", "bind", "CP1")
        self.assertEqual((await self.charger("CP1")).certificate_name, "SN-7")

    async def test_a_lower_profile_is_allowed_and_never_a_higher_one_demanded(self) -> None:
        async def add(database: SqlDatabase) -> None:
            await database.transact(
                lambda uow: uow.chargers.add(Charger(device_id="CP1", security_profile=3)), name="add"
            )

        await self.with_database(add)
        self.assertEqual((await self.admin("charger", "allow-profile", "CP1", "1")).data["leastSecurityProfile"], 1)
        self.assertEqual((await self.admin("charger", "allow-profile", "CP1", "3")).data["leastSecurityProfile"], 1)
        self.assertEqual((await self.charger("CP1")).security_profile, 1)

    async def test_a_password_of_the_operators_ends_every_rotation(self) -> None:
        async def add(database: SqlDatabase) -> None:
            under_way = Charger(device_id="CP1", next_passwords={"command": "hash"})
            await database.transact(lambda uow: uow.chargers.add(under_way), name="add")

        await self.with_database(add)
        await self.admin("charger", "set-password", "CP1")
        self.assertEqual((await self.charger("CP1")).next_passwords, {})

    async def test_what_chargers_say_of_themselves_cannot_reach_the_terminal(self) -> None:
        async def add(database: SqlDatabase) -> None:
            evil = Charger(device_id="CP1", vendor="\x1b[31mred\n")
            await database.transact(lambda uow: uow.chargers.add(evil), name="add")

        await self.with_database(add)
        text = (await self.admin("charger", "list")).text
        self.assertNotIn("\x1b", text)
        self.assertEqual(len(text.splitlines()), 2)


class TokenTests(CommandCase):
    async def test_add_block_unblock_and_list(self) -> None:
        await self.admin("token", "add", "04A2", "--expires", "2030-12-31", "--max-sessions", "1", "--note", "Ann")
        (row,) = (await self.admin("token", "list")).data
        self.assertEqual(row["expiresAt"], datetime(2030, 12, 31, tzinfo=UTC))
        self.assertEqual((row["blocked"], row["maxSessions"], row["note"]), (False, 1, "Ann"))
        await self.admin("token", "block", "04a2")
        self.assertTrue((await self.admin("token", "list")).data[0]["blocked"])
        await self.admin("token", "unblock", "04A2")
        self.assertFalse((await self.admin("token", "list")).data[0]["blocked"])

    async def test_a_token_is_one_whatever_its_case(self) -> None:
        await self.admin("token", "add", "04A2")
        self.assertEqual(await self.refused("token", "add", "04a2"), "token 04a2 is there already")

    async def test_wrong_input_is_named(self) -> None:
        self.assertIn(
            "--expires tomorrow: not a time", await self.refused("token", "add", "X", "--expires", "tomorrow")
        )
        self.assertEqual(await self.refused("token", "block", "NO"), "there is no token NO")
        self.assertIn("cannot be a token", await self.refused("token", "add", "x" * 256))


class DeadLetterTests(CommandCase):
    async def bury(self, *names: str) -> None:
        async def add(database: SqlDatabase) -> None:
            for name in names:
                message = Message(
                    body=b'{"a": "\x1b"}', message_id=name, type="StatusNotification", headers={"shard": 1}
                )
                letter = DeadLetter(
                    id=name,
                    message=message,
                    exchange="ocpp_exchange",
                    routing_key="ocpp.message.StatusNotification",
                    queue="ocpp_messages.1",
                    reason="ValueError: no",
                    died_at=datetime(2026, 1, 31, tzinfo=UTC),
                )
                await StoredDeadLetters(database).add(letter)

        await self.with_database(add)

    async def ids(self) -> list[str]:
        return [row["id"] for row in (await self.admin("dead-letter", "list")).data]

    async def test_list_and_show(self) -> None:
        self.assertEqual((await self.admin("dead-letter", "list")).text, "no dead letters")
        await self.bury("m1")
        (number,) = await self.ids()
        answer = await self.admin("dead-letter", "show", number)
        self.assertEqual(answer.data["reason"], "ValueError: no")
        self.assertEqual(answer.data["headers"], {"shard": 1})
        self.assertIn("routingKey: ocpp.message.StatusNotification", answer.text)
        self.assertNotIn("\x1b", answer.text)

    async def test_drop_forgets_the_named_ones_only(self) -> None:
        await self.bury("m1", "m2")
        first, second = await self.ids()
        answer = await self.admin("dead-letter", "drop", first)
        self.assertEqual(answer.text, "dropped 1 of 1")
        self.assertEqual(await self.ids(), [second])

    async def test_replay_of_all_hands_them_to_the_running_process(self) -> None:
        await self.bury("m1", "m2")
        self.assertEqual((await self.admin("dead-letter", "replay", "--all")).data, {"replayed": 2, "asked": 2})
        self.assertEqual(await self.ids(), [])

        async def waiting(database: SqlDatabase) -> int:
            return len(await StoredDeadLetters(database).to_replay(10))

        self.assertEqual(await self.with_database(waiting), 2)

    async def test_unknown_ids_are_refused(self) -> None:
        self.assertIn("no dead letter 7", await self.refused("dead-letter", "show", "7"))
        self.assertEqual(
            await self.refused("dead-letter", "drop", "7", "x"), "none of these is among the dead letters: 7 x"
        )
        self.assertEqual(await self.refused("dead-letter", "drop"), "name the ids of dead letters, or --all")


class OtherTests(CommandCase):
    async def test_migrate_makes_the_tables(self) -> None:
        self.assertRegex((await self.admin("migrate")).text, r"\Athe database is up to date: \d+, was empty\Z")
        self.assertTrue((self.directory / "csms.db").exists())

    async def test_a_sign_in_link_leads_to_the_public_url(self) -> None:
        http = dataclasses.replace(self.settings.http, public_url="https://csms.example")
        self.settings = dataclasses.replace(self.settings, http=http)
        answer = await self.admin("sign-in-link")
        self.assertRegex(answer.data["url"], r"^https://csms\.example/sign-in/[\w-]{20,}$")

    async def test_a_database_that_cannot_be_opened_is_said(self) -> None:
        database = DatabaseSettings(url="sqlite:////dev/null/csms.db")
        self.settings = dataclasses.replace(self.settings, database=database)
        with self.assertRaises(DatabaseError):
            await self.admin("charger", "list")

    def test_answers_for_scripts_are_json(self) -> None:
        answer = Answer("text", [{"at": datetime(2026, 1, 31, tzinfo=UTC)}])
        self.assertEqual(json.loads(answer.as_json()), [{"at": "2026-01-31T00:00:00+00:00"}])
