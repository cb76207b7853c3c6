"""Every change that csms-admin makes is in the log of changes."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from csms.admin.arguments import parser
from csms.admin.auditing import operating_user
from csms.config.settings import CertificateSettings
from csms.domain.people import AuditEntry
from csms.storage.database import SqlDatabase
from tests.admin.test_commands import GOOD, CommandCase
from tests.certificates import OPERATOR, csr

LOOKS = {
    "migrate",
    "declare",
    "sign-in-link",
    "charger list",
    "command list",
    "command show",
    "token list",
    "token export",
    "group list",
    "user list",
    "ca show",
    "ca list",
    "ca crl",
    "dead-letter list",
    "dead-letter show",
}
OUTSIDE = {"ca init", "ca server", "backup"}
"""They write files, and nothing into the database."""
ELSEWHERE = {"command send"}
"""The command itself says who sent it."""


class AuditingTest(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.settings = dataclasses.replace(
            self.settings,
            certificates=CertificateSettings(operator=OPERATOR, ca_directory=str(self.directory / "authority")),
        )

    async def test_every_command_that_changes_something_is_noted(self) -> None:
        password = self.file("password", GOOD)
        await self.admin("ca", "init")
        changes: list[tuple[str, ...]] = [
            ("charger", "add", "CP1"),
            ("charger", "set-password", "CP1"),
            ("charger", "bind", "CP1", "SN-1"),
            ("ca", "sign", self.file("csr.pem", csr("SN-1")), "CP1"),
            ("ca", "revoke", "SERIAL"),
            ("charger", "unbind", "CP1"),
            ("charger", "allow-profile", "CP1", "0"),
            ("charger", "remove", "CP1"),
            ("token", "add", "CARD"),
            ("token", "block", "CARD"),
            ("token", "unblock", "CARD"),
            ("token", "import", self.file("tokens.csv", "token\nOTHER\n")),
            ("group", "add", "fleet"),
            ("group", "set-limit", "fleet", "3"),
            ("group", "remove", "fleet"),
            ("user", "add", "ann", "--password-file", password),
            ("user", "set-password", "ann", "--password-file", password),
            ("user", "set-role", "ann", "admin"),
            ("user", "remove", "ann"),
            ("dead-letter", "replay", "12"),
            ("dead-letter", "drop", "12"),
            ("after-restore",),
        ]
        for words in changes:
            with self.subTest(words):
                before = len(await self.entries())
                await self.change(words)
                entries = await self.entries()
                self.assertEqual(len(entries), before + 1)
                self.assertEqual(entries[0].action, " ".join(words[:2]))
                self.assertEqual((entries[0].kind, entries[0].name), ("shell", operating_user()))
                self.assertNotIn(GOOD, entries[0].before + entries[0].after)
        noted = {" ".join(words[:2]) for words in changes}
        self.assertEqual(noted | LOOKS | OUTSIDE | ELSEWHERE, set(leaves(parser())))

    async def test_before_and_after_are_told(self) -> None:
        await self.admin("group", "add", "fleet", "--max-sessions", "2")
        await self.admin("group", "set-limit", "fleet", "none")
        changed, added = await self.entries()
        self.assertEqual((changed.target, added.target), ("token-groups/fleet", "token-groups/fleet"))
        self.assertEqual(json.loads(added.after), {"maxSessions": 2, "note": ""})
        self.assertEqual(
            (json.loads(changed.before), json.loads(changed.after)), ({"maxSessions": 2}, {"maxSessions": None})
        )

    async def test_what_was_refused_is_not_noted(self) -> None:
        await self.refused("charger", "remove", "CP1")
        await self.refused("token", "block", "CARD")
        await self.refused("group", "remove", "fleet")
        self.assertEqual(await self.entries(), [])

    async def change(self, words: tuple[str, ...]) -> None:
        if words == ("ca", "revoke", "SERIAL"):
            (certificate,) = (await self.admin("ca", "list")).data
            words = ("ca", "revoke", certificate["serialNumber"])
        if words[0] == "dead-letter":
            await self.refused(*words)
        else:
            await self.admin(*words)

    async def entries(self) -> list[AuditEntry]:
        async def find(database: SqlDatabase) -> Any:
            return await database.read(lambda uow: uow.audit.page(limit=500), name="find")

        return list(await self.with_database(find))

    def file(self, name: str, text: str) -> str:
        path = self.directory / name
        path.write_text(text)
        return str(path)


def leaves(of: argparse.ArgumentParser, prefix: str = "") -> Iterator[str]:
    """The commands of csms-admin, as they are written."""
    nested = [action for action in of._actions if isinstance(action, argparse._SubParsersAction)]
    if not nested:
        yield prefix
    for action in nested:
        for name, command in action.choices.items():
            yield from leaves(command, f"{prefix} {name}".strip())
