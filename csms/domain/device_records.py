"""What was agreed with a charger: its settings, lists, reservations, profiles, jobs and certificates, as records.

Like those of :mod:`csms.domain.model` they are changed in place, and the unit of work writes the changes.
``command_id`` is the command that brought the record about; empty: nobody's, as far as we know. ``evse_id`` 0 is the
whole charger; 1.6's connector n is EVSE n.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(slots=True, kw_only=True)
class ConfigurationKey:
    """A 1.6 configuration key (section 9) as last reported, and as wanted. The case of its name does not matter."""

    charger_id: int
    key: str
    id: int = 0
    value: str | None = None
    """As the charger last reported or confirmed it; None: it has none, or never said."""
    readonly: bool = False
    known: bool = True
    """False: the charger says that it has no such key."""
    reported_at: datetime | None = None
    wanted: str | None = None
    wanted_status: str = ""
    """``Pending`` until the charger has answered ChangeConfiguration, then its answer's status.

    ``Refused`` by a CALLERROR; ``Unanswered``: it was sent, and whether it took effect is not known.
    """
    wanted_at: datetime | None = None
    answered_at: datetime | None = None
    command_id: str = ""

    @property
    def differs(self) -> bool:
        """Whether the charger has, as far as we know, something else than what is wanted."""
        if self.wanted is None:
            return False
        return self.value is None or self.value.strip().casefold() != self.wanted.strip().casefold()

    def reboot_required(self, booted_at: datetime | None) -> bool:
        """Whether the charger, which last booted at ``booted_at``, uses the value from its next boot on only."""
        if self.wanted_status != "RebootRequired" or self.answered_at is None:
            return False
        return booted_at is None or booted_at < self.answered_at


@dataclass(slots=True, kw_only=True)
class LocalList:
    """The local authorization list in a charger: one a charger (1.6 section 3.5)."""

    charger_id: int
    id: int = 0
    version: int = 0
    """Of the entries that we know."""
    reported_version: int | None = None
    """What the charger last answered to GetLocalListVersion; -1: it has no such list."""
    reported_at: datetime | None = None
    last_answer: str = ""
    """To the newest SendLocalList."""
    in_step: bool = False
    """Whether the entries that we know are, as far as we know, those in the charger."""
    updated_at: datetime | None = None
    command_id: str = ""


@dataclass(slots=True, kw_only=True)
class LocalListEntry:
    """A token in a charger's local list."""

    charger_id: int
    id_token: str
    id: int = 0
    status: str = ""
    expires_at: datetime | None = None
    parent: str = ""


class ReservationState(StrEnum):
    """The life of a reservation."""

    ACTIVE = "active"
    USED = "used"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    ENDED = "ended"
    """The charger gave it up: its connector became faulty, unavailable or free before the time was over."""
    REPLACED = "replaced"
    """By a newer one of the same reservation id."""
    REFUSED = "refused"


@dataclass(slots=True, kw_only=True)
class Reservation:
    """A connector kept for a token. ``reservation_id`` is OCPP's, unique among a charger's active ones."""

    charger_id: int
    reservation_id: int
    evse_id: int
    id_token: str
    expires_at: datetime
    state: ReservationState
    answer: str
    made_at: datetime
    id: int = 0
    parent_id_token: str = ""
    ended_at: datetime | None = None
    session_id: int | None = None
    """The session that used it."""
    command_id: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start_s`` (seconds after the schedule's begin) on: at most ``limit`` (in the schedule's unit)."""

    start_s: float
    limit: float | None
    """None: no limit is known; only in computed schedules."""
    phases: int | None = None


@dataclass(slots=True, kw_only=True)
class ChargingProfile:
    """A charging profile in a charger (1.6 section 7.8)."""

    charger_id: int
    evse_id: int
    profile_id: int
    stack_level: int
    purpose: str
    kind: str
    id: int = 0
    recurrency: str = ""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    transaction_id: str = ""
    """Of a TxProfile: the transaction that it ends with; empty until that is known."""
    unit: str = "W"
    start_schedule: datetime | None = None
    duration_s: int | None = None
    min_rate: float | None = None
    periods: tuple[Period, ...] = ()
    set_at: datetime
    command_id: str = ""


class Comparison(StrEnum):
    """How a charger's composite schedule compares with what the profiles that we know of give."""

    EQUAL = "equal"
    LOWER = "lower"
    """It limits more, somewhere: it may have limits of its own."""
    HIGHER = "higher"
    """It allows more, somewhere: a profile is not in force as we think."""


