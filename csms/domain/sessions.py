"""The life of a charging session, whatever version of OCPP it comes from.

Of every session the world hears exactly one ``charging.started`` and, when it has ended or was superseded, exactly one
``charging.stopped``. What completes the record later is told as ``charging.updated``. Orphans (a stop whose start
was never seen) are stored silently: a charger that moved to us may send another backend's whole backlog.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from csms.domain.authorization import Decision, Presented, decide, note_unknown
from csms.domain.energy import apply_readings, end_meter
from csms.domain.handling import Call
from csms.domain.messages import NotificationType
from csms.domain.model import Flag, Session, SessionState
from csms.domain.reservations import reservation_used
from csms.domain.samples import Place, Reading
from csms.domain.smart_charging import transaction_began, transaction_ended

MAX_ACTIVE = 200
"""Sessions that one charger may have running at once; beyond it the oldest is superseded."""


def begin(call: Call, session: Session, presented: Presented | None) -> Decision | None:
    """Open a session that was just written: supersede what still seems to run on its connector, then decide the token.

    The order matters: a session whose stop was lost must not count against its owner's limit.
    """
    clear_connector(call, session)
    decision = None if presented is None else authorize(call, session, presented)
    call.tell(NotificationType.CHARGING_STARTED, **told(session))
    newer = [other for other in _beside(call, session) if _began_before(session, other)]
    if newer:
        # History that came late, from the charger's queue.
        _supersede(call, session, by=newer[0])
    else:
        transaction_began(call, session)
    reservation_used(call, session)
    return decision


def clear_connector(call: Call, session: Session) -> None:
    """Supersede older sessions that cannot run beside ``session``, and the oldest of too many."""
    for other in _beside(call, session):
        if _began_before(other, session):
            _supersede(call, other, by=session)
    others = [other for other in running_at(call) if other.id != session.id]
    for other in others[: max(0, len(others) + 1 - MAX_ACTIVE)]:
        _supersede(call, other, by=session)


def authorize(call: Call, session: Session, presented: Presented) -> Decision:
    """Decide the token that ``session`` runs on, as of its start: that may be long ago."""
    decision = decide(call, presented, at=min(session.started_at, call.received_at), session_id=session.id)
    if decision.unknown and (Flag.UNKNOWN_TOKEN not in session.flags or session.id_token != presented.token):
        note_unknown(call, presented, in_session=True)
    session.id_token = presented.token
    session.id_token_type = presented.type
    session.group_id_token = decision.group
    session.authorization_status = decision.status_in(call.message.ocpp_version)
    if decision.unknown:
        session.flags.add(Flag.UNKNOWN_TOKEN)
    else:
        session.flags.discard(Flag.UNKNOWN_TOKEN)
    return decision


def running_at(call: Call) -> list[Session]:
    """The charger's active sessions, oldest first."""
    return [one for one in call.uow.sessions.active(call.charger.id) if one.state is SessionState.ACTIVE]


def end(call: Call, session: Session, *, at: datetime, reason: str, meter_stop_wh: float | None) -> None:
    """End ``session``: the first stop wins. A superseded session is completed by its late stop."""
    if session.state is SessionState.ENDED:
        return
    late = session.state is SessionState.SUPERSEDED
    session.state = SessionState.ENDED
    if at < session.started_at:
        session.flags.add(Flag.CLOCK_SKEW)
    session.stopped_at = max(at, session.started_at)
    session.stop_received_at = call.received_at
    session.stop_reason = reason
    session.charging_state = ""
    end_meter(session, meter_stop_wh)
    transaction_ended(call, session)
    if late:
        session.flags.add(Flag.LATE_EVENT)
    call.tell(NotificationType.CHARGING_UPDATED if late else NotificationType.CHARGING_STOPPED, **told(session))


def measure(call: Call, session: Session, readings: Iterable[Reading], *, once: bool = False) -> bool:
    """Let readings have their effect on the session; whether anything changed."""
    found = list(readings)
    if not apply_readings(session, found, once=once):
        return False
    if session.state is not SessionState.ACTIVE:
        call.tell(NotificationType.CHARGING_UPDATED, **told(session))
        return True
    call.tell(
        NotificationType.METER_VALUES_UPDATED,
        sessionId=session.id,
        evseId=session.evse_id,
        connectorId=session.connector_id,
        energyWh=session.energy_wh,
        powerW=session.power_w,
        socPercent=session.soc_percent,
        registerWh=session.meter_last_wh,
        sampledAt=max(reading.at for reading in found),
    )
    return True


def place_of(session: Session) -> Place:
    """Where the samples of ``session`` belong."""
    return Place(
        charger_id=session.charger_id,
        session_id=session.id,
        evse_id=session.evse_id,
        connector_id=session.connector_id,
    )


def told(session: Session) -> dict[str, object]:
    """The fields of a ``charging.*`` notification."""
    stopped_at = session.stopped_at
    return {
        "sessionId": session.id,
        "transactionId": session.transaction_id,
        "evseId": session.evse_id,
        "connectorId": session.connector_id,
        "idToken": session.id_token,
        "authorizationStatus": session.authorization_status or None,
        "state": session.state.value,
        "chargingState": session.charging_state or None,
        "meterStartWh": session.meter_start_wh,
        "meterStopWh": session.meter_stop_wh,
        "energyWh": session.energy_wh,
        "powerW": session.power_w,
        "socPercent": session.soc_percent,
        "startedAt": session.started_at,
        "stoppedAt": stopped_at,
        "durationS": None if stopped_at is None else max(0.0, (stopped_at - session.started_at).total_seconds()),
        "stopReason": session.stop_reason or None,
        "flags": sorted(session.flags),
    }


def _beside(call: Call, session: Session) -> list[Session]:
    """Other running sessions on the same connector; 0 is none, so sessions there are not in each other's way."""
    return [
        other
        for other in running_at(call)
        if other.id != session.id
        and other.evse_id == session.evse_id != 0
        and (other.connector_id == session.connector_id or 0 in (other.connector_id, session.connector_id))
    ]


def _began_before(one: Session, other: Session) -> bool:
    """Which session is the older one: by the charger's clock, or by arrival when that clock is in doubt."""
    if Flag.CLOCK_SKEW in one.flags | other.flags:
        return one.id < other.id
    return (one.started_at, one.id) < (other.started_at, other.id)


def _supersede(call: Call, session: Session, *, by: Session) -> None:
    """The stop never came. It may have ended at any time until the next one began."""
    session.state = SessionState.SUPERSEDED
    session.stopped_at = max(session.started_at, by.started_at)
    session.charging_state = ""
    end_meter(session, None)
    transaction_ended(call, session)
    call.tell(NotificationType.CHARGING_STOPPED, **told(session))
