"""What the operations of the HTTP interface work with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from csms.api.access import Access
from csms.api.command_waits import CommandWaits
from csms.api.passwords import Passwords
from csms.config.settings import WebhookSettings
from csms.domain.repositories import OutboxRow
from csms.ports import Database, DeadLetters


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """``now`` tells the time; ``signed_out`` is told the session of everybody who signs out.

    ``dead_letters`` gives None as long as the broker is not there.
    ``publish`` brings rows of the outbox to the broker, without waiting; ``waits`` tells of commands that have ended.
    """

    database: Database
    access: Access
    passwords: Passwords
    now: Callable[[], datetime]
    signed_out: Callable[[str], None]
    dead_letters: Callable[[], DeadLetters | None]
    webhooks: Sequence[WebhookSettings]
    publish: Callable[[Sequence[OutboxRow]], None]
    waits: CommandWaits
