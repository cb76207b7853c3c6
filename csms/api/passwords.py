"""Passwords of people: argon2id, which is slow and needs memory on purpose; so in threads, and only a few at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.threads import deferToThreadPool

T = TypeVar("T")

AT_ONCE = 2
"""Each takes 64 MiB of memory and some 50 ms of a processor."""
MAX_WAITING = 20

_hasher = PasswordHasher()
NOBODYS = _hasher.hash("the hash that is tried for names that nobody has, so that these take as long")


class TooBusy(Exception):  # noqa: N818 - it names the state
    """Too many try to sign in at once."""


def hash_password(password: str) -> str:
    """What to store for ``password``; takes a while."""
    return _hasher.hash(password)


def verify(stored: str, password: str) -> bool:
    """Whether ``password`` is the one behind ``stored``; takes a while."""
    try:
        return _hasher.verify(stored, password)
    except (Argon2Error, InvalidHashError):
        return False


class Passwords:
    """The same in the threads of ``reactor``. Raises :class:`TooBusy` rather than to let many wait."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._turns = DeferredSemaphore(AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """See :func:`hash_password`."""
        return await self._run(hash_password, password)

    async def verify(self, stored: str, password: str) -> bool:
        """See :func:`verify`."""
        return await self._run(verify, stored, password)

    async def _run(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= MAX_WAITING:
            raise TooBusy
        self._waiting += 1
        try:
            await self._turns.acquire()
            try:
                pool = self._reactor.getThreadPool()
                result: T = await deferToThreadPool(self._reactor, pool, work, *arguments)
                return result
            finally:
                self._turns.release()
        finally:
            self._waiting -= 1
