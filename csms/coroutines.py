"""The one way to start a coroutine: named, its failure logged, its Deferred returned."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")
_log = Logger(namespace="csms.coroutines")


def spawn(coroutine: Coroutine[Deferred[Any], Any, T], name: str) -> Deferred[T | None]:
    """Run ``coroutine`` now; log its failure under ``name``.

    The returned Deferred never fails: it fires with the coroutine's result, or with None after a failure
    (logged) or a cancellation (silent). Cancelling it cancels what the coroutine waits for.
    """

    def failed(failure: Failure) -> None:
        if not failure.check(CancelledError):
            _log.failure("{name} failed", failure=failure, name=name)

    deferred: Deferred[T | None] = Deferred.fromCoroutine(coroutine)
    deferred.addErrback(failed)
    return deferred
