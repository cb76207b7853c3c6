"""What a command has to say, and how it is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from csms.logs import escape


class CommandError(Exception):
    """The command cannot be done; the text names the input and says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``text`` is for people; ``data`` is the same for scripts and consists of what JSON has, and of times."""

    text: str
    data: Any

    def as_json(self) -> str:
        """``data`` as JSON; times in ISO 8601."""
        return json.dumps(self.data, indent=2, default=_plain)


def table(rows: Sequence[Mapping[str, Any]], empty: str) -> Answer:
    """``rows`` in columns, or ``empty`` where there are none. All rows have the same keys."""
    if not rows:
        return Answer(empty, [])
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)
    return Answer("\n".join(lines), rows)


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    # Chargers send some of these values: nothing in them may reach the terminal's control sequences.
    return escape(str(value))


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no JSON")
