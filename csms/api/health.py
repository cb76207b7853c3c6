"""/health and /metrics: the same in every process, with and without the rest of the site."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TypeAlias

import msgspec
from klein import Klein
from twisted.web.iweb import IRequest

from csms import metrics

Readiness: TypeAlias = Callable[[], Mapping[str, str]]
"""What keeps this process from doing its work: part -> reason. Empty: nothing. Anybody can read it: no secrets."""


def add_routes(app: Klein, readiness: Readiness) -> None:
    """Add the routes to ``app``."""

    @app.route("/health", methods=["GET"])
    def health(request: IRequest) -> bytes:
        """Live and ready, and the reasons when it is not."""
        return _state(request, readiness())

    @app.route("/health/ready", methods=["GET"])
    def ready(request: IRequest) -> bytes:
        """For load balancers: whether to send anybody here."""
        return _state(request, readiness())

    @app.route("/health/live", methods=["GET"])
    def live(request: IRequest) -> bytes:
        """For supervisors: that this process answers says that it need not be restarted."""
        _json(request)
        return msgspec.json.encode({"live": True})

    @app.route("/metrics", methods=["GET"])
    def measurements(request: IRequest) -> bytes:
        """Prometheus' text format."""
        request.setHeader(b"Content-Type", metrics.CONTENT_TYPE.encode())
        request.setHeader(b"Cache-Control", b"no-store")
        return metrics.render()


def _state(request: IRequest, reasons: Mapping[str, str]) -> bytes:
    _json(request)
    body: dict[str, object] = {"live": True, "ready": not reasons}
    if reasons:
        request.setResponseCode(HTTPStatus.SERVICE_UNAVAILABLE)
        body["reason"] = "; ".join(f"{part}: {reason}" for part, reason in reasons.items())
        body["reasons"] = dict(reasons)
    return msgspec.json.encode(body)


def _json(request: IRequest) -> None:
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Cache-Control", b"no-store")
