"""Answers to requests that may be repeated by mistake, kept by the key that the client gave (Idempotency-Key)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

UNDER_WAY = 0
"""The status while there is no answer yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """``request_hash`` tells whether it is the same request that is repeated."""

    request_hash: str
    created_at: datetime
    status: int = UNDER_WAY
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class KeptAnswers(Protocol):
    """One for each key."""

    def begin(self, key_hash: str, answer: KeptAnswer) -> KeptAnswer | None:
        """Note that the request is under way; or the answer that is there already, and nothing is noted."""
        ...

    def finish(self, key_hash: str, answer: KeptAnswer) -> None:
        """Keep the answer."""
        ...

    def forget(self, key_hash: str) -> None:
        """The request had no effect, so it may be tried again."""
        ...
