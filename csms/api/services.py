"""What the operations of the HTTP interface work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from csms.api.access import Access
from csms.ports import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """``now`` tells the time; ``signed_out`` is told the session of everybody who signs out."""

    database: Database
    access: Access
    now: Callable[[], datetime]
    signed_out: Callable[[str], None]
