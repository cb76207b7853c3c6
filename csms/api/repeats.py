"""Idempotency-Key: a POST that is sent again with the same key gets the first one's answer and has no second effect.

Kept for a day, in the database, so that another gateway knows it, too. What raises had no effect, and may be tried
again with its key; so an operation that has had one answers, be it with a problem. Answers with a secret in them are
not kept, and of requests with a password not even a hash is: such a repetition is told that it is one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus

from twisted.internet.defer import CancelledError

from csms.api.problems import Problem
from csms.domain.repositories import UnitOfWork
from csms.domain.repositories_kept_answers import UNDER_WAY, KeptAnswer
from csms.ports import Database

HEADER = "Idempotency-Key"
MAX_KEY = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An answer as it goes out."""

    status: HTTPStatus
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def digest(*parts: bytes) -> str:
    """A hash in which parts cannot run into each other."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(b"%d:" % len(part) + part)
    return hashed.hexdigest()


async def once(
    database: Database,
    *,
    key_hash: str,
    request_hash: str,
    now: datetime,
    secret: bool,
    act: Callable[[], Awaitable[Sent]],
) -> Sent:
    """What ``act`` answers, or answered before. Raises :class:`Problem` when the key belongs to something else."""
    mine = KeptAnswer(request_hash=request_hash, created_at=now)
    earlier = await database.transact(lambda uow: uow.kept_answers.begin(key_hash, mine), name="begin request")
    if earlier is not None:
        return _again(earlier, request_hash, secret=secret)
    try:
        sent = await act()
    except CancelledError:
        # Whoever asked has gone; what was begun may still take effect, so the key stays taken.
        raise
    except BaseException:
        await database.transact(lambda uow: uow.kept_answers.forget(key_hash), name="forget request")
        raise
    kept = KeptAnswer(
        request_hash=request_hash,
        created_at=now,
        status=sent.status,
        headers=sent.headers,
        body=b"" if secret else sent.body,
    )

    def finish(uow: UnitOfWork) -> None:
        uow.kept_answers.finish(key_hash, kept)

    await database.transact(finish, name="keep answer")
    return sent


def _again(earlier: KeptAnswer, request_hash: str, *, secret: bool) -> Sent:
    if earlier.request_hash != request_hash:
        detail = f"this {HEADER} was used for another request: every request needs its own"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    if earlier.status == UNDER_WAY:
        raise Problem(HTTPStatus.CONFLICT, f"a request with this {HEADER} is under way, or ended without an answer")
    if secret:
        raise Problem(HTTPStatus.CONFLICT, f"a request with this {HEADER} was done; its answer was shown once")
    return Sent(status=HTTPStatus(earlier.status), headers=dict(earlier.headers), body=earlier.body)
