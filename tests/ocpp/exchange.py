"""Texts of a charger, and what a connection made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from csms.ocpp.events import Event, SendText

T = TypeVar("T")

AUTHORIZED_16 = {"idTagInfo": {"status": "Accepted"}}


def call(unique_id: str, action: str, payload: object = None) -> str:
    """A CALL as a charger writes it."""
    return json.dumps([2, unique_id, action, {} if payload is None else payload])


def authorize(unique_id: str, tag: str = "tag") -> str:
    """An Authorize of 1.6."""
    return call(unique_id, "Authorize", {"idTag": tag})


def sent(events: Sequence[Event]) -> list[list[Any]]:
    """The frames that are to be written to the socket."""
    return [json.loads(event.text) for event in events if isinstance(event, SendText)]


def of_kind(events: Sequence[Event], kind: type[T]) -> list[T]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def only(events: Sequence[Event], kind: type[T]) -> T:
    """The one event that there is."""
    assert len(events) == 1, events
    event = events[0]
    assert isinstance(event, kind), event
    return event
