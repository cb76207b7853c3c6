"""Is the charger there, and are its connectors free: connections, heartbeats, statuses (1.6 section 4.9; 2.x block G).

Connection ids are time-ordered: the larger one is the newer connection. A newer one always wins, and the close of an
old socket never takes down its successor, in whatever order their messages arrive.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from csms.domain.availability_wishes import availability_connector_reported
from csms.domain.handling import Call, Handled
from csms.domain.messages import Notification, NotificationType
from csms.domain.model import Charger, Connector
from csms.domain.payloads import MAX_CONNECTOR_ID, MAX_EVSE_ID, integer, text
from csms.domain.repositories import UnitOfWork
from csms.domain.reservations import reservation_connector_reported
from csms.domain.times import device_time

SEEN_STEP = timedelta(seconds=30)
"""How exactly ``last_seen_at`` is kept: not every message is worth a write."""
NO_ERROR = "NoError"
FAULTED = "Faulted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What a charger says of one of its connectors."""

    evse_id: int
    connector_id: int
    status: str
    at: datetime
    error_code: str = ""
    info: str = ""
    vendor_id: str = ""
    vendor_error_code: str = ""


def seen(call: Call) -> None:
    """Any message is a sign of life, also of a connection that was given up too early with its gateway."""
    charger, message = call.charger, call.message
    if charger.last_seen_at is None or call.received_at >= charger.last_seen_at + SEEN_STEP:
        charger.last_seen_at = call.received_at
    lost_at = charger.disconnected_at
    if message.connection_id > charger.connection_id or (
        not charger.connected
        and message.connection_id == charger.connection_id
        and (lost_at is None or call.received_at > lost_at)
    ):
        _connect(call)


def heartbeat(call: Call) -> Handled:
    """1.6 section 4.6, 2.x G02: only the sign of life, which every message is."""
    return call.done()


def connection_opened(call: Call) -> Handled:
    """A gateway has a new connection of the charger; :func:`seen` has noted it unless a newer one is known."""
    return call.done()


def connection_closed(call: Call) -> Handled:
    """A gateway has lost a connection; nothing changes when another one has taken its place."""
    charger, message = call.charger, call.message
    if message.connection_id < charger.connection_id:
        return call.done()
    charger.connection_id = message.connection_id
    charger.disconnected_at = call.received_at
    if charger.connected:
        charger.connected = False
        call.tell(
            NotificationType.CHARGER_DISCONNECTED,
            ocppVersion=charger.ocpp_version or None,
            gateway=message.gateway,
            reason=text(call.payload, "reason", 200) or None,
            code=integer(call.payload, "code"),
        )
    return call.done()


def disconnect_dead(uow: UnitOfWork, gateways: Iterable[str], now: datetime, *, reason: str) -> list[Notification]:
    """Note every charger that was connected through one of these gateways as disconnected.

    For gateways that died without a word, and for one that starts anew under its old name.
    """
    told: list[Notification] = []
    for gateway in gateways:
        for charger in uow.chargers.connected_through(gateway):
            if not charger.connected:
                continue
            charger.connected = False
            charger.disconnected_at = now
            told.append(_lost(charger, gateway, now, reason))
    return told


def status_notification_16(call: Call) -> Handled:
    """1.6 section 4.9. Connector 0 is the charger as a whole."""
    payload = call.payload
    connector_id = integer(payload, "connectorId")
    if connector_id is None or not 0 <= connector_id <= MAX_EVSE_ID:
        return call.done()
    report(
        call,
        Reported(
            evse_id=connector_id,
            connector_id=connector_id,
            status=text(payload, "status", 40),
            at=_status_at(call),
            error_code=text(payload, "errorCode", 50),
            info=text(payload, "info", 200),
            vendor_id=text(payload, "vendorId", 255),
            vendor_error_code=text(payload, "vendorErrorCode", 50),
        ),
    )
    return call.done()


