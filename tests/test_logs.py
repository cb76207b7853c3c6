"""Log lines: text and JSON, one id from socket to row, nothing that forges, nothing secret."""

from __future__ import annotations

import io
import json
import unittest
from typing import Any

from twisted.logger import LogEvent, LogLevel
from twisted.python.failure import Failure

from csms.logs import LateObserver, escape, format_json, format_text, observer


def event(text: str = "hello", **fields: Any) -> LogEvent:
    return {
        "log_time": 1_769_860_800.123,
        "log_level": LogLevel.info,
        "log_namespace": "csms.gateway",
        "log_format": text,
        **fields,
    }


def failed() -> Failure:
    return Failure(ValueError("bad\nnews"))


class JsonTests(unittest.TestCase):
    def line(self, *arguments: str, **fields: Any) -> dict[str, Any]:
        text = format_json(event(*arguments, **fields)) or ""
        self.assertEqual(text.count("\n"), 1)
        line: dict[str, Any] = json.loads(text)
        return line

    def test_a_line_has_time_level_namespace_and_message(self) -> None:
        self.assertEqual(
            self.line("charger {charger} is here", charger="CP1"),
            {
                "time": "2026-01-31T12:00:00.123Z",
                "level": "info",
                "namespace": "csms.gateway",
                "message": "charger CP1 is here",
                "charger": "CP1",
            },
        )

    def test_plain_fields_go_with_it_and_others_do_not(self) -> None:
        line = self.line(message_id="m1", connection_id="c1", count=3, share=0.5, ok=True, none=None, thing=object())
        self.assertEqual(
            {name: line.get(name) for name in ("message_id", "connection_id", "count", "share", "ok")},
            {"message_id": "m1", "connection_id": "c1", "count": 3, "share": 0.5, "ok": True},
        )
        self.assertIn("none", line)
        self.assertNotIn("thing", line)

    def test_fields_with_secret_names_are_left_out(self) -> None:
        line = self.line(password="hush", cookie="hush", Authorization="hush", webhook_secret="hush")
        self.assertNotIn("hush", json.dumps(line))

    def test_a_field_cannot_take_the_place_of_the_message(self) -> None:
        self.assertEqual(self.line("true", message="false", level="debug")["message"], "true")

    def test_numbers_that_json_does_not_have_become_text(self) -> None:
        self.assertEqual(self.line(a=float("inf"), b=float("nan"))["a"], "inf")

    def test_a_failure_brings_its_traceback(self) -> None:
        line = self.line("it broke", log_failure=failed())
        self.assertEqual(line["message"], "it broke")
        self.assertIn("ValueError", line["traceback"])

    def test_long_values_are_cut(self) -> None:
        self.assertLess(len(self.line("{raw}", raw="x" * 100_000)["message"]), 5000)

    def test_lone_surrogates_can_be_written(self) -> None:
        text = format_json(event("{name}", name="\ud800")) or ""
        text.encode("utf-8")

    def test_an_event_without_words_is_no_line(self) -> None:
        self.assertIsNone(format_json(event("")))
        self.assertIsNone(format_text(event("")))


class TextTests(unittest.TestCase):
    def test_a_line_for_people(self) -> None:
        self.assertEqual(format_text(event()), "2026-01-31T12:00:00.123Z info csms.gateway: hello\n")

    def test_nothing_that_a_charger_sends_begins_a_line_or_reaches_the_terminal(self) -> None:
        text = format_text(event("{name}", name="x\n2026 error csms: forged\r\x1b[31m\x00\u2028\x9b")) or ""
        self.assertEqual(text.count("\n"), 1)
        self.assertTrue(text[:-1].isprintable(), text)

    def test_a_traceback_follows_indented(self) -> None:
        lines = (format_text(event("it broke", log_failure=failed())) or "").splitlines()
        self.assertTrue(lines[0].endswith("it broke"))
        self.assertTrue(all(line.startswith("    ") for line in lines[1:]))

    def test_escape_leaves_text_alone(self) -> None:
        self.assertEqual(escape("Zürich 充电 ✓"), "Zürich 充电 ✓")


class ObserverTests(unittest.TestCase):
    def test_what_is_less_important_is_not_written(self) -> None:
        out = io.StringIO()
        observe: Any = observer(out, json_lines=False, level="warn")
        observe(event("quiet"))
        observe(event("loud", log_level=LogLevel.error))
        self.assertNotIn("quiet", out.getvalue())
        self.assertIn("loud", out.getvalue())

    def test_a_late_observer_is_made_by_the_first_event(self) -> None:
        made: list[list[LogEvent]] = []

        def make() -> Any:
            made.append([])
            return made[0].append

        late: Any = LateObserver(make)
        self.assertEqual(made, [])
        late(event("one"))
        late(event("two"))
        self.assertEqual([entry["log_format"] for entry in made[0]], ["one", "two"])
        self.assertEqual(len(made), 1)
