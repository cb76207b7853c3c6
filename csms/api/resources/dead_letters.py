"""Messages that could not be handled.

They lie with the broker, outside of any transaction: what is done to them is written down just before it is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from csms.api.operations import Call, Operation
from csms.api.parameters import Body, Paged, Text
from csms.api.problems import Problem
from csms.api.resources.auditing import note
from csms.api.resources.reading import not_found
from csms.api.views import Page
from csms.domain.people import Role
from csms.ports import BrokerError, DeadLetter, DeadLetters

T = TypeVar("T")

LOOKED_AT = 1000
"""Of so many, the oldest, something can be shown."""


class LetterQuery(Paged, frozen=True):
    """A page of dead letters."""

    after: Text = ""


class Mended(Body, frozen=True):
    """``body`` replaces the message's own, null leaves it as it is."""

    body: str | None = None


class DeadLetterView(msgspec.Struct, rename="camel"):
    """A message that could not be handled, and why."""

    id: str
    died_at: datetime
    type: str
    queue: str
    exchange: str
    routing_key: str
    reason: str


class DeadLetterDetail(DeadLetterView, rename="camel"):
    """The same with what is in it; bytes that are no UTF-8 stand as ``\\xNN``."""

    body: str
    headers: dict[str, str | int]


async def list_letters(call: Call[LetterQuery, None]) -> Page[DeadLetterView]:
    """Oldest first."""
    found = await _done(call, lambda letters: letters.browse(LOOKED_AT))
    ids = [letter.id for letter in found]
    begin = ids.index(call.query.after) + 1 if call.query.after in ids else 0
    page = found[begin : begin + call.query.limit]
    more = begin + len(page) < len(found)
    return Page(items=[DeadLetterView(**_fields(letter)) for letter in page], next=page[-1].id if more else None)


async def get_letter(call: Call[Any, None]) -> DeadLetterDetail:
    """One of them."""
    letter = await _letter(call)
    message = letter.message
    headers = {name: value for name, value in message.headers.items() if not name.startswith("x-")}
    body = message.body.decode("utf-8", "backslashreplace")
    return DeadLetterDetail(**_fields(letter), body=body, headers=headers)


async def replay_letter(call: Call[Any, Mended]) -> None:
    """Sends it back to where it died, once the cause is mended, or the message."""
    letter = await _letter(call)
    body = None if call.body.body is None else call.body.body.encode()
    await _note(call, letter, mended=body is not None)
    if not await _done(call, lambda letters: letters.replay([letter.id], body)):
        raise not_found()


async def drop_letter(call: Call[Any, None]) -> None:
    """Forgets it for good."""
    letter = await _letter(call)
    await _note(call, letter, mended=False)
    if not await _done(call, lambda letters: letters.drop([letter.id])):
        raise not_found()


async def _letter(call: Call[Any, Any]) -> DeadLetter:
    for letter in await _done(call, lambda letters: letters.browse(LOOKED_AT)):
        if letter.id == call.path["letterId"]:
            return letter
    raise not_found()


async def _note(call: Call[Any, Any], letter: DeadLetter, *, mended: bool) -> None:
    before = {"type": letter.message.type, "queue": letter.queue, "reason": letter.reason}
    after = {"mended": True} if mended else None
    target = f"dead-letters/{letter.id}"
    await call.services.database.transact(lambda uow: note(call, uow, target, before=before, after=after), name="note")


async def _done(call: Call[Any, Any], act: Callable[[DeadLetters], Awaitable[T]]) -> T:
    letters = call.services.dead_letters()
    if letters is None:
        raise _unavailable("it is not there yet")
    try:
        return await act(letters)
    except BrokerError as error:
        raise _unavailable(str(error)) from None


def _unavailable(reason: str) -> Problem:
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"the broker cannot be used now: {reason}")


def _fields(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "died_at": letter.died_at,
        "type": letter.message.type,
        "queue": letter.queue,
        "exchange": letter.exchange,
        "routing_key": letter.routing_key,
        "reason": letter.reason,
    }


OPERATIONS = (
    Operation(
        name="listDeadLetters",
        method="GET",
        path="/api/v1/dead-letters",
        tag="dead letters",
        summary="Messages that could not be handled, oldest first",
        role=Role.ADMIN,
        run=list_letters,
        query=LetterQuery,
        answer=Page[DeadLetterView],
    ),
    Operation(
        name="getDeadLetter",
        method="GET",
        path="/api/v1/dead-letters/{letterId}",
        tag="dead letters",
        summary="One of them, with its body and the reason",
        role=Role.ADMIN,
        run=get_letter,
        answer=DeadLetterDetail,
    ),
    Operation(
        name="replayDeadLetter",
        method="POST",
        path="/api/v1/dead-letters/{letterId}/replay",
        tag="dead letters",
        summary="Send it back to where it died, with another body if it was mended",
        role=Role.ADMIN,
        run=replay_letter,
        body=Mended,
    ),
    Operation(
        name="dropDeadLetter",
        method="DELETE",
        path="/api/v1/dead-letters/{letterId}",
        tag="dead letters",
        summary="Forget it for good",
        role=Role.ADMIN,
        run=drop_letter,
    ),
)
