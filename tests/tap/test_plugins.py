"""What ``twistd`` shows of csms, and how it refuses wrong settings."""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from tests.integration.processes import ROOT, TWISTD, environment

SERVICES = ("csms", "csms-gateway", "csms-worker", "csms-simulator")
PLUGINS = ROOT / "twisted" / "plugins" / "csms_services.py"


class PluginTests(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def twistd(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*TWISTD, *arguments],
            cwd=self.directory,
            env=environment(settings),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_twistd_lists_every_service(self) -> None:
        shown = self.twistd("--help").stdout
        for service in SERVICES:
            self.assertRegex(shown, rf"(?m)^    {service} +[A-Z]")

    def test_the_plugin_file_imports_nothing_but_the_service_maker(self) -> None:
        tree = ast.parse(PLUGINS.read_text())
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        self.assertEqual(
            [ast.unparse(node) for node in imports], ["from twisted.application.service import ServiceMaker"]
        )
        self.assertEqual(list(PLUGINS.parent.glob("__init__.py")), [])

    def test_every_service_explains_itself(self) -> None:
        for service in SERVICES:
            with self.subTest(service):
                shown = self.twistd(service, "--help").stdout
                self.assertIn(f"twistd -n {service}", shown)
                self.assertIn("-c, --config=FILE", shown)
                self.assertIn("[log] what is written about it all:", shown)

    def test_help_shows_the_settings_of_the_service_and_no_other(self) -> None:
        shown = self.twistd("csms-simulator", "--help").stdout
        self.assertIn("--simulator-chargers=10", shown)
        self.assertNotIn("--gateway-port", shown)

    def test_a_wrong_tap_conf_names_the_line(self) -> None:
        (self.directory / "tap.conf").write_text("[gateway]\nprot = 9001\n")
        done = self.twistd("csms")
        self.assertEqual(done.returncode, 1)
        self.assertIn("tap.conf, line 2: unknown key prot in [gateway]; did you mean port?", done.stdout)
        self.assertNotIn("--gateway-port", done.stdout)

    def test_a_file_that_was_named_must_exist(self) -> None:
        done = self.twistd("csms", "-c", "other.conf")
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot read other.conf: No such file or directory", done.stdout)

    def test_the_file_can_be_named_by_the_environment(self) -> None:
        (self.directory / "other.conf").write_text("[broker]\nurl = kafka:\n")
        done = self.twistd("csms", CSMS_CONFIG="other.conf")
        self.assertIn("other.conf, line 2: [broker] url = 'kafka:': must be something that begins with", done.stdout)

    def test_a_gateway_alone_needs_a_broker_outside(self) -> None:
        for service in ("csms-gateway", "csms-worker"):
            done = self.twistd(service)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"{service} needs a RabbitMQ: set broker.url", done.stdout)

    def test_another_reactor_can_be_chosen(self) -> None:
        done = self.twistd("--reactor=poll", "csms", "--help")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr, "")


class AdminHelpTests(unittest.TestCase):
    def test_the_command_line_explains_itself(self) -> None:
        command = [sys.executable, "-m", "csms.admin", "--help"]
        done = subprocess.run(command, env=environment({}), capture_output=True, text=True, timeout=60, check=True)
        for word in ("migrate", "charger", "token", "dead-letter", "sign-in-link", "examples:", "exit codes:"):
            self.assertIn(word, done.stdout)
