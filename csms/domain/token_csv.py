"""Id tokens as CSV: UTF-8, a header row, commas; a line for each token.

==============  ==========================================================
token           the only column that must be there
type            as in OCPP 2.x, e.g. ISO14443
blocked         true or false; empty: false
expiresAt       ISO 8601, UTC where it names no zone; empty: never
group           empty: none
maxSessions     sessions at once; empty: any number
note            for people
==============  ==========================================================

Texts that a spreadsheet would run as formulas have an apostrophe before them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from csms.domain.model import IdToken
from csms.domain.repositories import UnitOfWork
from csms.domain.spreadsheets import neutral, original
from csms.domain.token_records import Stored

MAX_TOKEN_CHARS = 255
COLUMNS = ("token", "type", "blocked", "expiresAt", "group", "maxSessions", "note")
_MAX_SESSIONS = 2**31 - 1
_MAX_TYPE = 20
_MAX_TEXT = 1000
_TRUTH = {"": False, "false": False, "no": False, "0": False, "true": True, "yes": True, "1": True}


class TokenCsvError(ValueError):
    """The file cannot be taken; the text names line and column."""

    def __init__(self, line: int, column: str, reason: str) -> None:
        place = f"line {line}, column {column}" if column else f"line {line}"
        super().__init__(f"{place}: {reason}")


class DryRun(Exception):  # noqa: N818 - it undoes the transaction
    """Everything could be taken; ``stored`` is what would have come of it."""

    def __init__(self, stored: Stored) -> None:
        super().__init__()
        self.stored = stored


def take(uow: UnitOfWork, raw_lines: Iterable[bytes], *, now: datetime, dry_run: bool) -> Stored:
    """Write all tokens of a file, made at ``now``; those that are there already are replaced.

    Raises TokenCsvError or, after all is done, DryRun: either undoes the transaction.
    """
    stored = uow.id_tokens.put(read(raw_lines, now=now))
    if dry_run:
        raise DryRun(stored)
    return stored


def read(raw_lines: Iterable[bytes], *, now: datetime) -> Iterator[IdToken]:
    """The tokens in a file, one by one, made at ``now``. Raises TokenCsvError when it comes to the mistake."""
    reader = csv.reader(_decoded(raw_lines), strict=True)
    rows = _rows(reader)
    _, header = next(rows, (1, []))
    _check_header(header)
    seen: dict[str, int] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise TokenCsvError(line, "", f"{len(row)} fields, where the header has {len(header)}")
        token = _token(line, dict(zip(header, row, strict=True)), now)
        first = seen.setdefault(token.token.casefold(), line)
        if first != line:
            raise TokenCsvError(line, "token", f"{token.token} stands in line {first} already")
        yield token


def write(tokens: Iterable[IdToken], *, header: bool = True) -> str:
    """The lines of these tokens, after the header's if that is wanted."""
    text = io.StringIO()
    if header:
        csv.writer(text, lineterminator="\n").writerow(COLUMNS)
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for token in tokens:
        expires = "" if token.expires_at is None else token.expires_at.isoformat().replace("+00:00", "Z")
        blocked = "true" if token.blocked else "false"
        limit = "" if token.max_sessions is None else token.max_sessions
        texts = [neutral(text) for text in (token.token, token.type, token.group, token.note)]
        writer.writerow((texts[0], texts[1], blocked, expires, texts[2], limit, texts[3]))
    return text.getvalue()


def token_objection(text: str) -> str:
    """Why ``text`` cannot be a token; empty when it can."""
    if 1 <= len(text) <= MAX_TOKEN_CHARS and text.isprintable() and text == text.strip():
        return ""
    return f"{text[:MAX_TOKEN_CHARS]!r} cannot be a token: 1 to {MAX_TOKEN_CHARS} printable characters"


def _decoded(raw_lines: Iterable[bytes]) -> Iterator[str]:
    for number, raw in enumerate(raw_lines, start=1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise TokenCsvError(number, "", "it is not UTF-8") from None


def _rows(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each with the number of its first line."""
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TokenCsvError(line, "", str(error)) from None
        if any(field.strip() for field in row):
            yield line, row


def _check_header(header: list[str]) -> None:
    for name in header:
        if name not in COLUMNS:
            raise TokenCsvError(1, name[:100], f"no such column; there are {', '.join(COLUMNS)}")
        if header.count(name) > 1:
            raise TokenCsvError(1, name, "it is there twice")
    if "token" not in header:
        raise TokenCsvError(1, "token", "it is missing; the first line has the names of the columns")


def _token(line: int, fields: Mapping[str, str], now: datetime) -> IdToken:
    def field(column: str, convert: Callable[[str], Any]) -> Any:
        try:
            return convert(fields.get(column, "").strip())
        except ValueError as error:
            raise TokenCsvError(line, column, str(error)) from None

    return IdToken(
        token=field("token", _token_text),
        type=field("type", lambda text: _text(text, _MAX_TYPE)),
        blocked=field("blocked", _truth),
        expires_at=field("expiresAt", lambda text: moment(text) if text else None),
        group=field("group", lambda text: _text(text, MAX_TOKEN_CHARS)),
        max_sessions=field("maxSessions", _limit),
        note=field("note", lambda text: _text(text, _MAX_TEXT)),
        created_at=now,
    )


def _token_text(text: str) -> str:
    text = original(text)
    objection = token_objection(text)
    if objection:
        raise ValueError(objection)
    return text


def _text(text: str, limit: int) -> str:
    text = original(text)
    if len(text) > limit or "\0" in text:
        raise ValueError(f"more than {limit} characters, or a NUL")
    return text


def _truth(text: str) -> bool:
    try:
        return _TRUTH[text.lower()]
    except KeyError:
        raise ValueError(f"{text[:100]!r} is neither true nor false") from None


def _limit(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= _MAX_SESSIONS):
        raise ValueError(f"{text[:100]!r} is not a whole number from 1")
    return int(text)


def moment(text: str) -> datetime:
    """A time in ISO 8601; UTC where it names no zone. Raises ValueError."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:100]!r} is not a time like 2030-12-31 or 2030-12-31T18:00:00Z") from None
