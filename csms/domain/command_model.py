"""A command: a CALL to a charger that somebody asked for, from the request to the answer.

::

    waiting --+--> sent --+--> answered       CALLRESULT
      ^       |           +--> refused        CALLERROR
      |       |           +--> timed_out      no answer in time
      v       |           +--> unknown        the connection or the gateway ended before the answer
    queued    +--> not_connected, expired, cancelled, invalid

``sent`` is entered once, before anything is written to the socket, so that no command is ever written twice. What comes
late still counts: an answer replaces ``timed_out`` and ``unknown``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum


class CommandState(StrEnum):
    """Where a command is in its life."""

    WAITING = "waiting"
    """Stored, and on its way to the charger."""
    QUEUED = "queued"
    """The charger is not connected; kept for it until ``expires_at``."""
    SENT = "sent"
    """About to be written to the socket, or written; the answer is awaited."""
    ANSWERED = "answered"
    """The charger answered; what it thinks of the command stands in ``answer``."""
    REFUSED = "refused"
    """The charger answered with a CALLERROR."""
    TIMED_OUT = "timed_out"
    """It was sent and not answered in time: whether it took effect is unknown until an answer comes after all."""
    UNKNOWN = "unknown"
    """The connection or the gateway ended after it was sent: whether it took effect is unknown."""
    NOT_CONNECTED = "not_connected"
    EXPIRED = "expired"
    """It could not be sent in time. The charger has never seen it."""
    CANCELLED = "cancelled"
    INVALID = "invalid"
    """The gateway could not send it, ``error_description`` says why. The charger has never seen it."""

    @property
    def is_final(self) -> bool:
        """Nothing more is expected to happen."""
        return self not in OPEN_STATES

    @property
    def is_unsent(self) -> bool:
        """The charger has not seen it and still may."""
        return self in (CommandState.WAITING, CommandState.QUEUED)

    @property
    def is_on_the_way(self) -> bool:
        """The charger may answer soon. One that is queued may wait for hours, and nobody waits with it."""
        return self in ON_THE_WAY


OPEN_STATES = (CommandState.WAITING, CommandState.QUEUED, CommandState.SENT)
ON_THE_WAY = (CommandState.WAITING, CommandState.SENT)


class Priority(IntEnum):
    """Who goes first when several commands wait for a charger."""

    STOP = 0
    START = 1
    REST = 2


class Source(StrEnum):
    """Where a command came from."""

    API = "api"
    SHELL = "shell"
    """``csms-admin``."""
    SYSTEM = "system"
    """Asked for by csms itself, as a consequence of something else."""


@dataclass(slots=True, kw_only=True)
class Command:
    """``command_id`` names it everywhere, on the wire too (OCPP's message id); ``id`` is the database's key."""

    id: int = 0
    command_id: str
    charger_id: int
    device_id: str
    ocpp_version: str
    action: str
    payload: str
    """JSON text of the CALL's payload, as it was given."""
    priority: Priority = Priority.REST
    state: CommandState = CommandState.WAITING
    kept: bool = False
    """Whether it is queued when the charger is not connected."""
    timeout_s: float
    """How long the charger may take to answer."""
    source: Source = Source.API
    created_by: str = ""
    batch_id: str = ""
    created_at: datetime
    expires_at: datetime
    """Not sent after this."""
    look_at: datetime
    """When the sweep has to look whether it gets on."""
    sent_at: datetime | None = None
    finished_at: datetime | None = None
    answer: str = ""
    """JSON text of the CALLRESULT's payload; empty while there is none."""
    fault: str = ""
    """How the answer breaks its schema; it is kept as it came all the same."""
    error_code: str = ""
    error_description: str = ""


@dataclass(slots=True, kw_only=True)
class CommandBatch:
    """The same command for many chargers. How far it is: the states of its commands."""

    id: int = 0
    batch_id: str
    action: str
    payload: str
    total: int
    created_by: str = ""
    created_at: datetime
