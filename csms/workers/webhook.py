"""One webhook target: a signed POST of a notification, and what its answer means.

The request: JSON as on the broker, and the headers ``X-Csms-Event-Id``, ``X-Csms-Event-Type`` and
``X-Csms-Signature: t=<Unix seconds>,v1=<hex>``, where ``hex`` is HMAC-SHA256 (RFC 2104) with the target's secret over
``<Unix seconds>.<body>``. A receiver computes the same, compares in constant time, and refuses old ``t``. Without a
secret there is no signature header.

The answer: 2xx is delivered. 408, 425, 429 and 5xx, a timeout or no connection may pass: they are tried again. Anything
else, redirects among it, would be the same next time: refused.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from csms.config.settings import WebhookSettings
from csms.walltime import wall_s
from csms.workers.egress import CheckedEndpoints, Forbidden

SIGNATURE_HEADER = b"X-Csms-Signature"
EVENT_ID_HEADER = b"X-Csms-Event-Id"
EVENT_TYPE_HEADER = b"X-Csms-Event-Type"
AT_ONCE = 8
"""Posts to one target at the same time, at most."""
MAX_ANSWER_BYTES = 65536
_PASSING = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target has it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Not now; ``after_s`` is how long the target asks to be left alone."""

    reason: str
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Refused:
    """Not ever, as it is."""

    reason: str


Verdict = Delivered | Failed | Refused
DELIVERED = Delivered()


class Poster(Protocol):
    """Whoever brings a notification to one target; never raises."""

    async def post(self, body: bytes, *, event_id: str, event_type: str) -> Verdict: ...

    async def close(self) -> None: ...


def signature(secret: str, at_s: int, body: bytes) -> str:
    """The value of ``X-Csms-Signature``."""
    mac = hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256)
    return f"t={at_s},v1={mac.hexdigest()}"


def check_url(name: str, url: str) -> bytes:
    """``url`` for a request; raises ValueError, which names the target, for anything but plain http and https."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"[webhook {name}] url: {url!r} is not http://host... or https://host...")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"[webhook {name}] url: must not contain a user name or password")
    try:
        return url.partition("#")[0].encode("ascii")
    except UnicodeEncodeError:
        raise ValueError(f"[webhook {name}] url: {url!r} is not ASCII; encode it first") from None


class HttpPoster:
    """Posts over HTTP/1.1 with connections that are kept for the next post."""

    def __init__(self, target: WebhookSettings, reactor: Any, *, tls: IPolicyForHTTPS | None = None) -> None:
        self._url = check_url(target.name, target.url)
        self._secret = target.secret
        self._timeout_s = target.timeout_s
        self._reactor = reactor
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = AT_ONCE
        self._pool.retryAutomatically = False
        endpoints = CheckedEndpoints(reactor, allow_private=target.allow_private, tls=tls)
        self._agent = Agent.usingEndpointFactory(reactor, endpoints, pool=self._pool)

    async def post(self, body: bytes, *, event_id: str, event_type: str) -> Verdict:
        """One try, within the target's timeout."""
        headers = Headers(
            {
                b"Content-Type": [b"application/json"],
                b"User-Agent": [b"csms"],
                EVENT_ID_HEADER: [event_id.encode()],
                EVENT_TYPE_HEADER: [event_type.encode()],
            }
        )
        if self._secret:
            headers.setRawHeaders(SIGNATURE_HEADER, [signature(self._secret, int(wall_s(self._reactor)), body)])
        request: Deferred[IResponse] = self._agent.request(b"POST", self._url, headers, _Body(body))
        request.addTimeout(self._timeout_s, self._reactor, _timed_out)
        try:
            response = await request
        except Forbidden as error:
            return Refused(str(error))
        except ConnectTimeout:
            return Failed(f"no answer within {self._timeout_s:g} s")
        except CancelledError:
            raise
        except Exception as error:
            return Failed(f"{type(error).__name__}: {_first_reason(error)}")
        await self._discard(response)
        return judge(response.code, response.headers.getRawHeaders("Retry-After", []), wall_s(self._reactor))

    async def close(self) -> None:
        """Close idle connections."""
        await self._pool.closeCachedConnections()

    async def _discard(self, response: IResponse) -> None:
        """Read the body so that the connection can be used again; a long or slow one costs the connection."""
        read: Deferred[None] = Deferred()
        discarding = _Discard(read)
        response.deliverBody(discarding)
        timer = self._reactor.callLater(self._timeout_s, discarding.give_up)
        await read
        if timer.active():
            timer.cancel()


def judge(code: int, retry_after: list[str], now_s: float) -> Verdict:
    """What an answer with this status means."""
    if 200 <= code < 300:
        return DELIVERED
    if code >= 500 or code in _PASSING:
        return Failed(f"HTTP status {code}", _seconds(retry_after[0], now_s) if retry_after else 0.0)
    return Refused(f"HTTP status {code}")


def _seconds(retry_after: str, now_s: float) -> float:
    """Retry-After as seconds from now (RFC 9110, 10.2.3: seconds or a date); 0 when unreadable."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        moment: datetime = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, moment.timestamp() - now_s)


def _timed_out(_: object, timeout_s: float) -> object:
    raise ConnectTimeout(f"no answer within {timeout_s:g} s")


def _first_reason(error: Exception) -> str:
    """The text of what went wrong first: Twisted's HTTP errors wrap a list of failures."""
    reasons = getattr(error, "reasons", None)
    if reasons and isinstance(reasons[0], Failure):
        return reasons[0].getErrorMessage()
    return str(error)


@implementer(IBodyProducer)
class _Body:
    """A request body that is there already."""

    def __init__(self, body: bytes) -> None:
        self.length = len(body)
        self._body = body

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """It is all written."""

    def resumeProducing(self) -> None:
        """It is all written."""

    def stopProducing(self) -> None:
        """It is all written."""


class _Discard(TwistedProtocol):
    """Reads up to the limit and keeps nothing."""

    def __init__(self, read: Deferred[None]) -> None:
        self._read = read
        self._left = MAX_ANSWER_BYTES

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.give_up()

    def give_up(self) -> None:
        """No more."""
        if not self._read.called:
            if self.transport is not None:
                self.transport.loseConnection()
            self._read.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._read.called:
            self._read.callback(None)
