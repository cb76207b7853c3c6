"""tap.conf as it is shipped: a commented sample of every setting, and no other."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

from csms.config.descriptions import WEBHOOK, describe
from csms.config.loading import load
from csms.config.settings import Settings

SAMPLE = Path(__file__).parents[2] / "tap.conf"


def settings_of(text: str) -> Settings:
    def no_file(path: str) -> str:
        raise AssertionError(f"the sample names a secret file: {path}")

    return load({}, {}, text, "tap.conf", read_file=no_file, directory="")


class SampleTests(unittest.TestCase):
    def setUp(self) -> None:
        self.text = SAMPLE.read_text(encoding="utf-8")
        self.in_force = re.sub(r"(?m)^#(?=[\[\w])", "", self.text)

    def test_as_shipped_it_changes_nothing(self) -> None:
        self.assertEqual(settings_of(self.text), settings_of(""))

    def test_every_commented_line_is_the_default(self) -> None:
        settings = settings_of(self.in_force)
        for section in dict.fromkeys(setting.section for setting in describe() if setting.section != WEBHOOK):
            with self.subTest(section):
                self.assertEqual(getattr(settings, section), getattr(settings_of(""), section))

    def test_every_setting_is_in_its_section_in_the_order_of_the_settings(self) -> None:
        found: list[tuple[str, str]] = []
        section = ""
        for line in self.in_force.splitlines():
            if header := re.match(r"\[(\w+)", line):
                section = header[1]
            elif key := re.match(r"(\w+) =", line):
                found.append((section, key[1]))
        self.assertEqual(found, [(setting.section, setting.key) for setting in describe()])

    def test_every_setting_is_explained_by_the_words_of_the_settings(self) -> None:
        for setting in describe():
            with self.subTest(f"{setting.section}.{setting.key}"):
                self.assertIn(f"# {setting.help}\n#{setting.key} =".lower(), self.text.lower())

    def test_the_webhook_of_the_sample_is_complete(self) -> None:
        (webhook,) = settings_of(self.in_force).webhooks
        self.assertEqual(webhook.name, "billing")
        self.assertEqual(sum(setting.section == WEBHOOK for setting in describe()), 6)
