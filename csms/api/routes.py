"""Which URL does what. Who may ask was checked before (:mod:`csms.api.site`)."""

from __future__ import annotations

import math
from http import HTTPStatus

import msgspec
from klein import Klein
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import MethodNotAllowed, NotFound

from csms.api import health, openapi, pages, reference
from csms.api.access import Access, Throttled
from csms.api.application import Application
from csms.api.console import Console
from csms.api.health import Readiness
from csms.api.operations import add_operations
from csms.api.passwords import TooBusy
from csms.api.problems import Problem, problem_body
from csms.api.requests import HttpRequest
from csms.api.resources.registry import OPERATIONS
from csms.api.services import Services
from csms.ports import DatabaseUnavailable

OUR_FAULT = "csms failed; its log says how"
_log = Logger(namespace="csms.api")


def build_app(services: Services, *, console: Console, readiness: Readiness) -> Klein:
    """All routes of a gateway's site."""
    app = Application()
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    health.add_routes(app, readiness)
    _add_sign_in(app, services.access)
    add_operations(app, OPERATIONS, services)
    _add_reference(app)
    _add_errors(app, console)
    return app


def _add_sign_in(app: Klein, access: Access) -> None:
    @app.route(pages.STYLE_PATH, methods=["GET"])
    def sign_in_style(request: HttpRequest) -> bytes:
        request.setHeader("Content-Type", "text/css; charset=utf-8")
        request.setHeader("Cache-Control", "max-age=3600")
        return pages.STYLE.encode()

    @app.route(pages.ICON_PATH, methods=["GET"])
    def icon(request: HttpRequest) -> bytes:
        request.setHeader("Content-Type", "image/svg+xml")
        request.setHeader("Cache-Control", "max-age=3600")
        return pages.ICON.encode()

    @app.route("/sign-in", methods=["GET"])
    def form(request: HttpRequest) -> bytes:
        return html(request, HTTPStatus.OK, pages.SIGNED_OUT)

    @app.route("/sign-in", methods=["POST"])
    async def by_password(request: HttpRequest) -> bytes:
        name, password = _field(request, b"name"), _field(request, b"password")
        try:
            cookie = await access.use_password(name, password, request.address)
        except TooBusy:
            raise _too_busy() from None
        except Throttled as throttled:
            request.setHeader("Retry-After", str(math.ceil(throttled.wait_s)))
            return html(request, HTTPStatus.TOO_MANY_REQUESTS, pages.WAIT)
        if cookie is None:
            return html(request, HTTPStatus.FORBIDDEN, pages.WRONG_PASSWORD)
        return _enter(request, access.cookie(cookie))

    @app.route("/sign-in/<token>", methods=["GET"])
    def ask(request: HttpRequest, token: str) -> bytes:
        """Uses nothing up: previews of links and virus scanners come here, too."""
        return html(request, HTTPStatus.OK, pages.SIGN_IN)

    @app.route("/sign-in/<token>", methods=["POST"])
    async def sign_in(request: HttpRequest, token: str) -> bytes:
        try:
            cookie = await access.use_link(token, request.address)
        except TooBusy:
            raise _too_busy() from None
        if cookie is None:
            return html(request, HTTPStatus.FORBIDDEN, pages.BAD_LINK)
        return _enter(request, access.cookie(cookie))


def _enter(request: HttpRequest, cookie: str) -> bytes:
    request.responseHeaders.addRawHeader("Set-Cookie", cookie)
    request.setResponseCode(HTTPStatus.SEE_OTHER)
    request.setHeader("Cache-Control", "no-store")
    request.setHeader("Location", "/")
    return b""


def _too_busy() -> Problem:
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too many sign in at once: try again in a moment")


def _field(request: HttpRequest, name: bytes) -> str:
    """A field of a form; empty where it is missing, or no text, or there twice."""
    values = request.args.get(name, [])
    try:
        return values[0].decode() if len(values) == 1 else ""
    except UnicodeDecodeError:
        return ""


def _add_reference(app: Klein) -> None:
    document = msgspec.json.encode(openapi.document(OPERATIONS))
    page = reference.page(OPERATIONS)

    @app.route(reference.DOCUMENT_PATH, methods=["GET"])
    def described(request: HttpRequest) -> bytes:
        request.setHeader("Content-Type", "application/json")
        request.setHeader("Cache-Control", "no-store")
        return document

    @app.route(reference.PAGE_PATH, methods=["GET"])
    def readable(request: HttpRequest) -> bytes:
        return html(request, HTTPStatus.OK, page)

    @app.route(reference.STYLE_PATH, methods=["GET"])
    def reference_style(request: HttpRequest) -> bytes:
        request.setHeader("Content-Type", "text/css; charset=utf-8")
        request.setHeader("Cache-Control", "private, max-age=3600")
        return reference.STYLE.encode()


def _add_errors(app: Klein, console: Console) -> None:
    @app.handle_errors(Exception)
    def failed(request: IRequest, failure: Failure) -> bytes:
        assert isinstance(request, HttpRequest)
        error = failure.value
        if isinstance(error, NotFound):
            return _not_routed(request, console)
        if isinstance(error, DatabaseUnavailable):
            return unavailable(request)
        if isinstance(error, Problem):
            return problem_body(request, error)
        if isinstance(error, MethodNotAllowed):
            allowed = ", ".join(sorted(error.valid_methods or ()))
            detail = f"this URL knows only {allowed}"
            return problem_body(request, Problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, allow=allowed))
        _log.failure("a request failed", failure=failure)
        return problem_body(request, Problem(HTTPStatus.INTERNAL_SERVER_ERROR, OUR_FAULT))


def _not_routed(request: HttpRequest, console: Console) -> bytes:
    """The console routes paths of its own, so what is not known here is its business, outside of /api."""
    path = "/" + b"/".join([*(request.prepath or ()), *(request.postpath or ())]).decode()
    if path == "/api" or path.startswith("/api/") or request.method not in (b"GET", b"HEAD"):
        return problem_body(request, Problem(HTTPStatus.NOT_FOUND, "there is nothing at this URL"))
    if request.sign_in is None:
        return html(request, HTTPStatus.UNAUTHORIZED, pages.SIGNED_OUT)
    try:
        return console.page(request, path)
    except Problem as problem:
        return problem_body(request, problem)


def html(request: HttpRequest, status: HTTPStatus, page: bytes) -> bytes:
    """Set the response's status and headers; returns ``page``."""
    request.setResponseCode(status)
    request.setHeader("Content-Type", "text/html; charset=utf-8")
    request.setHeader("Cache-Control", "no-store")
    return page


def wants_page(request: HttpRequest) -> bool:
    """Whether a person waits for the answer rather than a program."""
    return not request.path.startswith(b"/api") and b"text/html" in (request.getHeader(b"Accept") or b"")


def unavailable(request: HttpRequest) -> bytes:
    """The database cannot be reached."""
    if wants_page(request):
        request.setHeader("Retry-After", "5")
        return html(request, HTTPStatus.SERVICE_UNAVAILABLE, pages.UNAVAILABLE)
    return problem_body(request, Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the database cannot be reached now"))
