"""Texts in CSV files that people open with a spreadsheet, which takes some of them for formulas and runs them.

An apostrophe before such a text makes it a text; what has one already gets one more, so that nothing is lost.
"""

from __future__ import annotations

import re

# Also the wide forms, which some spreadsheets take for the same.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff0b\uff0d\uff1d\uff20]")


def neutral(text: str) -> str:
    """``text``, as no spreadsheet runs it."""
    return "'" + text if _FORMULA.match(text) else text


def original(text: str) -> str:
    """The text that :func:`neutral` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
