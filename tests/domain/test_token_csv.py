"""Tokens as CSV, there and back."""

from __future__ import annotations

import csv
import io
import unittest
from datetime import UTC, datetime

from csms.domain.model import IdToken
from csms.domain.token_csv import COLUMNS, TokenCsvError, read, write

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def tokens(text: str | bytes) -> list[IdToken]:
    raw = text.encode() if isinstance(text, str) else text
    return list(read(raw.splitlines(keepends=True), now=NOW))


class TokenCsvTests(unittest.TestCase):
    def test_what_was_written_reads_the_same(self) -> None:
        given = [
            IdToken(token="A", created_at=NOW),
            IdToken(
                token="B,1",
                type="ISO14443",
                blocked=True,
                expires_at=datetime(2030, 12, 31, 18, tzinfo=UTC),
                group="Fleet",
                max_sessions=2,
                note='Ann "the boss",\nsecond line ü',
                created_at=NOW,
            ),
        ]
        text = write(given[:1]) + write(given[1:], header=False)
        self.assertEqual(tokens(text), given)
        self.assertEqual(text.splitlines()[0], ",".join(COLUMNS))

    def test_no_spreadsheet_runs_what_was_written_and_it_reads_the_same(self) -> None:
        evil = ["=cmd()", "+1", "-1", "@x", "'=1", "''=1", "'x", "\uff1dcmd()", "a;=cmd()"]
        given = [IdToken(token=text, type=text[:20], group=text, note=text, created_at=NOW) for text in evil]
        text = write(given)
        self.assertEqual(tokens(text), given)
        for cell in csv.reader(io.StringIO(text)):
            self.assertNotRegex(cell[0], "^[=+@\uff1d-]")
        self.assertIn('"a;=cmd()"', text)

    def test_only_the_token_must_be_there_in_any_order_of_columns_and_bytes_of_a_spreadsheet(self) -> None:
        text = b"\xef\xbb\xbfnote,token,blocked\r\nx, A ,YES\r\n\r\n,B,\r\n"
        found = [(one.token, one.note, one.blocked) for one in tokens(text)]
        self.assertEqual(found, [("A", "x", True), ("B", "", False)])

    def test_a_time_without_a_zone_is_utc(self) -> None:
        (token,) = tokens("token,expiresAt\nA,2030-01-02\n")
        self.assertEqual(token.expires_at, datetime(2030, 1, 2, tzinfo=UTC))

    def test_mistakes_are_named_with_line_and_column(self) -> None:
        for text, told in (
            ("", "line 1, column token: it is missing"),
            ("type\nx\n", "line 1, column token: it is missing"),
            ("token,colour\n", "line 1, column colour: no such column; there are token, type"),
            ("token,token\n", "line 1, column token: it is there twice"),
            ("token\nA\nA,B\n", "line 3: 2 fields, where the header has 1"),
            ("token\nA\na\n", "line 3, column token: a stands in line 2 already"),
            ('token,note\nA,"x\ny"\nA,\n', "line 4, column token: A stands in line 2 already"),
            ("token,note\n,x\n", "line 2, column token: '' cannot be a token"),
            (f"token\n{'x' * 256}\n", "line 2, column token: .* cannot be a token"),
            ("token,blocked\nA,maybe\n", "line 2, column blocked: 'maybe' is neither true nor false"),
            ("token,expiresAt\nA,tomorrow\n", "line 2, column expiresAt: 'tomorrow' is not a time"),
            ("token,expiresAt\nA,0001-01-01T00:00:00+14:00\n", "line 2, column expiresAt"),
            ("token,maxSessions\nA,0\n", "line 2, column maxSessions: '0' is not a whole number from 1"),
            ("token,maxSessions\nA,99999999999\n", "line 2, column maxSessions"),
            (f"token,type\nA,{'x' * 21}\n", "line 2, column type: more than 20 characters"),
            ("token,note\nA,\0\n", "line 2"),
            ('token\n"A\n', "line 2"),
            (b"token\nA\n\xff\n", "line 3: it is not UTF-8"),
        ):
            with self.subTest(text), self.assertRaisesRegex(TokenCsvError, told):
                tokens(text)

    def test_it_is_read_as_it_comes(self) -> None:
        reading = read([b"token\n", b"A\n", b"\xff\n"], now=NOW)
        self.assertEqual(next(reading).token, "A")
        with self.assertRaises(TokenCsvError):
            next(reading)
