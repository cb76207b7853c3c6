"""What chargers sent and what was answered: every attempt, when, and with which outcome."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Attempt:
    """A CALL that was written to a socket. A repeat is another attempt of the same number, with an id of its own."""

    device_id: str
    number: int
    """Of the message, in the charger's order; 0: of one that is never repeated."""
    unique_id: str
    action: str
    frame: str
    sent_at: float
    answered_at: float = 0.0
    """0: no answer came."""
    refused: bool = False
    """The answer was a CALLERROR."""


@dataclass(slots=True)
class Session:
    """A charging session as its charger knows it; energy in Wh."""

    device_id: str
    start_wh: int
    """Unique among the charger's sessions."""
    transaction_id: str = ""
    readings_wh: list[int] = field(default_factory=list)
    """Register readings that were answered, unique among the charger's."""
    stop_wh: int | None = None


class Ledger:
    """Of all chargers of one run."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.callerrors: list[str] = []
        self.sessions: list[Session] = []
        self.statuses: dict[str, str] = {}
        """deviceId -> what its connector was said to be last, and was answered."""
        self.closed: Counter[int] = Counter()
        """Close codes that chargers saw; 1006: the connection was cut."""
        self.refused: Counter[int] = Counter()
        """Handshakes by the status that refused them; 0: nobody listened."""
        self.timeouts = 0
        """Answers that did not come in time, on a connection that stood."""
        self.answers = 0
        """Answers so far."""

    def sent(self, device_id: str, number: int, tries: int, action: str, payload: dict[str, Any]) -> Attempt:
        """Note that this is being written now."""
        unique_id = f"{number}.{tries}"
        frame = json.dumps([2, unique_id, action, payload])
        attempt = Attempt(device_id, number, unique_id, action, frame, time.monotonic())
        self.attempts.append(attempt)
        return attempt

    def answered(self, attempt: Attempt, answer: list[Any]) -> None:
        """Note the answer."""
        attempt.answered_at = time.monotonic()
        self.answers += 1
        if answer[0] != 3:
            attempt.refused = True
            self.callerrors.append(f"{attempt.device_id} {attempt.frame}: {answer}")

    # --- figures

    @property
    def devices(self) -> set[str]:
        """All that have sent something."""
        return {attempt.device_id for attempt in self.attempts}

    @property
    def messages(self) -> int:
        """Messages, however often each was sent."""
        return len({(attempt.device_id, attempt.number) for attempt in self.attempts})

    @property
    def retried(self) -> int:
        """Messages that were sent more than once."""
        return len({(one.device_id, one.number) for one in self.attempts if one.number and not _is_first(one)})

    def answered_since(self, moment: float) -> set[str]:
        """Devices that have had an answer to something that they sent after this moment."""
        return {attempt.device_id for attempt in self.attempts if attempt.answered_at and attempt.sent_at >= moment}

    def first_answers_since(self, moment: float) -> dict[str, float]:
        """deviceId -> when the first answer to something sent after this moment came."""
        found: dict[str, float] = {}
        for attempt in self.attempts:
            if attempt.answered_at and attempt.sent_at >= moment:
                earlier = found.get(attempt.device_id, attempt.answered_at)
                found[attempt.device_id] = min(earlier, attempt.answered_at)
        return found

    def slowest_answer_s(self) -> float:
        """The longest time between the first sending of a message and its answer."""
        first: dict[tuple[str, int], float] = {}
        slowest = 0.0
        for attempt in self.attempts:
            key = attempt.device_id, attempt.number
            if not attempt.number:
                continue
            first.setdefault(key, attempt.sent_at)
            if attempt.answered_at:
                slowest = max(slowest, attempt.answered_at - first[key])
        return slowest


def number_of(unique_id: str) -> int:
    """The number of the message that this was an attempt of; 0: it was none of the load."""
    number, _, tries = unique_id.partition(".")
    return int(number) if number.isdigit() and tries.isdigit() else 0


def _is_first(attempt: Attempt) -> bool:
    return attempt.unique_id.endswith(".1")
