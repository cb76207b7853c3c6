"""The bodies of the messages on the broker (JSON), and the values that travel beside them.

Names on the wire are fixed: ``deviceId, chargerId, messageType, payload, timestamp, rawData`` and so on. Times are
ISO 8601 in UTC. Decoding raises :class:`BadMessage` for anything that is not such a body.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from csms.ocpp.quirks import Deviation

FORMAT_VERSION = 1

Key: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
Word: TypeAlias = Annotated[str, Meta(max_length=255)]
RowId: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Moment: TypeAlias = Annotated[datetime, Meta(tz=True)]
_ESCAPE = b"\\u0000"
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

CONNECTION_OPENED = "ConnectionOpened"
CONNECTION_CLOSED = "ConnectionClosed"
GATEWAY_STARTED = "GatewayStarted"
COMMAND_SENT = "CommandSent"
COMMAND_RESULT = "CommandResult"
CALL_REFUSED = "CallRefused"
"""Message types that no charger sends: a gateway tells of its connections, of its own start, of commands, and of CALLs
that it has answered with a CALLERROR, which have no effect but their place in the message log."""
COMMAND = "command"
"""``type`` of a :class:`CommandOrder` on the broker."""


class BadMessage(ValueError):  # noqa: N818 - it names the message, as in "bad message"
    """The body is not a message of the expected format; the text says where."""


class ChargerMessage(msgspec.Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    """What a gateway publishes for every message of a charger (routing key ``ocpp.message.<Action>``).

    ``message_id`` is made once by the gateway and never changes on a retry; ``unique_id`` is OCPP's own, which
    chargers reuse. ``timestamp`` is when the gateway received the frame. ``fault`` is set when the payload
    breaks its schema and is passed on all the same, because no session may be lost for it. ``deviations`` were
    tolerated and put right in the payload.
    """

    device_id: Key
    charger_id: RowId
    message_type: Key
    payload: dict[str, Any]
    timestamp: Moment
    raw_data: str
    message_id: Key
    unique_id: Word = ""
    connection_id: Word
    ocpp_version: Word
    gateway: Word
    fault: str = ""
    cleaned: bool = False
    deviations: tuple[Deviation, ...] = ()


class Reply(msgspec.Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    """A worker's decision, for the gateway that asked (default exchange, queue ``gateway.<name>``).

    Either ``payload`` (the CALLRESULT's) or ``error_code`` (the name of an ``ocpp.errors.ErrorCode``) is set.
    """

    message_id: str
    connection_id: str
    payload: dict[str, Any] | None = None
    error_code: str = ""
    error_description: str = ""


class Takeover(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Told on ``commands_exchange`` by a gateway with a newer connection of ``device_id``: close older ones."""

    device_id: str
    connection_id: str


class CommandOrder(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A command on its way to the gateway that holds the charger (``commands_exchange``, key deviceId).

    ``payload`` is JSON as it was given. It may come twice; ``command_id`` tells.
    """

    command_id: str
    charger_id: int
    device_id: str
    action: str
    payload: msgspec.Raw
    priority: int
    timeout_s: float


class Notification(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A change that the world may want to know (``events_exchange``, key ``notification.<type>``).

    ``data`` holds the type's own fields (``sessionId``, ``connectorId`` ...); on the wire they stand beside the common
    ones. ``event_id`` is unique and time-ordered: consumers that see it twice drop the second.
    """

    type: Key
    charger_id: RowId
    device_id: Key
    timestamp: Moment
    event_id: Key
    data: dict[str, Any]


class NotificationType:
    """Every ``type`` of a notification, once."""

    CHARGING_STARTED = "charging.started"
    CHARGING_UPDATED = "charging.updated"
    CHARGING_STOPPED = "charging.stopped"
    CHARGER_STATUS_CHANGED = "charger.status.changed"
    METER_VALUES_UPDATED = "meter.values.updated"
    CHARGER_CONNECTED = "charger.connected"
    CHARGER_DISCONNECTED = "charger.disconnected"
    CHARGER_BOOTED = "charger.booted"
    ERROR_OCCURRED = "error.occurred"
    SECURITY_EVENT = "security.event"
    FIRMWARE_STATUS_CHANGED = "firmware.status.changed"
    DIAGNOSTICS_STATUS_CHANGED = "diagnostics.status.changed"
    REPORT_RECEIVED = "report.received"
    CONFIGURATION_CHANGED = "configuration.changed"
    LOCAL_LIST_CHANGED = "local.list.changed"
    RESERVATION_CHANGED = "reservation.changed"
    PROFILES_CHANGED = "profiles.changed"
    COMPOSITE_SCHEDULE_REPORTED = "composite.schedule.reported"
    JOB_CHANGED = "job.changed"
    CERTIFICATES_CHANGED = "certificates.changed"
    AVAILABILITY_CHANGED = "availability.changed"
    COMMAND_CHANGED = "command.changed"


T = TypeVar("T", ChargerMessage, Reply, Takeover, CommandOrder)
_encoder = msgspec.json.Encoder()
_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (ChargerMessage, Reply, Takeover, CommandOrder)
}
_plain_decoder = msgspec.json.Decoder(dict[str, Any])
_NOTIFICATION_FIELDS = ("type", "chargerId", "deviceId", "timestamp", "eventId")


def encode(message: ChargerMessage | Reply | Takeover | CommandOrder) -> bytes:
    """The JSON body of ``message``."""
    return _encoder.encode(message)


def decode(kind: type[T], body: bytes) -> T:
    """The message of ``kind`` in ``body``; raises :class:`BadMessage`."""
    if kind is ChargerMessage:
        _refuse_nul(body)
    try:
        message: T = _decoders[kind].decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadMessage(f"not a {kind.__name__}: {error}") from error
    return message


def encode_notification(notification: Notification) -> bytes:
    """The JSON body of ``notification``: common fields first, then the type's own."""
    body = {
        "type": notification.type,
        "chargerId": notification.charger_id,
        "deviceId": notification.device_id,
        "timestamp": notification.timestamp,
        "eventId": notification.event_id,
    }
    return _encoder.encode(notification.data | body if notification.data else body)


def decode_notification(body: bytes) -> Notification:
    """The notification in ``body``; raises :class:`BadMessage`."""
    _refuse_nul(body)
    try:
        data = _plain_decoder.decode(body)
        type_, charger_id, device_id, moment, event_id = [data.pop(name) for name in _NOTIFICATION_FIELDS]
        timestamp = datetime.fromisoformat(moment)
    except KeyError as error:
        raise BadMessage(f"not a notification: {error.args[0]} is missing") from error
    except (msgspec.DecodeError, RecursionError, ValueError, TypeError) as error:
        raise BadMessage(f"not a notification: {error}") from error
    # By hand, because each one is read by several consumers, and a general conversion takes three times as long.
    if not (type(type_) is type(device_id) is type(event_id) is str and type(charger_id) is int and timestamp.tzinfo):
        raise BadMessage("not a notification: a common field is of another type, or the timestamp has no zone")
    if not (
        0 < len(type_) <= 255 and 0 < len(device_id) <= 255 and 0 < len(event_id) <= 255 and 0 <= charger_id < 2**63
    ):
        raise BadMessage("not a notification: a common field is empty, too long or too large")
    return Notification(
        type=type_, charger_id=charger_id, device_id=device_id, timestamp=timestamp, event_id=event_id, data=data
    )


def _refuse_nul(body: bytes) -> None:
    """Gateways let no NUL through; PostgreSQL takes none, and to SQLite it is the end of a text."""
    if _ESCAPE in body and _NUL.search(body):
        raise BadMessage("a text in it has a NUL")
