"""TransactionEvent of 2.0.1 and 2.1 (block E).

Events may come late, repeated, and in another order than they happened (``offline``; OCTT TC_E_31: Ended first, then
Updated with smaller numbers). Each adds what it knows; whichever comes first makes the session.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from csms.domain.authorization import Decision, Presented, Status, decide, id_token_info, presented_2
from csms.domain.energy import apply_readings
from csms.domain.handling import Call, Handled
from csms.domain.messages import NotificationType
from csms.domain.model import Flag, Session, SessionState, TransactionEventRecord
from csms.domain.payloads import MAX_INT, evse_of, integer, mapping, mappings, text
from csms.domain.samples import END, Place, Reading, readings, take_samples
from csms.domain.sessions import authorize, begin, clear_connector, end, measure, place_of, told
from csms.domain.times import DeviceTime, device_time

STARTED, ENDED = "Started", "Ended"
LOCAL = "Local"
"""The reason of an end that gives none (2.x TransactionType.stoppedReason)."""
MAX_TRANSACTION_ID = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """A TransactionEvent, as far as it can be read."""

    kind: str
    trigger: str
    moment: DeviceTime
    offline: bool
    seq_no: int | None
    transaction_id: str
    charging_state: str
    stop_reason: str
    remote_start_id: int | None
    reservation_id: int | None
    evse_id: int
    connector_id: int
    presented: Presented | None

    @property
    def stops(self) -> bool:
        """Whether its token is one that stops the session."""
        return self.kind == ENDED or self.trigger == "StopAuthorized"


def transaction_event(call: Call) -> Handled:
    """2.x block E; ``idTokenInfo`` is in the answer when a token was in the event (E01.FR.12 and others)."""
    event = _read(call)
    if not event.transaction_id:
        return _without_transaction(call, event)
    session = call.uow.sessions.by_transaction(call.charger.id, event.transaction_id)
    first = call.uow.sessions.first_time(_record(call, event))
    if session is None:
        decision = _open(call, event)
    elif first or (event.kind == ENDED and session.state is not SessionState.ENDED):
        decision = _continue(call, session, event)
    else:
        return _repeated(call, session, event)
    return _answer(call, event, decision.status if decision is not None else Status.INVALID)


def _open(call: Call, event: _Event) -> Decision | None:
    """The first that we hear of a transaction, whichever of its events it is."""
    session = call.uow.sessions.add(
        Session(
            charger_id=call.charger.id,
            transaction_id=event.transaction_id,
            reported_transaction_id=event.transaction_id,
            start_key=hashlib.sha256(f"event:{event.transaction_id}".encode()).hexdigest(),
            ocpp_version=call.message.ocpp_version,
            evse_id=event.evse_id,
            connector_id=event.connector_id,
            started_at=event.moment.at,
            start_received_at=call.received_at,
            flags=set() if event.kind == STARTED else {Flag.MISSING_START},
        )
    )
    found = _take_samples(call, session)
    _learn(call, session, event, found, late=False)
    apply_readings(session, found, once=True)
    decision = begin(call, session, None if event.stops else event.presented)
    if event.kind == ENDED:
        _end(call, session, event, found)
    return _decide_stop(call, session, event) if event.stops else decision


def _continue(call: Call, session: Session, event: _Event) -> Decision | None:
    """A further event of a transaction, or an earlier one that comes late."""
    before, ended = _facts(session), session.state is SessionState.ENDED
    late = ended or (session.last_seq_no or 0) > (event.seq_no if event.seq_no is not None else MAX_INT)
    if late:
        session.flags.add(Flag.LATE_EVENT)
    if event.kind == STARTED:
        session.flags.discard(Flag.MISSING_START)
        session.started_at = min(event.moment.at, session.stopped_at or event.moment.at)
    found = _take_samples(call, session)
    _learn(call, session, event, found, late=late)
    decision = _decide_stop(call, session, event) if event.stops else _authorize(call, session, event)
    if event.kind == ENDED and not ended:
        apply_readings(session, found, once=True)
        _end(call, session, event, found)
        return decision
    measured = measure(call, session, found, once=True)
    if _facts(session) != before and not (measured and session.state is not SessionState.ACTIVE):
        call.tell(NotificationType.CHARGING_UPDATED, **told(session))
    return decision


def _repeated(call: Call, session: Session, event: _Event) -> Handled:
    """The same number again: the same answer. Its samples change nothing, unless the charger cannot count."""
    if session.state is SessionState.ACTIVE:
        measure(call, session, _take_samples(call, session))
    if event.presented is None:
        return call.done({})
    if not event.stops and session.authorization_status and event.presented.token == session.id_token:
        return _answer(call, event, session.authorization_status)
    return _answer(call, event, decide(call, event.presented, at=call.received_at).status)


def _without_transaction(call: Call, event: _Event) -> Handled:
    """Its id cannot be read, so no session can: what was measured is kept with the EVSE, and a token is answered."""
    place = Place(charger_id=call.charger.id, evse_id=event.evse_id, connector_id=event.connector_id)
    call.uow.sessions.add_samples(take_samples(mappings(call.payload, "meterValue"), call.message, place).samples)
    if event.presented is None:
        return call.done({})
    return _answer(call, event, decide(call, event.presented, at=call.received_at).status)


def _learn(call: Call, session: Session, event: _Event, found: list[Reading], *, late: bool) -> None:
    """Take over what the event says of the session as a whole."""
    session.flags |= event.moment.flags
    if event.offline:
        session.flags.add(Flag.OFFLINE)
    if call.message.fault:
        session.flags.add(Flag.SCHEMA_FAULT)
    if event.seq_no is not None:
        session.last_seq_no = max(event.seq_no, session.last_seq_no or 0)
    if Flag.MISSING_START in session.flags:
        session.started_at = min([session.started_at, event.moment.at, *(reading.at for reading in found)])
    if event.charging_state and not late and session.state is SessionState.ACTIVE:
        session.charging_state = event.charging_state
    if session.remote_start_id is None:
        session.remote_start_id = event.remote_start_id
    if session.reservation_id is None:
        session.reservation_id = event.reservation_id
    if session.evse_id == 0 != event.evse_id:
        session.evse_id, session.connector_id = event.evse_id, event.connector_id
        if session.state is SessionState.ACTIVE:
            clear_connector(call, session)
    elif session.connector_id == 0 and session.evse_id == event.evse_id:
        session.connector_id = event.connector_id


def _authorize(call: Call, session: Session, event: _Event) -> Decision | None:
    """The session runs on the token that was accepted; another one beside it is only answered."""
    presented = event.presented
    if presented is None:
        return None
    settled = session.authorization_status == Status.ACCEPTED and bool(session.id_token)
    if settled and presented.token.casefold() != session.id_token.casefold():
        return decide(call, presented, at=call.received_at)
    return authorize(call, session, presented)


def _decide_stop(call: Call, session: Session, event: _Event) -> Decision | None:
    if event.presented is None:
        return None
    session.stop_id_token = event.presented.token
    return decide(call, event.presented, at=call.received_at)


def _end(call: Call, session: Session, event: _Event, found: list[Reading]) -> None:
    registers = [reading for reading in found if reading.register_wh is not None]
    last = next((reading for reading in reversed(registers) if reading.context == END), None)
    if last is None and registers:
        last = registers[-1]
    end(
        call,
        session,
        at=event.moment.at,
        reason=event.stop_reason or LOCAL,
        meter_stop_wh=None if last is None else last.register_wh,
    )


def _answer(call: Call, event: _Event, status: str) -> Handled:
    if event.presented is None:
        return call.done({})
    record = call.uow.id_tokens.get(event.presented.token) if event.presented.token else None
    return call.done({"idTokenInfo": id_token_info(status, record)})


def _take_samples(call: Call, session: Session) -> list[Reading]:
    taken = take_samples(mappings(call.payload, "meterValue"), call.message, place_of(session))
    call.uow.sessions.add_samples(taken.samples)
    session.flags |= taken.flags - {Flag.OFFLINE}  # an Ended may bring all of its session's samples
    return readings(taken.samples)


def _facts(session: Session) -> tuple[object, ...]:
    """What a further event may change, apart from the meter."""
    return (
        session.charging_state,
        session.evse_id,
        session.connector_id,
        session.id_token,
        session.authorization_status,
    )


def _read(call: Call) -> _Event:
    payload = call.payload
    info = mapping(payload, "transactionInfo")
    seq_no = integer(payload, "seqNo")
    evse_id, connector_id = evse_of(payload)
    return _Event(
        kind=text(payload, "eventType", 20),
        trigger=text(payload, "triggerReason", 40),
        moment=device_time(payload.get("timestamp"), call.received_at),
        offline=payload.get("offline") is True,
        seq_no=seq_no if seq_no is not None and seq_no >= 0 else None,
        transaction_id=text(info, "transactionId", MAX_TRANSACTION_ID),
        charging_state=text(info, "chargingState", 40),
        stop_reason=text(info, "stoppedReason", 40),
        remote_start_id=integer(info, "remoteStartId"),
        reservation_id=integer(payload, "reservationId"),
        evse_id=evse_id,
        connector_id=connector_id,
        presented=presented_2(payload),
    )


def _record(call: Call, event: _Event) -> TransactionEventRecord:
    seq_no = event.seq_no
    if seq_no is None:
        # Not to be told from others by a number: by what it says, then, in the negative half where no numbers are.
        said = json.dumps(call.payload, sort_keys=True).encode()
        seq_no = -1 - (int.from_bytes(hashlib.sha256(said).digest()[:4]) & MAX_INT)
    return TransactionEventRecord(
        charger_id=call.charger.id,
        transaction_id=event.transaction_id,
        seq_no=seq_no,
        event_type=event.kind,
        trigger_reason=event.trigger,
        occurred_at=event.moment.at,
        offline=event.offline,
    )
