"""The JSON of /api/v1: camelCase, times in UTC. Made from the records; nothing secret is in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from csms.domain.model import Charger, Connector, IdToken, LogEntry, Sample, Session, SessionSummary

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T]):
    """A part of a listing. ``next`` is what ``after`` or ``before`` continues with; null at the end."""

    items: list[T]
    next: str | int | None


class Overview(msgspec.Struct, rename="camel"):
    """Totals."""

    chargers: int
    connected: int
    sessions_active: int
    energy_today_wh: float


class ConnectorView(msgspec.Struct, rename="camel"):
    """A connector; 0/0 is the charger as a whole (OCPP 1.6)."""

    evse_id: int
    connector_id: int
    status: str
    error_code: str
    info: str
    vendor_error_code: str
    status_at: datetime | None


class ChargerView(msgspec.Struct, rename="camel"):
    """A charging station with its connectors."""

    id: int
    device_id: str
    registration: str
    ocpp_version: str
    vendor: str
    model: str
    serial_number: str
    firmware_version: str
    connected: bool
    gateway: str
    connected_at: datetime | None
    disconnected_at: datetime | None
    last_seen_at: datetime | None
    booted_at: datetime | None
    boot_reason: str
    firmware_status: str
    diagnostics_status: str
    created_at: datetime | None
    connectors: list[ConnectorView]


class NewCharger(ChargerView, rename="camel"):
    """A charger that was added. ``password`` is the random one that was made, shown this once."""

    password: str | None


class NewPassword(msgspec.Struct, rename="camel"):
    """The random password that was made, shown this once; null when one was given."""

    password: str | None


class IdTokenView(msgspec.Struct, rename="camel"):
    """A card or an account. ``maxSessions`` is how many sessions at once; null: any number."""

    token: str
    type: str
    blocked: bool
    expires_at: datetime | None
    group: str
    max_sessions: int | None
    note: str
    created_at: datetime | None


class SessionView(msgspec.Struct, rename="camel"):
    """A charging session. ``deviceId`` is empty when the charger was removed."""

    id: int
    charger_id: int
    device_id: str
    transaction_id: str | None
    ocpp_version: str
    state: str
    charging_state: str
    evse_id: int
    connector_id: int
    id_token: str
    id_token_type: str
    authorization_status: str
    started_at: datetime
    stopped_at: datetime | None
    stop_reason: str
    meter_start_wh: float | None
    meter_stop_wh: float | None
    energy_wh: float
    power_w: float | None
    soc_percent: float | None
    flags: list[str]


class SampleView(msgspec.Struct, rename="camel"):
    """A measured value; ``rawValue`` is set when it was no number."""

    sampled_at: datetime
    measurand: str
    phase: str
    context: str
    location: str
    value: float | None
    unit: str
    raw_value: str


class MeterValueView(SampleView, rename="camel"):
    """A measured value with where it was measured. ``sessionId`` is 0 outside of sessions."""

    session_id: int
    evse_id: int
    connector_id: int
    received_at: datetime


class MessageView(msgspec.Struct, rename="camel"):
    """A message of a charger. ``raw`` is the frame as it came, ``answer`` a worker's, ``error`` its fault."""

    message_id: str
    received_at: datetime
    action: str
    unique_id: str
    ocpp_version: str
    connection_id: str
    gateway: str
    raw: str
    answer: str
    error: str


class SummaryView(msgspec.Struct, rename="camel"):
    """What a session came to."""

    started_at: datetime
    stopped_at: datetime
    duration_s: float
    energy_wh: float
    average_power_w: float
    peak_power_w: float | None
    stop_reason: str


class SessionDetail(SessionView, rename="camel"):
    """A session with its summary (null until it has ended) and its first 1,000 samples."""

    summary: SummaryView | None
    samples: list[SampleView]


V = TypeVar("V", bound=msgspec.Struct)


def fields_of(view: type[V], record: object) -> dict[str, Any]:
    """The fields of ``view`` that ``record`` has."""
    return {name: getattr(record, name) for name in view.__struct_fields__ if hasattr(record, name)}


def charger_view(charger: Charger, connectors: Sequence[Connector]) -> ChargerView:
    """``connectors``: the charger's own, in order."""
    views = [ConnectorView(**fields_of(ConnectorView, connector)) for connector in connectors]
    return ChargerView(**fields_of(ChargerView, charger), connectors=views)


def meter_value_view(sample: Sample) -> MeterValueView:
    """All of it."""
    return MeterValueView(**fields_of(MeterValueView, sample))


def message_view(entry: LogEntry) -> MessageView:
    """All of it."""
    return MessageView(**fields_of(MessageView, entry))


def id_token_view(token: IdToken) -> IdTokenView:
    """All that people say of a token."""
    return IdTokenView(**fields_of(IdTokenView, token))


def session_view(session: Session, device_ids: Mapping[int, str]) -> SessionView:
    """``device_ids``: identities by the chargers' keys."""
    fields = fields_of(SessionView, session) | {"flags": sorted(session.flags)}
    return SessionView(**fields, device_id=device_ids.get(session.charger_id, ""))


def session_detail(
    session: Session, device_ids: Mapping[int, str], summary: SessionSummary | None, samples: Sequence[Sample]
) -> SessionDetail:
    """Everything there is of one session."""
    view = session_view(session, device_ids)
    return SessionDetail(
        **msgspec.structs.asdict(view),
        summary=None if summary is None else SummaryView(**fields_of(SummaryView, summary)),
        samples=[SampleView(**fields_of(SampleView, sample)) for sample in samples],
    )
