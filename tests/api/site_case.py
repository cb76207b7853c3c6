"""A whole site over loopback, with SQLite behind it and an HTTP client before it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import treq
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Cooperator
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool
from twisted.web.http_headers import Headers

from csms.api.access import SESSION_COOKIE, create_sign_in_link
from csms.api.service import HttpService
from csms.config.settings import HttpSettings, WebhookSettings
from csms.domain.repositories import OutboxRow
from csms.gateway.browser import Browsers, to_wire
from csms.gateway.events import EventRing
from csms.storage import SqlDatabase, open_database
from csms.storage.dead_letters import StoredDeadLetters

reactor: Any = _reactor
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str:
        """A header's value, empty when it is not there."""
        values = self.headers.getRawHeaders(name)
        return values[0] if values else ""

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class SiteTestCase(TestCase):
    """``settings`` and ``console`` can be replaced before ``start_site``; ``time`` is the site's clock."""

    timeout = 30
    settings = HttpSettings(port=0)
    webhooks: tuple[WebhookSettings, ...] = ()

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        self.time = NOON
        self.problems: dict[str, str] = {}
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.console = Path(directory.name) / "console"
        return Deferred.fromCoroutine(self.start_site())

    async def fill(self) -> bool:
        """The ring is filled by the tests."""
        return True

    async def start_site(self) -> None:
        self.database: SqlDatabase = open_database(f"sqlite:///{self.console.parent}/csms.db", reactor=reactor)
        await self.database.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.database.stop()))
        self.ring = EventRing(1000, to_wire)
        self.published: list[OutboxRow] = []
        self.browsers = Browsers(self.ring, self.settings, clock=reactor, now=self.now, fill=self.fill)
        self.service = HttpService(
            self.settings,
            database=self.database,
            events=self.browsers,
            happenings=self.ring,
            publish=self.published.extend,
            dead_letters=lambda: StoredDeadLetters(self.database),
            webhooks=self.webhooks,
            readiness=lambda: self.problems,
            reactor=reactor,
            now=self.now,
            console=self.console,
        )
        await self.service.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.service.stop()))
        self.url = f"http://127.0.0.1:{self.service.port}"
        self.cooperator = Cooperator()
        self.agent = Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False))

    def now(self) -> datetime:
        return self.time

    def wait(self, **span: float) -> None:
        self.time += timedelta(**span)

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        cookie: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """The answer to a request, redirections included."""
        given = Headers({name: [value] for name, value in (headers or {}).items()})
        if cookie:
            given.addRawHeader("Cookie", cookie)
        producer = None if body is None else FileBodyProducer(BytesIO(body), cooperator=self.cooperator)
        response = await self.agent.request(method.encode(), (self.url + path).encode(), given, producer)
        return Answer(response.code, response.headers, await treq.content(response))

    async def send(self, method: str, path: str, body: Any, cookie: str, **headers: str) -> Answer:
        """The answer to a change that one of our pages makes; ``body`` is sent as JSON, None is no body."""
        given = {"Origin": self.url, **({} if body is None else {"Content-Type": "application/json"}), **headers}
        given = {name: value for name, value in given.items() if value}
        content = None if body is None else json.dumps(body).encode()
        return await self.ask(path, method=method, cookie=cookie, headers=given, body=content)

    async def post_form(self, path: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """The answer to a form."""
        given = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return await self.ask(path, method="POST", headers=given, body=urlencode(fields).encode())

    async def new_link(self) -> str:
        """The path of a sign-in link."""
        url = await create_sign_in_link(self.database, self.settings, self.time)
        return "/sign-in/" + url.rpartition("/")[2]

    async def sign_in(self) -> str:
        """A Cookie header's value that opens everything."""
        answer = await self.ask(await self.new_link(), method="POST", headers={"Origin": self.url})
        assert answer.status == 303, answer
        return answer.header("Set-Cookie").partition(";")[0]


def cookie_of(token: str) -> str:
    """A Cookie header's value."""
    return f"{SESSION_COOKIE}={token}"
