"""Who may come in: one-time sign-in links lead to sessions, which a cookie names. The database has only hashes."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from csms.api.origins import own_url
from csms.config.settings import HttpSettings
from csms.domain.people import BUILT_IN_ADMIN, Principal
from csms.domain.repositories import UnitOfWork
from csms.ports import Database

SESSION_COOKIE = "csms_session"
TOKEN_BYTES = 32
LONGEST_TOKEN = 128
MAX_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class SignIn:
    """Somebody who is signed in. ``session`` is the hash of the cookie's value and names the sign-in."""

    session: str
    expires_at: datetime
    principal: Principal


def hash_of(token: str) -> str:
    """What is stored of a token. A plain hash is enough: nobody guesses 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


async def create_sign_in_link(database: Database, settings: HttpSettings, now: datetime) -> str:
    """A new URL that signs in whoever uses it first, before it expires."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    expires_at = now + timedelta(minutes=settings.sign_in_link_minutes)

    def add(uow: UnitOfWork) -> None:
        uow.web.add_link(hash_of(token), expires_at=expires_at)

    await database.transact(add, name="add sign-in link")
    return f"{own_url(settings)}/sign-in/{token}"


class TooBusy(Exception):  # noqa: N818 - it names the state
    """Too many use a sign-in link at once."""


class Access:
    """Signs in and out, and tells who is signed in."""

    def __init__(self, database: Database, settings: HttpSettings, now: Callable[[], datetime]) -> None:
        self._database = database
        self._lifetime = timedelta(hours=settings.session_hours)
        self._secure = own_url(settings).startswith("https://")
        self._now = now
        self._at_once = 0

    async def signed_in(self, token: str) -> SignIn | None:
        """Who has this cookie. Raises :class:`~csms.ports.DatabaseUnavailable`."""
        if not token or len(token) > LONGEST_TOKEN:
            return None
        return await self.still_signed_in(hash_of(token))

    async def still_signed_in(self, session: str) -> SignIn | None:
        """The sign-in of that name, unless it has ended."""

        def expiry(uow: UnitOfWork) -> datetime | None:
            return uow.web.session_expiry(session)

        expires_at = await self._database.read(expiry, name="check sign-in")
        if expires_at is None or expires_at <= self._now():
            return None
        return SignIn(session, expires_at, BUILT_IN_ADMIN)

    async def use_link(self, link_token: str) -> str | None:
        """Use a sign-in link up; the value of the new session's cookie, or None when the link is no good.

        Raises :class:`TooBusy`: anybody may ask, and must not keep the database from the chargers' messages.
        """
        if self._at_once >= MAX_AT_ONCE:
            raise TooBusy
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now = self._now()

        def sign_in(uow: UnitOfWork) -> bool:
            if not uow.web.use_link(hash_of(link_token), now=now):
                return False
            uow.web.add_session(hash_of(token), created_at=now, expires_at=now + self._lifetime)
            return True

        self._at_once += 1
        try:
            return token if await self._database.transact(sign_in, name="sign in") else None
        finally:
            self._at_once -= 1

    async def sign_out(self, sign_in: SignIn) -> None:
        """End a session for good."""

        def remove(uow: UnitOfWork) -> None:
            uow.web.remove_session(sign_in.session)

        await self._database.transact(remove, name="sign out")

    def cookie(self, token: str) -> str:
        """A Set-Cookie header's value that hands ``token`` to the browser, and to no script in it."""
        return self._cookie(token, int(self._lifetime.total_seconds()))

    def no_cookie(self) -> str:
        """A Set-Cookie header's value that takes the cookie away."""
        return self._cookie("", 0)

    def _cookie(self, value: str, max_age_s: int) -> str:
        secure = "; Secure" if self._secure else ""
        return f"{SESSION_COOKIE}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}"
