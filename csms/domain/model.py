"""The records of charging: what handlers read and change through a unit of work.

Mutable on purpose: a handler changes fields, the unit of work finds and writes the changes. Energies are in Wh, powers
in W, times aware UTC. ``id`` is 0 until the record was written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import msgspec


class Registration(StrEnum):
    """Whether a charger belongs to us; the spelling is that of BootNotification's status."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


class SessionState(StrEnum):
    """The life of a charging session."""

    ACTIVE = "active"
    ENDED = "ended"
    SUPERSEDED = "superseded"
    """A newer session began on the same connector; the stop of this one never came (it still may)."""


class Flag(StrEnum):
    """What was odd about a session or a message, kept for a person to look at. Nothing is refused for it."""

    ORPHAN = "orphan"
    """A stop whose start was never seen."""
    UNKNOWN_TOKEN = "unknown_token"
    METER_DECREASED = "meter_decreased"
    CLOCK_SKEW = "clock_skew"
    """The charger's time was unreadable or implausible (the time of receipt stands in), or ahead of ours."""
    ZONE_MISSING = "zone_missing"
    """A time without a zone, read as UTC: it may be local time."""
    SCHEMA_FAULT = "schema_fault"
    OFFLINE = "offline"
    """Reported (long) after it happened."""
    LATE_EVENT = "late_event"
    """Something arrived after the session's end, or a later event of it before an earlier one."""
    MISSING_START = "missing_start"
    METER_START_ESTIMATED = "meter_start_estimated"
    """The register at the start was never told: the first known reading stands in, so energy may be missing."""


@dataclass(slots=True, kw_only=True)
class Charger:
    """A charging station. ``device_id`` is its OCPP identity, ``id`` our key."""

    id: int = 0
    device_id: str
    registration: Registration = Registration.ACCEPTED
    ocpp_version: str = ""
    vendor: str = ""
    model: str = ""
    serial_number: str = ""
    firmware_version: str = ""
    iccid: str = ""
    imsi: str = ""
    password_hash: str = ""
    """Salted fast hash of a long random key (see ``csms.domain.credentials``); empty: no password set."""
    next_passwords: dict[str, str] = field(default_factory=dict)
    """New passwords on their way to the charger, oldest first: see ``csms.domain.password_rotation``."""
    security_profile: int = 0
    """The highest one from 2 on that it has connected with; lower ones are refused (0: none is)."""
    certificate_name: str = ""
    """The serial number that its client certificate must name (CN), unique among all; empty: none is bound."""
    connected: bool = False
    connection_id: str = ""
    gateway: str = ""
    connected_at: datetime | None = None
    disconnected_at: datetime | None = None
    last_seen_at: datetime | None = None
    booted_at: datetime | None = None
    boot_reason: str = ""
    firmware_status: str = ""
    diagnostics_status: str = ""
    created_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Connector:
    """A connector of a charger. 1.6's connector n is EVSE n, connector n; 0/0 is the charger as a whole."""

    charger_id: int
    evse_id: int
    connector_id: int
    id: int = 0
    status: str = ""
    error_code: str = ""
    info: str = ""
    vendor_id: str = ""
    vendor_error_code: str = ""
    status_at: datetime | None = None
    """When the status began, by the charger's clock."""
    received_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Session:
    """A charging session: our record of one OCPP transaction, of whichever version.

    ``transaction_id`` is unique per charger (1.6: the number that we issued, as text; 2.x: the charger's own), or None
    for an orphan, whose ``reported_transaction_id`` says what the charger called it. ``start_key`` is the business key:
    a repeated start (or a repeated orphan stop) finds the same session by it. Meters are the energy register.
    """

    charger_id: int
    transaction_id: str | None
    start_key: str
    stop_key: str = ""
    """The business key of the stop that ended it without naming it; a repeated one finds the session by it."""
    id: int = 0
    reported_transaction_id: str = ""
    ocpp_version: str = ""
    state: SessionState = SessionState.ACTIVE
    charging_state: str = ""
    evse_id: int = 0
    connector_id: int = 0
    id_token: str = ""
    id_token_type: str = ""
    group_id_token: str = ""
    authorization_status: str = ""
    stop_id_token: str = ""
    started_at: datetime
    start_received_at: datetime
    stopped_at: datetime | None = None
    stop_received_at: datetime | None = None
    stop_reason: str = ""
    meter_start_wh: float | None = None
    meter_stop_wh: float | None = None
    meter_last_wh: float | None = None
    meter_last_at: datetime | None = None
    """The charger's time of the newest sample that had its effect; older ones change nothing any more."""
    energy_wh: float = 0.0
    """Never negative, never billed below 0: meter minus start, or what the samples add up to."""
    power_w: float | None = None
    soc_percent: float | None = None
    remote_start_id: int | None = None
    reservation_id: int | None = None
    last_seq_no: int | None = None
    """2.x: the highest sequence number among the transaction's events so far."""
    flags: set[str] = field(default_factory=set)


