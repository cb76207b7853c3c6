"""Webhooks as they are configured."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from csms.api.operations import Call, Operation
from csms.api.views import Page
from csms.config.settings import WebhookSettings
from csms.domain.people import Role


class WebhookView(msgspec.Struct, rename="camel"):
    """A URL that is told of notifications. ``types`` is empty for all; the URL is shown without what may be secret."""

    name: str
    url: str
    types: list[str]
    signed: bool
    attempts: int
    timeout_s: float
    allow_private: bool


async def list_webhooks(call: Call[Any, None]) -> Page[WebhookView]:
    """All of them."""
    return Page(items=[_view(webhook) for webhook in call.services.webhooks], next=None)


def _view(webhook: WebhookSettings) -> WebhookView:
    return WebhookView(
        name=webhook.name,
        url=_plain(webhook.url),
        types=webhook.types.split(),
        signed=bool(webhook.secret),
        attempts=webhook.attempts,
        timeout_s=webhook.timeout_s,
        allow_private=webhook.allow_private,
    )


def _plain(url: str) -> str:
    """Without user, password and query: receivers have their keys there."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


OPERATIONS = (
    Operation(
        name="listWebhooks",
        method="GET",
        path="/api/v1/webhooks",
        tag="webhooks",
        summary="Webhooks as they are configured",
        role=Role.ADMIN,
        run=list_webhooks,
        answer=Page[WebhookView],
    ),
)
