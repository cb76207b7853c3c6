"""csms-admin as a process: exit codes, where errors go, where settings come from."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from tests.integration.processes import environment


class ProcessTests(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def admin(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "csms.admin", *words],
            cwd=self.directory,
            env=environment(settings),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_done_is_0_and_the_answer_is_on_standard_output(self) -> None:
        done = self.admin("charger", "add", "CP1", "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(json.loads(done.stdout)["deviceId"], "CP1")
        self.assertTrue((self.directory / "var" / "csms.db").exists())

    def test_not_done_is_1_and_the_reason_is_on_standard_error(self) -> None:
        done = self.admin("charger", "remove", "CP1")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, "csms-admin: there is no charger CP1\n")

    def test_wrong_settings_are_2(self) -> None:
        (self.directory / "tap.conf").write_text("[database]\nurl = oracle:x\n")
        done = self.admin("charger", "list")
        self.assertEqual(done.returncode, 2)
        self.assertIn("tap.conf, line 2: [database] url = 'oracle:x': must be something that begins", done.stderr)

    def test_wrong_arguments_are_2(self) -> None:
        self.assertEqual(self.admin("charger", "paint").returncode, 2)

    def test_not_reachable_is_3(self) -> None:
        done = self.admin("migrate", CSMS_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r"\Acsms-admin: the database cannot be used: .*\n\Z")

    def test_an_option_beats_the_environment(self) -> None:
        self.admin("--database-url=sqlite:///other.db", "migrate", CSMS_DATABASE_URL="sqlite:///one.db")
        self.assertTrue((self.directory / "other.db").exists())
        self.assertFalse((self.directory / "one.db").exists())

    def test_migrate_tells_of_each_step_and_check_changes_nothing(self) -> None:
        looked = self.admin("migrate", "--check")
        self.assertEqual((looked.returncode, looked.stdout), (1, ""))
        self.assertRegex(looked.stderr, r"the schema is empty, this version needs \d+; missing:\n  0001 ")
        self.assertFalse((self.directory / "var").exists())
        done = self.admin("migrate")
        steps = done.stderr.splitlines()
        missing = [line.strip() for line in looked.stderr.splitlines()[1:]]
        self.assertEqual([step.partition(" ")[2] for step in steps], missing)
        self.assertRegex(steps[0], rf"\A1/{len(steps)} 0001 ")
        self.assertRegex(done.stdout, r"\Athe database is up to date: \d+, was empty\n\Z")
        looked = self.admin("migrate", "--check", "--json")
        self.assertEqual((looked.returncode, looked.stderr, json.loads(looked.stdout)["missing"]), (0, "", []))
        again = self.admin("migrate")
        self.assertEqual((again.returncode, again.stderr), (0, ""))
