"""Listings as CSV (RFC 4180), for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from csms.domain.spreadsheets import neutral

CSV = "text/csv"


def csv_of(kind: type[msgspec.Struct], rows: Iterable[Mapping[str, Any]], *, without: Sequence[str] = ()) -> bytes:
    """``rows``, which are what :func:`msgspec.to_builtins` makes of ``kind``; its fields are the columns.

    Texts that a spreadsheet would take for a formula get an apostrophe before them: chargers choose some of them. All
    texts are in quotation marks, because some spreadsheets end a cell at semicolons, too.
    """
    columns = [field.encode_name for field in msgspec.structs.fields(kind) if field.encode_name not in without]
    text = io.StringIO()
    csv.writer(text).writerow(columns)
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        value = " ".join(value)
    return neutral(value) if isinstance(value, str) else value
