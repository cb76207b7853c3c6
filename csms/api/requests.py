"""HTTP requests as this site takes them: bounded bodies, no secrets in the log, and who is signed in."""

from __future__ import annotations

from io import BytesIO
from typing import Any, cast
from weakref import WeakSet

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from csms.addresses import TrustedProxies
from csms.api.access import SignIn
from csms.domain.people import Principal

MAX_BODY_BYTES = 64 * 1024
IDLE_TIMEOUT_S = 60.0
SECURITY_HEADERS = {
    b"Server": b"csms",
    b"Content-Security-Policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        b"connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        b"require-trusted-types-for 'script'"
    ),
    b"X-Content-Type-Options": b"nosniff",
    b"X-Frame-Options": b"DENY",
    b"Cross-Origin-Opener-Policy": b"same-origin",
    b"Cross-Origin-Resource-Policy": b"same-origin",
    # Not "no-referrer": browsers would send "Origin: null" with the sign-in form.
    b"Referrer-Policy": b"same-origin",
}

_log = Logger(namespace="csms.api")


class HttpRequest(Request):
    """A request; ``sign_in`` is set once somebody was let in."""

    sign_in: SignIn | None = None

    site: HttpSite

    @property
    def address(self) -> str:
        """From where it came."""
        peer = str(getattr(self.getClientAddress(), "host", ""))
        forwarded = self.requestHeaders.getRawHeaders("X-Forwarded-For")
        return self.site.proxies.client(peer, None if forwarded is None else ",".join(forwarded))

    @property
    def principal(self) -> Principal | None:
        """Who asks; None where nobody has to be signed in."""
        return None if self.sign_in is None else self.sign_in.principal

    _body: BytesIO
    _too_long = False

    def gotLength(self, _length: int | None) -> None:  # noqa: N802 - Twisted's name
        self.content = self._body = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        if self._too_long:
            return
        if self._body.tell() + len(data) <= MAX_BODY_BYTES:
            self._body.write(data)
            return
        self._too_long = True
        headers = [*SECURITY_HEADERS.items(), (b"Content-Length", b"0"), (b"Connection", b"close")]
        self.channel.writeHeaders(b"HTTP/1.1", b"413", b"Content Too Large", headers)
        self.channel.loseConnection()

    def process(self) -> None:
        if not self._too_long:
            super().process()

    def render(self, resrc: IResource) -> None:
        for name, value in SECURITY_HEADERS.items():
            self.setHeader(name, value)
        super().render(resrc)


class HttpChannel(HTTPChannel):
    """A connection, until it becomes a WebSocket; ``gone`` fires when it is lost before that."""

    site: HttpSite

    def __init__(self) -> None:
        super().__init__()
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.channels.add(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.site.channels.discard(self)
        self.gone.callback(None)

    def finish(self) -> None:
        """Close it, but let the request that is being answered have its answer."""
        if self.requests:
            self.persistent = False
        else:
            self.loseConnection()


class HttpSite(Site):
    """Speaks HTTP/1.1; logs requests without what stands in their URLs, as a sign-in link is a secret."""

    protocol = HttpChannel  # type: ignore[assignment]  # the base class means its own HTTP/2 switch
    noisy = False

    def __init__(self, resource: IResource, proxies: TrustedProxies) -> None:
        super().__init__(resource, requestFactory=HttpRequest, timeout=IDLE_TIMEOUT_S)
        self.proxies = proxies
        # Weak, because a connection that became a WebSocket never tells its channel of its end.
        self.channels: WeakSet[HttpChannel] = WeakSet()

    def log(self, request: Any) -> None:
        path = request.path.decode("ascii", "backslashreplace")
        if path.startswith("/sign-in/"):
            path = "/sign-in/..."
        _log.debug("{method} {path} {status}", method=request.method.decode(), path=path, status=request.code)

    async def finish(self, clock: IReactorTime, longest_s: float) -> None:
        """Close all connections, those with a request in hand after its answer, at the latest after ``longest_s``."""
        open_channels = [channel for channel in self.channels if channel.transport is not None]
        for channel in open_channels:
            channel.finish()
        gone = DeferredList([channel.gone for channel in open_channels])
        deadline = clock.callLater(longest_s, _abort, open_channels)
        await gone
        if deadline.active():
            deadline.cancel()


def _abort(channels: list[HttpChannel]) -> None:
    for channel in channels:
        if channel.transport is not None:
            cast(ITCPTransport, channel.transport).abortConnection()
