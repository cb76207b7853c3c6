"""The JSON that browsers send on /events, and what answers it. Pure.

Browser: ``{"action": "subscribe", "chargers": [deviceId ...] | null, "types": [...] | null}``,
``{"action": "resume", "id": "<last id seen>", "feed": "<feed of the connection on which it came>"}``. Server:
``welcome`` with its ``feed``, ``subscribed``, ``resumed`` (``missed``: how many events follow), ``reset`` (what was
missed is not known any more: load the state anew), ``lagged``, ``error``.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from csms.gateway.events import Filter

Word: TypeAlias = Annotated[str, msgspec.Meta(max_length=255)]
Words: TypeAlias = Annotated[list[Word], msgspec.Meta(max_length=2000)]


class Subscribe(msgspec.Struct, tag_field="action", tag="subscribe", forbid_unknown_fields=True):
    """Send only events of these chargers (by deviceId) and types from now on; null or left out: all."""

    chargers: Words | None = None
    types: Words | None = None

    def filter(self) -> Filter:
        """The same as a filter."""
        return Filter(
            chargers=None if self.chargers is None else frozenset(self.chargers),
            types=None if self.types is None else frozenset(self.types),
        )


class Resume(msgspec.Struct, tag_field="action", tag="resume", forbid_unknown_fields=True):
    """Send what came after the event ``id``, the last one that was seen on an earlier connection.

    ``feed``: what ``welcome`` said on that connection.
    """

    id: Word
    feed: Word = ""


class BadFrame(ValueError):  # noqa: N818 - it names the frame
    """The browser sent something else; the text says what is wrong with it."""


_decoder = msgspec.json.Decoder(Subscribe | Resume)


def read_frame(payload: bytes, is_binary: bool) -> Subscribe | Resume:
    """The request in a frame; raises :class:`BadFrame`."""
    if is_binary:
        raise BadFrame("frames are text")
    try:
        request: Subscribe | Resume = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrame(str(error)) from error
    return request


def _frame(event: str, **fields: Any) -> bytes:
    return msgspec.json.encode({"event": event, **fields})


SUBSCRIBED = _frame("subscribed")
RESET = _frame("reset")
LAGGED = _frame("lagged")


def welcome(feed: str) -> bytes:
    """``feed`` names this gateway's order of events."""
    return _frame("welcome", feed=feed)


def resumed(missed: int) -> bytes:
    """``missed`` events follow before anything new."""
    return _frame("resumed", missed=missed)


def error(reason: str) -> bytes:
    """The last frame was not understood."""
    return _frame("error", reason=reason)