@dataclass(slots=True, kw_only=True)
class CompositeSchedule:
    """What a charger last answered to GetCompositeSchedule for an EVSE, beside what we expected. Limits in ``unit``."""

    charger_id: int
    evse_id: int
    unit: str
    starts_at: datetime
    duration_s: int
    reported_at: datetime
    id: int = 0
    reported: tuple[Period, ...] = ()
    expected: tuple[Period, ...] = ()
    comparison: Comparison = Comparison.EQUAL
    command_id: str = ""


class JobKind(StrEnum):
    """What takes a charger a while, and is told by notifications."""

    FIRMWARE = "firmware"
    DIAGNOSTICS = "diagnostics"
    """GetDiagnostics of 1.6."""
    LOG = "log"
    """GetLog of the security whitepaper and 2.x."""


class JobState(StrEnum):
    """How far a job is. ``failed`` may become ``running`` again: chargers retry by themselves."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    """A newer job took its place."""


@dataclass(slots=True, kw_only=True)
class Job:
    """A firmware update or an upload. Without ``command_id`` the charger was told to by somebody else."""

    charger_id: int
    kind: JobKind
    state: JobState
    created_at: datetime
    id: int = 0
    action: str = ""
    request_id: int | None = None
    """The whitepaper's and 2.x's; the actions of plain 1.6 have none."""
    location: str = ""
    """Where from or to, without user and password."""
    log_type: str = ""
    file_name: str = ""
    scheduled_for: datetime | None = None
    status: str = ""
    """As the charger last said it."""
    history: tuple[tuple[str, str], ...] = ()
    """Each status with its time of receipt (RFC 3339), oldest first."""
    updated_at: datetime
    command_id: str = ""

    @property
    def open(self) -> bool:
        return self.state in (JobState.ACCEPTED, JobState.RUNNING)


@dataclass(slots=True, kw_only=True)
class InstalledCertificate:
    """A certificate in a charger: reported by it, or installed by us and not reported yet."""

    charger_id: int
    use: str
    """``CentralSystemRootCertificate``, ``ManufacturerRootCertificate``; ``ChargePointCertificate``: its own."""
    id: int = 0
    hash_algorithm: str = ""
    issuer_name_hash: str = ""
    issuer_key_hash: str = ""
    serial_number: str = ""
    """Hexadecimal; like the hashes as the charger spells it, once it has reported it."""
    pem: str = ""
    """As we installed it; empty when we did not."""
    installed_at: datetime | None = None
    reported_at: datetime | None = None
    command_id: str = ""


class WishState(StrEnum):
    """How far a change of availability is."""

    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    """The charger will change when its running transaction has ended."""
    APPLIED = "applied"
    """The connector's status is as wanted."""


@dataclass(slots=True, kw_only=True)
class WantedAvailability:
    """What ChangeAvailability last asked of a place, and got: 0/0 the charger, n/0 an EVSE, n/m a connector."""

    charger_id: int
    evse_id: int
    connector_id: int
    operative: bool
    state: WishState
    wanted_at: datetime
    id: int = 0
    applied_at: datetime | None = None
    command_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEvent:
    """A SecurityEventNotification. Never changed, never removed with its charger."""

    charger_id: int
    message_id: str
    type: str
    tech_info: str
    critical: bool
    occurred_at: datetime
    received_at: datetime
    id: int = 0