def status_notification_2(call: Call) -> Handled:
    """2.x G01."""
    payload = call.payload
    evse_id, connector_id = integer(payload, "evseId"), integer(payload, "connectorId")
    if evse_id is None or connector_id is None:
        return call.done()
    if 0 <= evse_id <= MAX_EVSE_ID and 0 <= connector_id <= MAX_CONNECTOR_ID:
        status = text(payload, "connectorStatus", 40)
        report(call, Reported(evse_id=evse_id, connector_id=connector_id, status=status, at=_status_at(call)))
    return call.done()


def report(call: Call, reported: Reported) -> None:
    """Note a connector's status, and tell of it when it is another one than before. Order is that of arrival."""
    if not reported.status:
        return
    connector = call.uow.chargers.connector(call.charger.id, reported.evse_id, reported.connector_id)
    if _comes_late(call, connector, reported):
        return
    previous_status, previous_error = connector.status, connector.error_code
    connector.status = reported.status
    connector.error_code = reported.error_code
    connector.info = reported.info
    connector.vendor_id = reported.vendor_id
    connector.vendor_error_code = reported.vendor_error_code
    connector.status_at = reported.at
    connector.received_at = call.received_at
    if reported.status != previous_status:
        call.tell(
            NotificationType.CHARGER_STATUS_CHANGED,
            evseId=reported.evse_id,
            connectorId=reported.connector_id,
            status=reported.status,
            previousStatus=previous_status or None,
            errorCode=reported.error_code or None,
            info=reported.info or None,
        )
        reservation_connector_reported(call, reported.evse_id, previous_status, reported.status)
    availability_connector_reported(call, connector)
    new_error = reported.error_code not in ("", NO_ERROR) and reported.error_code != previous_error
    # 2.x has no error codes here: being faulted is the error.
    new_fault = not reported.error_code and reported.status == FAULTED != previous_status
    if new_error or new_fault:
        call.tell(
            NotificationType.ERROR_OCCURRED,
            evseId=reported.evse_id,
            connectorId=reported.connector_id,
            status=reported.status,
            errorCode=reported.error_code or None,
            info=reported.info or None,
            vendorId=reported.vendor_id or None,
            vendorErrorCode=reported.vendor_error_code or None,
        )


def _comes_late(call: Call, connector: Connector, reported: Reported) -> bool:
    """Whether the charger said this on an older connection, which it gave up, before what we know from the newer one.

    A broker that was frozen still takes what was sent before; the charger has repeated it long since, and gone on.
    """
    return (
        call.message.connection_id < call.charger.connection_id
        and connector.status_at is not None
        and reported.at < connector.status_at
    )


def _status_at(call: Call) -> datetime:
    # 1.6 lets the charger leave the time out.
    return device_time(call.payload.get("timestamp"), call.received_at).at


def _connect(call: Call) -> None:
    charger, message = call.charger, call.message
    replaced = charger.connected
    charger.connected = True
    charger.connection_id = message.connection_id
    charger.gateway = message.gateway
    charger.connected_at = call.received_at
    charger.ocpp_version = message.ocpp_version or charger.ocpp_version
    call.tell(
        NotificationType.CHARGER_CONNECTED,
        ocppVersion=charger.ocpp_version or None,
        gateway=message.gateway,
        reason="replaces an older connection" if replaced else None,
    )


def _lost(charger: Charger, gateway: str, now: datetime, reason: str) -> Notification:
    milliseconds = int(now.astimezone(UTC).timestamp() * 1000)
    return Notification(
        type=NotificationType.CHARGER_DISCONNECTED,
        charger_id=charger.id,
        device_id=charger.device_id,
        timestamp=now,
        # Time-ordered as all event ids, and the same when the same loss is noted again.
        event_id=f"{milliseconds:012x}-{charger.connection_id.rpartition('-')[2]}.{charger.id}",
        data={"ocppVersion": charger.ocpp_version, "gateway": gateway, "reason": reason},
    )
