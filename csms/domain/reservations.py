"""Reservations: made, used, cancelled, given up and run out (1.6 sections 3.9, 5.2 and 5.13)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from csms.domain.commands import CommandCall
from csms.domain.device_records import Reservation, ReservationState
from csms.domain.handling import Call
from csms.domain.messages import Notification, NotificationType
from csms.domain.model import Session
from csms.domain.payloads import MAX_EVSE_ID, bounded, integer, text
from csms.domain.repositories import UnitOfWork
from csms.ocpp.timestamps import parse_timestamp

MAX_TOKEN = 255
EXPIRED_AT_ONCE = 500
"""Reservations that one sweep ends."""
_CLOCKS_DIFFER = timedelta(minutes=5)
_RECENT = 50
_LOST = ("Faulted", "Unavailable")

Tell = Callable[..., None]


def reserved(call: CommandCall) -> None:
    """ReserveNow: the answer decides; one with the same id is replaced when it is accepted."""
    request, status = call.request, text(call.response, "status", 40)
    reservation_id, expiry = integer(request, "reservationId"), request.get("expiryDate")
    expires_at = parse_timestamp(expiry) if isinstance(expiry, str) else None
    if reservation_id is None or expires_at is None:
        return
    accepted = status == "Accepted"
    if accepted:
        for older in call.uow.devices.reservations.of(call.charger.id):
            if older.reservation_id == reservation_id:
                _end(call.tell, older, ReservationState.REPLACED, call.now)
    reservation = Reservation(
        charger_id=call.charger.id,
        reservation_id=reservation_id,
        evse_id=bounded(integer(request, "connectorId"), MAX_EVSE_ID),
        id_token=text(request, "idTag", MAX_TOKEN),
        parent_id_token=text(request, "parentIdTag", MAX_TOKEN),
        expires_at=expires_at,
        state=ReservationState.ACTIVE if accepted else ReservationState.REFUSED,
        answer=status,
        made_at=call.now,
        ended_at=None if accepted else call.now,
        command_id=call.command.command_id,
    )
    call.uow.devices.reservations.add(reservation)
    _tell(call.tell, reservation)


def reservation_cancelled(call: CommandCall) -> None:
    """CancelReservation: accepted, it is cancelled, also when the connector was reported free before the answer."""
    reservation_id = integer(call.request, "reservationId")
    if text(call.response, "status", 40) != "Accepted" or reservation_id is None:
        return
    newest = _newest(call.uow, call.charger.id, reservation_id)
    if newest is not None and newest.state in (ReservationState.ACTIVE, ReservationState.ENDED):
        _end(call.tell, newest, ReservationState.CANCELLED, call.now)


def reservation_used(call: Call, session: Session) -> None:
    """A session began: it uses the reservation that it names, or the one that was made for its token and place."""
    reservations = call.uow.devices.reservations.of(call.charger.id)
    found = next((one for one in reservations if one.reservation_id == session.reservation_id), None)
    if found is None and session.reservation_id is not None:
        late = _newest(call.uow, call.charger.id, session.reservation_id)
        if late is not None and late.state is ReservationState.EXPIRED and session.started_at <= late.expires_at:
            found = late
    if found is None:
        found = next((one for one in reservations if _is_for(one, session)), None)
    if found is not None:
        found.session_id = session.id
        _end(call.tell, found, ReservationState.USED, call.received_at)


def reservation_connector_reported(call: Call, evse_id: int, previous: str, status: str) -> None:
    """A fault or unavailability ends a reservation; so does being free again after having been reserved."""
    if status not in _LOST and not (status == "Available" and previous == "Reserved"):
        return
    for reservation in call.uow.devices.reservations.of(call.charger.id):
        if reservation.evse_id == evse_id or (evse_id == 0 and status in _LOST):
            over = call.received_at >= reservation.expires_at
            _end(call.tell, reservation, ReservationState.EXPIRED if over else ReservationState.ENDED, call.received_at)


def expire_reservations(uow: UnitOfWork, now: datetime) -> list[Notification]:
    """End reservations whose time is over; what to tell of them."""
    told: list[Notification] = []
    overdue = uow.devices.reservations.overdue(now, limit=EXPIRED_AT_ONCE)
    names = uow.chargers.device_ids(one.charger_id for one in overdue) if overdue else {}
    for reservation in overdue:
        reservation.state = ReservationState.EXPIRED
        reservation.ended_at = reservation.expires_at
        told.append(
            Notification(
                type=NotificationType.RESERVATION_CHANGED,
                charger_id=reservation.charger_id,
                device_id=names.get(reservation.charger_id, ""),
                timestamp=now,
                event_id=f"{int(now.timestamp() * 1000):012x}-reservation.{reservation.id}",
                data={name: value for name, value in _told(reservation).items() if value is not None},
            )
        )
    return told


def _is_for(reservation: Reservation, session: Session) -> bool:
    if reservation.evse_id not in (0, session.evse_id) or session.started_at < reservation.made_at - _CLOCKS_DIFFER:
        return False
    token, parent = reservation.id_token.casefold(), reservation.parent_id_token.casefold()
    return bool(session.id_token) and (
        session.id_token.casefold() == token or (bool(parent) and session.group_id_token.casefold() == parent)
    )


def _newest(uow: UnitOfWork, charger_id: int, reservation_id: int) -> Reservation | None:
    """Among the charger's last ones, whatever became of it; refused ones never were."""
    recent = uow.devices.reservations.page(charger_id=charger_id, limit=_RECENT)
    of_this_id = (one for one in recent if one.reservation_id == reservation_id)
    return next((one for one in of_this_id if one.state is not ReservationState.REFUSED), None)


def _end(tell: Tell, reservation: Reservation, state: ReservationState, at: datetime) -> None:
    reservation.state = state
    reservation.ended_at = at
    _tell(tell, reservation)


def _tell(tell: Tell, reservation: Reservation) -> None:
    tell(NotificationType.RESERVATION_CHANGED, **_told(reservation))


def _told(reservation: Reservation) -> dict[str, Any]:
    return {
        "reservationId": reservation.reservation_id,
        "evseId": reservation.evse_id,
        "idToken": reservation.id_token,
        "state": reservation.state.value,
        "answer": reservation.answer,
        "expiresAt": reservation.expires_at,
        "sessionId": reservation.session_id,
        "commandId": reservation.command_id or None,
    }
