"""The HTTP service of a process: built from its parts, started and stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IReactorTCP, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.resource import IResource

from csms.addresses import TrustedProxies
from csms.api.access import Access
from csms.api.application import Application
from csms.api.command_waits import CommandWaits, Happenings
from csms.api.console import BUILT_CONSOLE, Console
from csms.api.health import Readiness, add_routes
from csms.api.origins import Origins, is_https
from csms.api.passwords import Passwords
from csms.api.requests import HttpSite
from csms.api.routes import build_app
from csms.api.services import Services
from csms.api.site import BrowserEvents, Gate
from csms.config.settings import HttpSettings, WebhookSettings
from csms.coroutines import spawn
from csms.domain.repositories import OutboxRow
from csms.ports import Database, DatabaseError, DeadLetters
from csms.sockets import listen

SIGN_IN_CHECK_S = 30.0
FINISH_S = 2.0
"""How long a stop waits for requests that are being answered."""

_log = Logger(namespace="csms.api")


class IReactor(IReactorTCP, IReactorTime):
    """What the services need of the reactor."""


class HttpListener:
    """A site on a port. ``port`` is the one in use once it was started, which matters when it was 0."""

    def __init__(
        self, root: IResource, *, listen: str, port: int, reactor: IReactor, trusted_proxies: str = ""
    ) -> None:
        self.site = HttpSite(root, TrustedProxies(trusted_proxies))
        self.port = port
        self._listen = listen
        self._reactor = reactor
        self._listening: IListeningPort | None = None

    async def start(self) -> None:
        """Listen. Raises :class:`twisted.internet.error.CannotListenError`."""
        site: Any = self.site  # its channels speak HTTP/1.1 only, which Twisted's types do not foresee
        self._listening = listen(self._reactor, self.port, site, interface=self._listen)
        self.port = getattr(self._listening.getHost(), "port", self.port)

    async def stop(self) -> None:
        """Take no more connections, finish the requests in hand, close."""
        listening, self._listening = self._listening, None
        if listening is not None:
            await stopped(listening)
            await self.site.finish(self._reactor, FINISH_S)


class HttpService:
    """Console, sign-in, REST, /events, health and metrics, for a process with a gateway."""

    def __init__(
        self,
        settings: HttpSettings,
        *,
        database: Database,
        events: BrowserEvents,
        happenings: Happenings,
        publish: Callable[[Sequence[OutboxRow]], None],
        dead_letters: Callable[[], DeadLetters | None],
        webhooks: Sequence[WebhookSettings],
        readiness: Readiness,
        reactor: IReactor,
        now: Callable[[], datetime],
        console: Path = BUILT_CONSOLE,
    ) -> None:
        self._events = events
        self._reactor = reactor
        passwords = Passwords(reactor)
        self._access = Access(database, settings, now, passwords)
        services = Services(
            database=database,
            access=self._access,
            passwords=passwords,
            now=now,
            signed_out=events.sign_out,
            dead_letters=dead_letters,
            webhooks=webhooks,
            publish=publish,
            waits=CommandWaits(happenings, reactor),
        )
        self.app = build_app(services, console=Console(console), readiness=readiness)
        gate = Gate(
            routes=self.app.resource(),
            events=events,
            access=self._access,
            origins=Origins(settings),
            metrics_need_sign_in=settings.metrics_need_sign_in,
            https=is_https(settings),
        )
        self._listener = HttpListener(
            gate,
            listen=settings.listen,
            port=settings.port,
            reactor=reactor,
            trusted_proxies=settings.trusted_proxies,
        )
        self._checks = LoopingCall(self._check_sign_ins)
        self._checks.clock = reactor

    @property
    def port(self) -> int:
        """The port in use."""
        return self._listener.port

    @property
    def site(self) -> HttpSite:
        """What answers."""
        return self._listener.site

    async def start(self) -> None:
        """Listen. Raises :class:`twisted.internet.error.CannotListenError`."""
        await self._listener.start()
        self._checks.start(SIGN_IN_CHECK_S, now=False)

    async def stop(self) -> None:
        """Close the browsers with 1001, finish the requests in hand, close."""
        if self._checks.running:
            self._checks.stop()
        await self._events.close()
        await self._listener.stop()

    def _check_sign_ins(self) -> Deferred[None]:
        return spawn(self._close_signed_out(), "check of sign-ins")

    async def _close_signed_out(self) -> None:
        """Who signs out at one gateway has browsers at others, too."""
        try:
            for session in tuple(self._events.sessions()):
                if await self._access.still_signed_in(session) is None:
                    self._events.sign_out(session)
        except DatabaseError as error:
            _log.warn("sign-ins cannot be checked now: {reason}", reason=str(error))


class HealthService:
    """Only /health and /metrics, for a process without browsers. Meant for loopback: nobody signs in."""

    def __init__(self, port: int, *, readiness: Readiness, reactor: IReactor, listen: str = "127.0.0.1") -> None:
        app = Application()
        add_routes(app, readiness)
        self._listener = HttpListener(app.resource(), listen=listen, port=port, reactor=reactor)

    @property
    def port(self) -> int:
        """The port in use."""
        return self._listener.port

    async def start(self) -> None:
        """Listen. Raises :class:`twisted.internet.error.CannotListenError`."""
        await self._listener.start()

    async def stop(self) -> None:
        """Finish the requests in hand, close."""
        await self._listener.stop()


async def stopped(listening: IListeningPort) -> None:
    """Stop listening, which is done at once or later."""
    stopping = listening.stopListening()
    if stopping is not None:
        await stopping