class Measured(msgspec.Struct, frozen=True):
    """What one measurand was at a moment, in its base unit; without a phase, of all of them together."""

    at: datetime
    phase: str
    value: float


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value. Its business key is everything but ``value``, ``unit`` and the times of receipt."""

    charger_id: int
    session_id: int = 0
    evse_id: int = 0
    connector_id: int = 0
    sampled_at: datetime
    received_at: datetime
    measurand: str
    phase: str = ""
    context: str = ""
    location: str = ""
    value: float | None
    """In the base unit (Wh, W, A, V, Celsius, Percent ...); None when the charger sent no number."""
    unit: str = ""
    raw_value: str = ""
    """As the charger sent it, when ``value`` could not be read from it; signed meter data."""


@dataclass(slots=True, kw_only=True)
class IdToken:
    """A card or account that may charge. Compared without regard to case (1.6 CiString, 2.x identifierString)."""

    token: str
    type: str = ""
    id: int = 0
    blocked: bool = False
    expires_at: datetime | None = None
    group: str = ""
    max_sessions: int | None = None
    """How many sessions at once; None: no limit."""
    note: str = ""
    created_at: datetime | None = None


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a charger in the message log (table ``charger_data``)."""

    charger_id: int
    message_id: str
    connection_id: str
    unique_id: str
    action: str
    ocpp_version: str
    gateway: str
    received_at: datetime
    raw: str
    answer: str = ""
    """The CALLRESULT's payload (JSON) where a worker decided it; empty where the gateway answered."""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionEventRecord:
    """A 2.x TransactionEvent that has had its effect: unique by charger, transaction and ``seq_no``."""

    charger_id: int
    transaction_id: str
    seq_no: int
    event_type: str
    trigger_reason: str
    occurred_at: datetime
    offline: bool = False


@dataclass(slots=True, kw_only=True)
class ReportedVariable:
    """One attribute of a 2.x device model variable, as the charger reported it (NotifyReport)."""

    charger_id: int
    component: str
    component_instance: str = ""
    evse_id: int = 0
    connector_id: int = 0
    variable: str
    variable_instance: str = ""
    attribute: str = "Actual"
    value: str = ""
    mutability: str = ""
    data_type: str = ""
    unit: str = ""
    reported_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """What the charging-events worker writes when a session has ended: the basis of a receipt."""

    session_id: int
    charger_id: int
    device_id: str
    id_token: str
    started_at: datetime
    stopped_at: datetime
    duration_s: float
    energy_wh: float
    average_power_w: float
    peak_power_w: float | None
    stop_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HourlyUse:
    """What the analytics worker adds up for a charger and an hour (``hour``: its beginning, UTC)."""

    charger_id: int
    hour: datetime
    energy_wh: float = 0.0
    sessions_started: int = 0
    sessions_ended: int = 0
    charging_s: float = 0.0
    """Seconds of sessions within the hour, all connectors added up: utilisation = charging_s / 3600 / connectors."""
