"""What a line of the log looks like: text for people, or JSON with one object a line for machines.

Both escape control characters, so that nothing a charger or browser sends can forge a line or a terminal's escape
sequence. A JSON line has ``time`` (ISO 8601, UTC), ``level``, ``namespace``, ``message``, ``traceback`` after an
exception, and the event's own plain fields: ``charger``, ``message_id``, ``connection_id`` and the like, so that one id
leads from the socket to the row. Fields whose names smell of a secret are never written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
)
from twisted.python.failure import Failure
from zope.interface import implementer

_LEVELS = {"debug": LogLevel.debug, "info": LogLevel.info, "warn": LogLevel.warn, "error": LogLevel.error}
_SECRET = re.compile(r"password|secret|token_?hash|authorization|cookie|credential", re.IGNORECASE)
# C0, DEL, C1, and the separators that some viewers take for the end of a line.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MAX_VALUE_CHARACTERS = 4096
_PLAIN = (str, int, float, bool, type(None))


class Trail:
    """Whether every step of every message is logged, each with its ``message_id``, which is in its row, too.

    Only at the level debug: a line that nobody reads costs as much as the message itself, so it is not even made.
    """

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = False


TRAIL = Trail()


def observer(out: TextIO, *, json_lines: bool, level: str) -> ILogObserver:
    """An observer that writes to ``out`` what is of ``level`` (debug, info, warn, error) or more important."""
    formatter = format_json if json_lines else format_text
    wanted = LogLevelFilterPredicate(defaultLogLevel=_LEVELS[level])
    return FilteringLogObserver(FileLogObserver(out, formatter), [wanted])


@implementer(ILogObserver)
class LateObserver:
    """Makes the real observer at the first event, so that making this one opens nothing."""

    def __init__(self, make: Callable[[], ILogObserver]) -> None:
        self._make = make
        self._observer: ILogObserver | None = None

    def __call__(self, event: LogEvent) -> None:
        if self._observer is None:
            self._observer = self._make()
        self._observer(event)


def format_text(event: LogEvent) -> str | None:
    """``2026-01-31T12:00:00.123Z info csms.gateway: message``; a traceback follows, indented."""
    message = _message(event)
    traceback = _traceback(event)
    if not message and not traceback:
        return None
    line = f"{_time(event)} {_level(event)} {event.get('log_namespace', '-')}: {escape(message)}\n"
    return line + "".join(f"    {escape(part)}\n" for part in traceback.splitlines())


def format_json(event: LogEvent) -> str | None:
    """One JSON object and a newline."""
    message = _message(event)
    traceback = _traceback(event)
    if not message and not traceback:
        return None
    fields: dict[str, Any] = {
        name: _plain(value)
        for name, value in event.items()
        if not name.startswith("log_") and isinstance(value, _PLAIN) and not _SECRET.search(name)
    }
    # Fields of Twisted's old log events that say nothing.
    for name in ("format", "isError", "time", "system", "logLevel"):
        fields.pop(name, None)
    entry = {
        "time": _time(event),
        "level": _level(event),
        "namespace": event.get("log_namespace", "-"),
        "message": escape(message),
        **({"traceback": traceback} if traceback else {}),
    }
    return json.dumps(fields | entry, ensure_ascii=True) + "\n"


def escape(text: str) -> str:
    """``text`` without control characters: each is written as Python would write it in a string."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


def _message(event: LogEvent) -> str:
    return formatEvent(event)[:_MAX_VALUE_CHARACTERS]


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    return failure.getTraceback().rstrip() if isinstance(failure, Failure) else ""


def _time(event: LogEvent) -> str:
    moment = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _level(event: LogEvent) -> str:
    level = event.get("log_level")
    return str(level.name) if level is not None else "info"


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_MAX_VALUE_CHARACTERS]
    # Not JSON: infinity and "not a number".
    if isinstance(value, float) and value - value != 0:
        return str(value)
    return value
