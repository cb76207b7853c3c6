"""Who may come in: passwords and one-time links lead to sessions, which a cookie names; programs have API tokens.

Of cookies, links and API tokens the database has only hashes.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from csms.api.origins import is_https, own_url
from csms.api.passwords import NOBODYS, Passwords, TooBusy
from csms.api.tries import Tries
from csms.config.settings import HttpSettings
from csms.domain.people import (
    BUILT_IN_ADMIN,
    MAX_PASSWORD,
    AuditEntry,
    Entered,
    Principal,
    PrincipalKind,
    User,
    name_objection,
)
from csms.domain.repositories import UnitOfWork
from csms.ports import Database

SESSION_COOKIE = "csms_session"
SECURE_SESSION_COOKIE = "__Host-csms_session"
"""Its name by HTTPS: with this prefix browsers take it from this very host alone, not from others of its domain."""
TOKEN_BYTES = 32
LONGEST_TOKEN = 128
MAX_AT_ONCE = 4
API_TOKEN = "csms_"
"""What API tokens begin with, so that programs which look for leaked secrets know them."""
_BY_TOKEN = "token:"
"""What the names of those begin with who came by an API token."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """Somebody who was let in. ``session`` names the sign-in: made from the hash of the cookie or the API token."""

    session: str
    expires_at: datetime
    principal: Principal
    user_id: int = 0


class Throttled(Exception):  # noqa: N818 - it names the state
    """Too many wrong passwords; ``wait_s`` seconds more."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"wait {wait_s:.0f} s")
        self.wait_s = wait_s


def hash_of(token: str) -> str:
    """What is stored of a token. A plain hash is enough: nobody guesses 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_api_token() -> str:
    """A secret for a program."""
    return API_TOKEN + secrets.token_urlsafe(TOKEN_BYTES)


def name_by_token(token_hash: str) -> str:
    """What a sign-in by the API token of that hash is called."""
    return _BY_TOKEN + token_hash


async def create_sign_in_link(database: Database, settings: HttpSettings, now: datetime) -> str:
    """A new URL that signs in whoever uses it first, before it expires."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    expires_at = now + timedelta(minutes=settings.sign_in_link_minutes)

    def add(uow: UnitOfWork) -> None:
        uow.web.add_link(hash_of(token), expires_at=expires_at)

    await database.transact(add, name="add sign-in link")
    return f"{own_url(settings)}/sign-in/{token}"


class Access:
    """Signs in and out, and tells who is signed in."""

    def __init__(
        self, database: Database, settings: HttpSettings, now: Callable[[], datetime], passwords: Passwords
    ) -> None:
        self._database = database
        self._lifetime = timedelta(hours=settings.session_hours)
        self._secure = is_https(settings)
        self.cookie_name = SECURE_SESSION_COOKIE if self._secure else SESSION_COOKIE
        self._now = now
        self._passwords = passwords
        self._tries = Tries()
        self._at_once = 0

    async def signed_in(self, cookie: str) -> SignIn | None:
        """Who has this cookie. Raises :class:`~csms.ports.DatabaseUnavailable`."""
        if not cookie or len(cookie) > LONGEST_TOKEN:
            return None
        return await self.still_signed_in(hash_of(cookie))

    async def bearer(self, token: str) -> SignIn | None:
        """Who has this API token. Raises :class:`~csms.ports.DatabaseUnavailable`."""
        if not token.startswith(API_TOKEN) or len(token) > LONGEST_TOKEN:
            return None
        return await self.still_signed_in(name_by_token(hash_of(token)))

    async def still_signed_in(self, session: str) -> SignIn | None:
        """The sign-in of that name, unless it has ended."""

        def look(uow: UnitOfWork) -> Entered | None:
            if session.startswith(_BY_TOKEN):
                return uow.people.entered_by_token(session.removeprefix(_BY_TOKEN))
            return uow.people.entered(session)

        entered = await self._database.read(look, name="check sign-in")
        if entered is None or entered.expires_at <= self._now():
            return None
        return SignIn(session, entered.expires_at, entered.principal, entered.user_id)

    async def use_link(self, link_token: str, address: str) -> str | None:
        """Use a sign-in link up; the value of the new session's cookie, or None when the link is no good.

        Raises :class:`TooBusy`: anybody may ask, and must not keep the database from the chargers' messages.
        """
        now = self._now()

        def sign_in(uow: UnitOfWork, token: str) -> bool:
            if not uow.web.use_link(hash_of(link_token), now=now):
                return False
            self._open(uow, token, BUILT_IN_ADMIN, 0, address)
            return True

        return await self._turn(sign_in)

    async def use_password(self, name: str, password: str, address: str) -> str | None:
        """The value of the new session's cookie, or None when name or password are wrong.

        Raises :class:`TooBusy` and :class:`Throttled`.
        """
        if name_objection(name) or not 0 < len(password) <= MAX_PASSWORD:
            return None
        seconds = self._now().timestamp()
        wait_s = self._tries.blocked_for_s(name, address, seconds)
        if wait_s > 0:
            raise Throttled(wait_s)
        # Counted before it is known, so that tries at the same time count, too.
        self._tries.failed(name, address, seconds)
        try:
            cookie = await self._checked(name, password, address)
        except BaseException:
            self._tries.take_back(name, address)
            raise
        if cookie is not None:
            self._tries.succeeded(name, address)
        return cookie

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

    async def _checked(self, name: str, password: str, address: str) -> str | None:
        user = await self._database.read(lambda uow: uow.people.user(name), name="find user")
        right = await self._passwords.verify(user.password_hash if user else NOBODYS, password)
        if user is None or not right:
            return None
        return await self._turn(lambda uow, token: self._enter(uow, token, user, address))

    async def _turn(self, sign_in: Callable[[UnitOfWork, str], bool]) -> str | None:
        """The cookie's value when ``sign_in`` has let somebody in with it."""
        if self._at_once >= MAX_AT_ONCE:
            raise TooBusy
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._at_once += 1
        try:
            return token if await self._database.transact(lambda uow: sign_in(uow, token), name="sign in") else None
        finally:
            self._at_once -= 1

    def _enter(self, uow: UnitOfWork, token: str, user: User, address: str) -> bool:
        now_there = uow.people.user(user.name)
        if now_there is None or now_there.password_hash != user.password_hash:
            return False
        principal = Principal(kind=PrincipalKind.SESSION, name=now_there.name, role=now_there.role)
        self._open(uow, token, principal, now_there.id, address)
        return True

    def _open(self, uow: UnitOfWork, token: str, principal: Principal, user_id: int, address: str) -> None:
        now = self._now()
        uow.web.add_session(hash_of(token), created_at=now, expires_at=now + self._lifetime, user_id=user_id)
        uow.audit.add(
            AuditEntry(
                at=now,
                kind=principal.kind,
                name=principal.name,
                address=address,
                action="signIn",
                target=f"users/{principal.name}",
            )
        )

    def _cookie(self, value: str, max_age_s: int) -> str:
        secure = "; Secure" if self._secure else ""
        return f"{self.cookie_name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}"
