"""The JSON of what was agreed with chargers, and of the certificates that were signed for them.

``commandId`` is the command that brought a record about; empty: nobody's, as far as we know.
"""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from csms.domain.device_records import Comparison, JobKind, JobState, ReservationState, WishState

T = TypeVar("T")


class Records(msgspec.Struct, Generic[T]):
    """All there are."""

    items: list[T]


class ConfigurationView(msgspec.Struct, rename="camel"):
    """A configuration key as the charger last reported it, and as it is wanted. Passwords are never kept here.

    ``known`` is false when the charger says that it has no such key; ``wanted`` is null when nobody set it.
    ``rebootRequired``: the charger uses the value from its next boot on only.
    """

    key: str
    value: str | None
    readonly: bool
    known: bool
    reported_at: datetime | None
    wanted: str | None
    wanted_status: str
    wanted_at: datetime | None
    answered_at: datetime | None
    differs: bool
    reboot_required: bool
    command_id: str


class LocalListEntryView(msgspec.Struct, rename="camel"):
    """A token in a local list."""

    id_token: str
    status: str
    expires_at: datetime | None
    parent: str


class LocalListView(msgspec.Struct, rename="camel"):
    """A charger's local authorization list. ``version`` is that of ``entries``; 0: none was sent.

    ``reportedVersion`` is what the charger last said; -1: it has no such list. ``inStep``: whether ``entries`` are, as
    far as we know, those in the charger.
    """

    version: int
    reported_version: int | None
    reported_at: datetime | None
    last_answer: str
    in_step: bool
    updated_at: datetime | None
    command_id: str
    entries: list[LocalListEntryView]


class ReservationView(msgspec.Struct, rename="camel"):
    """A connector kept for a token; ``sessionId`` is the session that used it."""

    id: int
    charger_id: int
    device_id: str
    reservation_id: int
    evse_id: int
    id_token: str
    parent_id_token: str
    expires_at: datetime
    state: ReservationState
    answer: str
    made_at: datetime
    ended_at: datetime | None
    session_id: int | None
    command_id: str


class PeriodView(msgspec.Struct, rename="camel"):
    """From ``startS`` seconds after the schedule's begin on: at most ``limit``; null: no limit is known."""

    start_s: float
    limit: float | None
    phases: int | None


class ChargingProfileView(msgspec.Struct, rename="camel"):
    """A charging profile in a charger; limits are in ``unit``."""

    evse_id: int
    profile_id: int
    stack_level: int
    purpose: str
    kind: str
    recurrency: str
    valid_from: datetime | None
    valid_to: datetime | None
    transaction_id: str
    unit: str
    start_schedule: datetime | None
    duration_s: int | None
    min_rate: float | None
    periods: list[PeriodView]
    set_at: datetime
    command_id: str


class CompositeScheduleView(msgspec.Struct, rename="camel"):
    """What a charger last said that it will allow, beside what the profiles that we know of give."""

    evse_id: int
    unit: str
    starts_at: datetime
    duration_s: int
    reported_at: datetime
    reported: list[PeriodView]
    expected: list[PeriodView]
    comparison: Comparison
    command_id: str


class JobStepView(msgspec.Struct):
    """A status that a charger told, and when that came."""

    status: str
    at: str


class JobView(msgspec.Struct, rename="camel"):
    """A firmware update or an upload. ``location`` is without user and password."""

    id: int
    charger_id: int
    device_id: str
    kind: JobKind
    state: JobState
    action: str
    request_id: int | None
    location: str
    log_type: str
    file_name: str
    scheduled_for: datetime | None
    status: str
    history: list[JobStepView]
    created_at: datetime
    updated_at: datetime
    command_id: str


class InstalledCertificateView(msgspec.Struct, rename="camel"):
    """A certificate in a charger; without ``reportedAt`` we installed it and the charger has not reported it yet."""

    use: str
    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str
    installed_at: datetime | None
    reported_at: datetime | None
    command_id: str


class AvailabilityView(msgspec.Struct, rename="camel"):
    """What was last asked of a place: 0/0 is the charger, n/0 an EVSE, n/m a connector."""

    evse_id: int
    connector_id: int
    operative: bool
    state: WishState
    wanted_at: datetime
    applied_at: datetime | None
    command_id: str


class SecurityEventView(msgspec.Struct, rename="camel"):
    """A SecurityEventNotification."""

    id: int
    charger_id: int
    device_id: str
    message_id: str
    type: str
    tech_info: str
    critical: bool
    occurred_at: datetime
    received_at: datetime


class IssuedCertificateView(msgspec.Struct, rename="camel"):
    """A certificate that was signed for a charger. ``fingerprint``: SHA-256 of its DER encoding."""

    id: int
    charger_id: int
    device_id: str
    serial_number: str
    fingerprint: str
    common_name: str
    issued_by: str
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    revoked_at: datetime | None
    revocation_reason: str
