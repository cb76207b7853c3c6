"""Tokens in and out as files, and their groups."""

from __future__ import annotations

from io import BytesIO, TextIOWrapper
from typing import Any
from unittest.mock import patch

from csms.admin import token_files
from tests.admin.test_commands import CommandCase

GOOD = "token,group,maxSessions,note\nA,Fleet,2,Ann\nB,,,\n"


class FileTests(CommandCase):
    def file(self, text: str) -> str:
        path = self.directory / "tokens.csv"
        path.write_text(text, encoding="utf-8")
        return str(path)

    async def tokens(self) -> list[Any]:
        return [row["token"] for row in (await self.admin("token", "list")).data]

    async def test_an_import_adds_and_replaces(self) -> None:
        await self.admin("token", "add", "a", "--note", "old")
        answer = await self.admin("token", "import", self.file(GOOD))
        self.assertEqual(answer.text, "imported 2 tokens: 1 new, 1 replaced")
        rows = (await self.admin("token", "list")).data
        self.assertEqual(
            [(row["token"], row["note"], row["maxSessions"]) for row in rows], [("A", "Ann", 2), ("B", "", None)]
        )

    async def test_of_a_file_with_a_mistake_nothing_is_imported(self) -> None:
        reason = await self.refused("token", "import", self.file(GOOD + "C,,many,\n"))
        self.assertRegex(reason, r"tokens.csv: line 4, column maxSessions: 'many' .*; nothing was imported")
        self.assertEqual(await self.tokens(), [])

    async def test_a_dry_run_changes_nothing(self) -> None:
        answer = await self.admin("token", "import", "--dry-run", self.file(GOOD))
        self.assertEqual(answer.text, "would import 2 tokens: 2 new, 0 replaced")
        self.assertEqual(await self.tokens(), [])

    async def test_standard_input_can_be_imported(self) -> None:
        with patch("sys.stdin", TextIOWrapper(BytesIO(GOOD.encode()))):
            await self.admin("token", "import", "-")
        self.assertEqual(await self.tokens(), ["A", "B"])

    async def test_a_file_that_is_not_there_is_named(self) -> None:
        self.assertEqual(
            await self.refused("token", "import", "/nowhere/x"), "cannot read /nowhere/x: No such file or directory"
        )

    async def test_an_export_can_be_imported_again(self) -> None:
        await self.admin("token", "import", self.file(GOOD))
        out = self.directory / "out.csv"
        self.patch(token_files, "_PAGE", 1)
        answer = await self.admin("token", "export", "--out", str(out))
        self.assertEqual(answer.data["tokens"], 2)
        self.assertEqual(out.read_text().count("maxSessions"), 1)
        self.assertEqual([path.name for path in self.directory.glob("out.csv*")], ["out.csv"])
        again = await self.admin("token", "import", str(out))
        self.assertEqual(again.data, {"added": 0, "replaced": 2, "dryRun": False})
        self.assertEqual((await self.admin("token", "export")).text + "\n", out.read_text())

    async def test_a_place_that_cannot_be_written_is_named(self) -> None:
        self.assertIn("cannot write /nowhere/x", await self.refused("token", "export", "--out", "/nowhere/x"))


class GroupTests(CommandCase):
    async def test_a_group_is_added_listed_limited_and_removed(self) -> None:
        answer = await self.admin("group", "add", "Fleet", "--max-sessions", "3", "--note", "vans")
        self.assertEqual(answer.text, "added group Fleet, at most 3 sessions at once")
        self.assertIn("is there already", await self.refused("group", "add", "FLEET"))
        self.assertEqual((await self.admin("group", "set-limit", "fleet", "5")).data["maxSessions"], 5)
        rows = (await self.admin("group", "list")).data
        self.assertEqual(rows, [{"group": "Fleet", "maxSessions": 5, "note": "vans"}])
        await self.admin("group", "set-limit", "Fleet", "none")
        self.assertIsNone((await self.admin("group", "list")).data[0]["maxSessions"])
        await self.admin("group", "remove", "Fleet")
        self.assertEqual((await self.admin("group", "list")).data, [])

    async def test_unknown_groups_are_named(self) -> None:
        for words in (("set-limit", "X", "1"), ("remove", "X")):
            self.assertIn("there is no group X", await self.refused("group", *words))
        self.assertIn("cannot be a group", await self.refused("group", "add", " "))

    async def test_a_limit_is_a_positive_number_or_none(self) -> None:
        for wrong in ("0", "-1", "many"):
            with self.assertRaises(SystemExit), patch("sys.stderr"):
                await self.admin("group", "set-limit", "X", wrong)
