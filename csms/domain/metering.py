"""MeterValues outside of a transaction's own messages (1.6 section 4.7; 2.x J01).

They never create a session and never prolong one: values that name no running session are stored with their
connector only.
"""

from __future__ import annotations

from msgspec.structs import replace

from csms.domain.foreign import note_foreign
from csms.domain.handling import Call, Handled
from csms.domain.messages import NotificationType
from csms.domain.model import Flag, Session, SessionState
from csms.domain.payloads import MAX_EVSE_ID, bounded, integer, mappings
from csms.domain.samples import Place, readings, take_samples
from csms.domain.sessions import measure, place_of
from csms.domain.times import LATE


def meter_values_16(call: Call) -> Handled:
    """1.6 section 4.7. The transaction id may be missing, 0, of another transaction, or of one that has ended."""
    connector_id = bounded(integer(call.payload, "connectorId"), MAX_EVSE_ID)
    transaction_id = integer(call.payload, "transactionId") or 0
    session = None
    if transaction_id > 0:
        session = call.uow.sessions.by_transaction(call.charger.id, str(transaction_id))
    if session is None:
        note_foreign(call, transaction_id)
        return _without_session(call, connector_id, connector_id)
    return _of_session(call, session)


def meter_values_2(call: Call) -> Handled:
    """2.x J01: clock-aligned values of an EVSE or, with EVSE 0, of the main meter; never part of a transaction."""
    evse_id = bounded(integer(call.payload, "evseId"), MAX_EVSE_ID)
    return _without_session(call, evse_id, 0)


def _of_session(call: Call, session: Session) -> Handled:
    taken = take_samples(mappings(call.payload, "meterValue"), call.message, place_of(session))
    inside = [one for one in taken.samples if session.stopped_at is None or one.sampled_at <= session.stopped_at]
    # The charger may go on measuring under the id of a session that is over.
    after = [one for one in taken.samples if session.stopped_at is not None and one.sampled_at > session.stopped_at]
    call.uow.sessions.add_samples(inside)
    call.uow.sessions.add_samples(replace(one, session_id=0) for one in after)
    if inside:
        session.flags |= taken.flags
        if call.message.fault:
            session.flags.add(Flag.SCHEMA_FAULT)
        if session.state is not SessionState.ACTIVE:
            session.flags.add(Flag.LATE_EVENT)
        measure(call, session, readings(inside))
    return call.done()


def _without_session(call: Call, evse_id: int, connector_id: int) -> Handled:
    place = Place(charger_id=call.charger.id, evse_id=evse_id, connector_id=connector_id)
    taken = take_samples(mappings(call.payload, "meterValue"), call.message, place)
    call.uow.sessions.add_samples(taken.samples)
    found = readings(taken.samples)
    newest = found[-1] if found else None
    # A backlog is history: storing it is enough.
    if newest is not None and newest.at >= call.received_at - LATE:
        known = (newest.register_wh, newest.power_w, newest.soc_percent)
        if any(value is not None for value in known):
            call.tell(
                NotificationType.METER_VALUES_UPDATED,
                evseId=evse_id,
                connectorId=connector_id,
                registerWh=newest.register_wh,
                powerW=newest.power_w,
                socPercent=newest.soc_percent,
                sampledAt=newest.at,
            )
    return call.done()
