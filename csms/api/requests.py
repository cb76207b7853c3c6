"""HTTP requests as this site takes them: bounded bodies, no secrets in the log, and who is signed in."""

from __future__ import annotations

from http import HTTPStatus
from io import BytesIO
from typing import Any, AnyStr, cast
from weakref import WeakSet

import msgspec
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from csms import metrics
from csms.addresses import TrustedProxies
from csms.api.access import SignIn
from csms.api.problems import Problem, problem_headers, problem_view
from csms.domain.people import Principal

MAX_BODY_BYTES = 64 * 1024
IDLE_TIMEOUT_S = 60.0
REQUEST_TIMEOUT_S = 30.0
"""From a request's first byte to its last, however steadily they drip."""
MAX_WAITING = 1000
"""Connections without a request that is being answered. When more come, the oldest of these goes."""
MAX_ANSWERING = 1000
"""Connections with one; when there are as many, further ones are refused."""
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

    def getHeader(self, key: AnyStr) -> AnyStr | None:  # noqa: N802 - Twisted's name
        """A header's value; as text it may have held anything, where Twisted wants UTF-8 or raises."""
        if isinstance(key, bytes):
            return super().getHeader(key)
        value = super().getHeader(key.encode())
        return None if value is None else value.decode("utf-8", "replace")

    _body: BytesIO
    _too_long = False

    def gotLength(self, length: int | None) -> None:  # noqa: N802 - Twisted's name
        self.content = self._body = BytesIO()
        if length is not None and length > MAX_BODY_BYTES:
            self._refuse_length()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        if self._too_long:
            return
        if self._body.tell() + len(data) <= MAX_BODY_BYTES:
            self._body.write(data)
        else:
            self._refuse_length()

    def _refuse_length(self) -> None:
        self._too_long = True
        metrics.HTTP_CUT.labels("too_long").inc()
        problem = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes")
        body = msgspec.json.encode(problem_view(problem))
        told = problem_headers(problem) | {"Content-Length": str(len(body)), "Connection": "close"}
        headers = [*SECURITY_HEADERS.items(), *((name.encode(), value.encode()) for name, value in told.items())]
        self.channel.writeHeaders(b"HTTP/1.1", b"413", problem.status.phrase.encode(), headers)
        self.channel.write(body)
        self.channel.loseConnection()

    def process(self) -> None:
        if not self._too_long:
            cast(HttpChannel, self.channel).received_all()
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
        self._limit: IDelayedCall | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.channels.add(self)
        self._limit = self.callLater(REQUEST_TIMEOUT_S, self._late)
        self.site.arrived(self)

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self._expect_the_rest()

    def received_all(self) -> None:
        """A request is here, and will be answered."""
        self._unlimited()
        self.site.waiting.pop(self, None)
        self.site.answering.add(self)

    def requestDone(self, request: Request) -> None:  # noqa: N802
        self.site.answering.discard(self)
        self.site.waiting[self] = None
        super().requestDone(request)
        self._expect_the_rest()

    def _expect_the_rest(self) -> None:
        """A part of a request is here: the rest shall not take for ever."""
        if self._limit is None and self in self.site.waiting and (self.requests or self._buffer):
            self._limit = self.callLater(REQUEST_TIMEOUT_S, self._late)

    def cut(self, why: str) -> None:
        """End it at once."""
        self._unlimited()
        metrics.HTTP_CUT.labels(why).inc()
        if self.transport is not None:
            cast(ITCPTransport, self.transport).abortConnection()

    def _late(self) -> None:
        self.cut("slow")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._unlimited()
        super().connectionLost(reason)
        self.site.left(self)
        self.gone.callback(None)

    def _unlimited(self) -> None:
        limit, self._limit = self._limit, None
        if limit is not None and limit.active():
            limit.cancel()

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
        self.waiting: dict[HttpChannel, None] = {}
        """No request of theirs is being answered; the oldest first."""
        self.answering: WeakSet[HttpChannel] = WeakSet()

    def arrived(self, channel: HttpChannel) -> None:
        """A connection was accepted: one that says nothing never keeps out one that does."""
        self.waiting[channel] = None
        if len(self.answering) >= MAX_ANSWERING:
            channel.cut("too_many")
        elif len(self.waiting) > MAX_WAITING:
            oldest = next(iter(self.waiting))
            del self.waiting[oldest]
            oldest.cut("displaced")

    def left(self, channel: HttpChannel) -> None:
        """A connection is gone."""
        self.channels.discard(channel)
        self.answering.discard(channel)
        self.waiting.pop(channel, None)

    def log(self, request: Any) -> None:
        path = request.path.decode("ascii", "backslashreplace")
        if path.startswith("/sign-in/"):
            path = "/sign-in/..."
        _log.debug(
            "{method} {path} {status}",
            method=request.method.decode("ascii", "backslashreplace"),
            path=path,
            status=request.code,
        )

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
