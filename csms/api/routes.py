"""Which URL does what. Who may ask was checked before (:mod:`csms.api.site`)."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

import msgspec
from klein import Klein
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import MethodNotAllowed, NotFound

from csms.api import pages, queries
from csms.api.access import Access, TooBusy
from csms.api.console import Console
from csms.api.health import Readiness, add_operations
from csms.api.parameters import MAX_ID, Parameters
from csms.api.problems import Problem, problem_body
from csms.api.requests import HttpRequest
from csms.domain.repositories import UnitOfWork
from csms.ports import Database, DatabaseUnavailable

T = TypeVar("T")
OUR_FAULT = "csms failed; its log says how"
NOTHING_HERE = "there is nothing of that name or number"
_log = Logger(namespace="csms.api")


def build_app(
    *,
    access: Access,
    database: Database,
    console: Console,
    readiness: Readiness,
    signed_out: Callable[[str], None],
) -> Klein:
    """All routes of a gateway's site. ``signed_out`` is told the session of everybody who signs out."""
    app = Klein()
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    add_operations(app, readiness)
    _add_sign_in(app, access, signed_out)
    _add_rest(app, database)
    _add_errors(app, console)
    return app


def _add_sign_in(app: Klein, access: Access, signed_out: Callable[[str], None]) -> None:
    @app.route(pages.STYLE_PATH, methods=["GET"])
    def style(request: HttpRequest) -> bytes:
        request.setHeader("Content-Type", "text/css; charset=utf-8")
        request.setHeader("Cache-Control", "max-age=3600")
        return pages.STYLE.encode()

    @app.route(pages.ICON_PATH, methods=["GET"])
    def icon(request: HttpRequest) -> bytes:
        request.setHeader("Content-Type", "image/svg+xml")
        request.setHeader("Cache-Control", "max-age=3600")
        return pages.ICON.encode()

    @app.route("/sign-in/<token>", methods=["GET"])
    def ask(request: HttpRequest, token: str) -> bytes:
        """Uses nothing up: previews of links and virus scanners come here, too."""
        return html(request, HTTPStatus.OK, pages.SIGN_IN)

    @app.route("/sign-in/<token>", methods=["POST"])
    async def sign_in(request: HttpRequest, token: str) -> bytes:
        try:
            cookie = await access.use_link(token)
        except TooBusy:
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too many sign in at once: try again in a moment") from None
        if cookie is None:
            return html(request, HTTPStatus.FORBIDDEN, pages.BAD_LINK)
        request.responseHeaders.addRawHeader("Set-Cookie", access.cookie(cookie))
        request.setResponseCode(HTTPStatus.SEE_OTHER)
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("Location", "/")
        return b""

    @app.route("/api/v1/sign-out", methods=["POST"])
    async def sign_out(request: HttpRequest) -> bytes:
        assert request.sign_in is not None
        await access.sign_out(request.sign_in)
        signed_out(request.sign_in.session)
        request.responseHeaders.addRawHeader("Set-Cookie", access.no_cookie())
        request.setResponseCode(HTTPStatus.NO_CONTENT)
        request.setHeader("Cache-Control", "no-store")
        return b""


def _add_rest(app: Klein, database: Database) -> None:
    async def answer(request: HttpRequest, name: str, query: Callable[[UnitOfWork], T | None]) -> bytes:
        found = await database.read(query, name=name)
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, NOTHING_HERE)
        request.setHeader("Content-Type", "application/json")
        request.setHeader("Cache-Control", "no-store")
        return msgspec.json.encode(found)

    @app.route("/api/v1/overview", methods=["GET"])
    async def overview(request: HttpRequest) -> bytes:
        Parameters(request.args)
        return await answer(request, "overview", queries.overview)

    @app.route("/api/v1/chargers", methods=["GET"])
    async def chargers(request: HttpRequest) -> bytes:
        given = Parameters(request.args, "after", "limit")
        after, limit = given.text("after"), given.limit()
        return await answer(request, "list chargers", lambda uow: queries.chargers(uow, after, limit))

    @app.route("/api/v1/chargers/<device_id>", methods=["GET"])
    async def charger(request: HttpRequest, device_id: str) -> bytes:
        Parameters(request.args)
        if "\0" in device_id:  # no name has it, and databases choke on it
            raise Problem(HTTPStatus.NOT_FOUND, NOTHING_HERE)
        return await answer(request, "show charger", lambda uow: queries.charger(uow, device_id))

    @app.route("/api/v1/sessions", methods=["GET"])
    async def sessions(request: HttpRequest) -> bytes:
        given = Parameters(request.args, "active", "chargerId", "before", "limit")
        active, charger_id = given.boolean("active"), given.id("chargerId")
        before, limit = given.id("before"), given.limit()
        return await answer(
            request, "list sessions", lambda uow: queries.sessions(uow, active, charger_id, before, limit)
        )

    @app.route(f"/api/v1/sessions/<int(max={MAX_ID}):session_id>", methods=["GET"])
    async def session(request: HttpRequest, session_id: int) -> bytes:
        Parameters(request.args)
        return await answer(request, "show session", lambda uow: queries.session(uow, session_id))


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
