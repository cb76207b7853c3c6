"""Behaviour of real chargers, replayed from files: ``quirks/*.json``.

A file names the quirk and holds ``steps`` (``wait_s``: let time pass; ``send``: an action with its ``payload``;
``repeat``: send again what was sent in the step of that number; ``answer``: what must come back, as far as it is given;
``save``: names for fields of the answer, used as "$name") and what must be known in the end: ``sessions``,
``samples``, ``told``.
The charger's clock starts at noon of 2026-06-01, UTC.
"""

from __future__ import annotations

import json
import unittest
from datetime import datetime
from pathlib import Path
from typing import Any

from csms.domain.handling import Policy
from csms.ocpp.versions import Version
from tests.domain.station import Station

FILES = sorted((Path(__file__).parent / "quirks").glob("*.json"))


def plain(value: object) -> object:
    """A field of a record as it would stand in a quirk file."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return sorted(value) if isinstance(value, set | frozenset) else value


def filled(value: Any, saved: dict[str, Any]) -> Any:
    """``value`` with every "$name" replaced."""
    if isinstance(value, str) and value.startswith("$"):
        return saved[value[1:]]
    if isinstance(value, dict):
        return {name: filled(item, saved) for name, item in value.items()}
    return [filled(item, saved) for item in value] if isinstance(value, list) else value


class Quirks(unittest.TestCase):
    def test_there_is_a_file_for_each_quirk_of_transactions(self) -> None:
        self.assertEqual(
            {json.loads(file.read_text())["quirk"] for file in FILES}, {f"Q{number}" for number in range(1, 12)}
        )

    def test_each_quirk_has_its_defined_outcome(self) -> None:
        for file in FILES:
            with self.subTest(quirk=file.stem):
                self._replay(json.loads(file.read_text()))

    def _replay(self, quirk: dict[str, Any]) -> None:
        accepts = quirk.get("unknown_tokens") == "accept"
        station = Station(Version(quirk["version"]), policy=Policy(accept_unknown_tokens=accepts))
        for token in quirk.get("tokens", ["CARD"]):
            station.know(token)
        saved: dict[str, Any] = {}
        steps = quirk["steps"]
        for step in steps:
            station.wait(seconds=step.get("wait_s", 0))
            if "send" in step or "repeat" in step:
                said = steps[step["repeat"]] if "repeat" in step else step
                answer = station.send(said["send"], filled(said["payload"], saved))
                saved |= {name: answer[field] for name, field in step.get("save", {}).items()}
                for field, expected in filled(step.get("answer", {}), saved).items():
                    self.assertEqual(answer.get(field), expected, f"{field} in the answer to {said['send']}")
        self._check(station, quirk, saved)

    def _check(self, station: Station, quirk: dict[str, Any], saved: dict[str, Any]) -> None:
        self.assertEqual(len(station.sessions), len(quirk["sessions"]), "number of sessions")
        for session, expected in zip(station.sessions, quirk["sessions"], strict=True):
            known = {field: plain(getattr(session, field)) for field in expected}
            if isinstance(expected.get("transaction_id"), str):
                known["transaction_id"] = str(known["transaction_id"])
            wanted = {name: filled(value, saved) for name, value in expected.items()}
            if "transaction_id" in wanted and wanted["transaction_id"] is not None:
                wanted["transaction_id"] = str(wanted["transaction_id"])
            self.assertEqual(known, wanted)
        if "samples" in quirk:
            fields = ("session_id", "sampled_at", "measurand", "value")
            rows = [[plain(getattr(sample, field)) for field in fields] for sample in station.samples]
            self.assertEqual(rows, quirk["samples"])
        self.assertEqual(station.kinds(), quirk["told"])
