"""What every request passes before it is routed: security headers, the sign-in, the origin, the way to /events."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from csms.api import pages
from csms.api.access import Access
from csms.api.origins import Origins, is_loopback
from csms.api.problems import Problem, problem_body
from csms.api.requests import HttpRequest
from csms.api.routes import OUR_FAULT, html, unavailable, wants_page
from csms.coroutines import spawn
from csms.domain.people import PrincipalKind
from csms.ports import DatabaseUnavailable

EVENTS_PATH = b"/events"
METRICS_PATH = b"/metrics"
PUBLIC = re.compile(rb"/health(/live|/ready)?|/sign-in(/([A-Za-z0-9_-]{1,128}|style\.css|icon\.svg))?")
"""What is served without a sign-in, to the letter: a percent sign anywhere makes a path not public."""
WEBSOCKET_VERSION = "13"
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
ONLY_HTTPS = b"max-age=31536000"
_log = Logger(namespace="csms.api")
_SAFE_METHODS = (b"GET", b"HEAD", b"OPTIONS")


class BrowserEvents(Protocol):
    """The WebSockets of browsers, on the other side of the upgrade."""

    async def unavailable(self) -> str:
        """Why no browser can be taken now; empty when it can."""
        ...

    def upgrade(self, request: Request, session: str, expires_at: datetime) -> None:
        """Take over the connection of ``request``, for somebody who is signed in until ``expires_at``."""
        ...

    def sessions(self) -> Collection[str]:
        """The sign-ins that browsers are connected by."""
        ...

    def sign_out(self, session: str) -> None:
        """Close the browsers of one sign-in."""
        ...

    async def close(self) -> None:
        """Close all; return when they are gone."""
        ...


class Refused(Exception):  # noqa: N818
    """The request ends here, with a page for people and a problem for programs."""

    def __init__(self, status: HTTPStatus, page: bytes, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.page = page
        self.detail = detail


class Gate(Resource):
    """The root of the site: lets a request through to ``routes`` or to ``events``, or refuses it."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(
        self,
        *,
        routes: IResource,
        events: BrowserEvents,
        access: Access,
        origins: Origins,
        metrics_need_sign_in: bool,
        https: bool,
    ) -> None:
        super().__init__()
        self._routes = routes
        self._events = events
        self._access = access
        self._origins = origins
        self._metrics_need_sign_in = metrics_need_sign_in
        self._https = https

    def render(self, request: HttpRequest) -> int:
        """Answers later: who is signed in stands in the database."""
        if self._https:
            request.setHeader(b"Strict-Transport-Security", ONLY_HTTPS)
        spawn(self._admit(request), "HTTP request")
        return NOT_DONE_YET

    async def _admit(self, request: HttpRequest) -> None:
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        answer: bytes | None = None
        try:
            await self._check(request)
        except Refused as refused:
            answer = _refusal(request, refused)
        except Problem as problem:
            answer = problem_body(request, problem)
        except DatabaseUnavailable:
            answer = unavailable(request)
        except Exception:
            _log.failure("a request failed before it was routed")
            answer = problem_body(request, Problem(HTTPStatus.INTERNAL_SERVER_ERROR, OUR_FAULT))
        if gone:
            return
        if answer is None:
            try:
                self._pass_on(request)
            except Exception:
                # Whoever asks would wait for ever.
                _log.failure("a request could not be routed")
                answer = problem_body(request, Problem(HTTPStatus.INTERNAL_SERVER_ERROR, OUR_FAULT))
        if answer is not None:
            request.write(answer)
            request.finish()

    async def _check(self, request: HttpRequest) -> None:
        """Raises :class:`Refused`, :class:`Problem` or DatabaseUnavailable when the request may not go on."""
        public = PUBLIC.fullmatch(request.path) is not None or self._is_open_metrics(request)
        if not public:
            await self._identify(request)
        if not _is_readable(request):
            raise Problem(HTTPStatus.BAD_REQUEST, "the URL is not UTF-8, or the Host header is no host's name")
        by_token = request.principal is not None and request.principal.kind is PrincipalKind.TOKEN
        if request.path == EVENTS_PATH:
            self._check_upgrade(request, without_origin=by_token)
            if reason := await self._events.unavailable():
                raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, reason)
        elif request.method not in _SAFE_METHODS and not self._is_ours(request, without_origin=public or by_token):
            raise Refused(HTTPStatus.FORBIDDEN, pages.FOREIGN, _FOREIGN)

    async def _identify(self, request: HttpRequest) -> None:
        """Find out who asks. An API token that is given counts alone, so that it never does more than it may."""
        authorization = _header(request, b"Authorization")
        if authorization is None:
            cookie = request.getCookie(self._access.cookie_name.encode()) or b""
            request.sign_in = await self._access.signed_in(cookie.decode("ascii", "replace"))
            detail = "not signed in, or the sign-in has ended"
        else:
            scheme, _, token = authorization.partition(" ")
            request.sign_in = await self._access.bearer(token.strip()) if scheme.lower() == "bearer" else None
            detail = "the Authorization header holds no API token that is good now"
        if request.sign_in is None:
            request.setHeader(b"WWW-Authenticate", b'Bearer realm="csms"')
            raise Refused(HTTPStatus.UNAUTHORIZED, pages.SIGNED_OUT, detail)

    def _check_upgrade(self, request: HttpRequest, *, without_origin: bool) -> None:
        origin = _header(request, b"Origin")
        foreign = not self._origins.allows(origin, _header(request, b"Host"))
        if foreign and not (without_origin and origin is None):
            raise Problem(HTTPStatus.FORBIDDEN, _FOREIGN)
        if (_header(request, b"Upgrade") or "").lower() != "websocket" or request.method != b"GET":
            request.setHeader(b"Upgrade", b"websocket")
            raise Problem(HTTPStatus.UPGRADE_REQUIRED, "this URL speaks WebSocket only")
        # Autobahn would refuse these, too, but in its own words.
        if _header(request, b"Sec-WebSocket-Version") != WEBSOCKET_VERSION:
            request.setHeader(b"Sec-WebSocket-Version", WEBSOCKET_VERSION.encode())
            raise Problem(HTTPStatus.UPGRADE_REQUIRED, f"this URL speaks WebSocket version {WEBSOCKET_VERSION} only")
        connection = {word.strip().lower() for word in (_header(request, b"Connection") or "").split(",")}
        if "upgrade" not in connection or not _KEY.fullmatch(_header(request, b"Sec-WebSocket-Key") or ""):
            raise Problem(HTTPStatus.BAD_REQUEST, "this is no WebSocket handshake (RFC 6455, section 4.1)")

    def _is_ours(self, request: HttpRequest, *, without_origin: bool) -> bool:
        """Whether a request that changes something comes from one of our pages.

        ``without_origin``: programs, which say nothing of an origin, may too, as there is no cookie to be misused.
        """
        origin, site = _header(request, b"Origin"), _header(request, b"Sec-Fetch-Site")
        if origin is not None:
            return self._origins.allows(origin, _header(request, b"Host"))
        return site == "same-origin" or (site is None and without_origin)

    def _is_open_metrics(self, request: HttpRequest) -> bool:
        if request.path != METRICS_PATH:
            return False
        if not self._metrics_need_sign_in:
            return True
        # Behind a proxy of this machine everybody comes from loopback.
        proxied = request.getHeader(b"X-Forwarded-For") or request.getHeader(b"Forwarded")
        return not proxied and is_loopback(getattr(request.getClientAddress(), "host", ""))

    def _pass_on(self, request: HttpRequest) -> None:
        if request.path == EVENTS_PATH and request.sign_in is not None:
            self._events.upgrade(request, request.sign_in.session, request.sign_in.expires_at)
            return
        self._routes.render(request)


_FOREIGN = (
    "a page of another origin asks, or csms does not know this address as its own: "
    "see public_url and allowed_origins in section [http] of tap.conf"
)


def _refusal(request: HttpRequest, refused: Refused) -> bytes:
    if wants_page(request):
        return html(request, refused.status, refused.page)
    return problem_body(request, Problem(refused.status, refused.detail))


def _is_readable(request: HttpRequest) -> bool:
    try:
        b"/".join(request.postpath or ()).decode()
        request.getRequestHostname().decode().encode("idna")  # the router does
    except UnicodeError:
        return False
    return True


def _header(request: HttpRequest, name: bytes) -> str | None:
    """The value of a header; None when it is not there, no use when it is there twice."""
    values = request.requestHeaders.getRawHeaders(name)
    return None if not values else b",".join(values).decode("ascii", "replace")
