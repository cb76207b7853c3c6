"""Behaviour of real chargers, replayed from files: ``quirks/*.json``.

A file names the quirk and holds ``steps`` (``wait_s``: let time pass; ``send``: an action with its ``payload``;
``repeat``: send again what was sent in the step of that number; ``answer``: what must come back, as far as it is given;
``save``: names for fields of the answer, used as "$name") and what must be known in the end: ``sessions``,
``samples`` (with the place of their session in that list, or 0), ``told``. The charger's clock starts at noon of
2026-06-01, UTC.
"""

from __future__ import annotations

import json
import unittest
from datetime import datetime
from pathlib import Path
from typing import Any

from csms.domain.handling import Policy
from csms.ocpp.versions import Version
from tests.domain.memory_unit import Unit
from tests.domain.station import Station

QUIRKS: dict[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text()) for file in sorted((Path(__file__).parent / "quirks").glob("*.json"))
}


def replay(case: unittest.TestCase, quirk: dict[str, Any], unit: Unit, device_id: str = "CP1") -> None:
    """Let a charger do what the file says, and check what came of it."""
    accepts = quirk.get("unknown_tokens") == "accept"
    policy = Policy(accept_unknown_tokens=accepts)
    station = Station(Version(quirk["version"]), policy=policy, unit=unit, device_id=device_id)
    for token in quirk.get("tokens", ["CARD"]):
        station.know(token)
    saved: dict[str, Any] = {}
    steps = quirk["steps"]
    for step in steps:
        station.wait(seconds=step.get("wait_s", 0))
        if "send" in step or "repeat" in step:
            said = steps[step["repeat"]] if "repeat" in step else step
            answer = station.send(said["send"], _filled(said["payload"], saved))
            saved |= {name: answer[field] for name, field in step.get("save", {}).items()}
            for field, expected in _filled(step.get("answer", {}), saved).items():
                case.assertEqual(answer.get(field), expected, f"{field} in the answer to {said['send']}")
    _check(case, station, quirk, {name: str(value) for name, value in saved.items()})


def _check(case: unittest.TestCase, station: Station, quirk: dict[str, Any], saved: dict[str, str]) -> None:
    sessions = station.sessions
    case.assertEqual(len(sessions), len(quirk["sessions"]), "number of sessions")
    for session, expected in zip(sessions, quirk["sessions"], strict=True):
        known = {field: _plain(getattr(session, field)) for field in expected}
        case.assertEqual(known, _filled(expected, saved))
    if "samples" in quirk:
        places = {session.id: number for number, session in enumerate(sessions, 1)}
        rows = [
            [places.get(one.session_id, 0), _plain(one.sampled_at), one.measurand, one.value] for one in station.samples
        ]
        case.assertEqual(rows, quirk["samples"])
    case.assertEqual(station.kinds(), quirk["told"])


def _plain(value: object) -> object:
    """A field of a record as it would stand in a quirk file."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return sorted(value) if isinstance(value, set | frozenset) else value


def _filled(value: Any, saved: dict[str, Any]) -> Any:
    """``value`` with every "$name" replaced."""
    if isinstance(value, str) and value.startswith("$"):
        return saved[value[1:]]
    if isinstance(value, dict):
        return {name: _filled(item, saved) for name, item in value.items()}
    return [_filled(item, saved) for item in value] if isinstance(value, list) else value
