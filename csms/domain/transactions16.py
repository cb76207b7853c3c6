"""StartTransaction and StopTransaction of 1.6 (sections 4.8 and 4.10).

Chargers repeat a start whose answer was lost, stop transactions that we never heard of (or 0, or -1), send both
hours late, and get their fields wrong. Nothing of it is refused: energy has flowed, and what was said of it is kept.
"""

from __future__ import annotations

import hashlib
import itertools
import json

import msgspec

from csms.domain.authorization import id_tag_info, presented_16
from csms.domain.energy import apply_readings, end_meter
from csms.domain.foreign import note_foreign
from csms.domain.handling import Call, Handled
from csms.domain.messages import ChargerMessage
from csms.domain.model import Flag, Session, SessionState
from csms.domain.payloads import MAX_EVSE_ID, MAX_INT, bounded, integer, mappings, number, text
from csms.domain.samples import END, Reading, readings, take_samples
from csms.domain.sessions import begin, end, place_of, running_at
from csms.domain.times import DeviceTime, device_time

LOCAL = "Local"
"""The reason of a stop that gives none (1.6 section 6.49, 2.x E06)."""


class LookedUp(msgspec.Struct, frozen=True):
    """What handling a message will look for beyond what it names; empty: nothing of the kind."""

    start_key: str
    transaction_id: str = ""
    stop_key: str = ""


def looked_up(message: ChargerMessage) -> LookedUp:
    """So that what a whole batch will look for can be fetched at once."""
    moment = device_time(message.payload.get("timestamp"), message.timestamp)
    if message.message_type == "StartTransaction":
        return LookedUp(_start_key(message, moment), str(_drawn(message, 0)))
    if message.message_type == "StopTransaction":
        # A stop that nobody started becomes a session with its own key, one without a usable id leaves it there.
        key = _stop_key(message, moment)
        return LookedUp(key, stop_key=key)
    return LookedUp("")


def start_transaction(call: Call) -> Handled:
    """1.6 section 4.8: always a transaction id, also for a refused token: the charger decides what to do then."""
    payload, sessions = call.payload, call.uow.sessions
    moment = device_time(payload.get("timestamp"), call.received_at)
    key = _start_key(call.message, moment)
    session = sessions.by_start_key(call.charger.id, key)
    if session is not None and not moment.plausible and session.state is not SessionState.ACTIVE:
        # A charger without a clock says the same at every start: this is another one.
        key, session = f"{key}:{call.message.message_id}", None
    if session is None:
        connector_id = bounded(integer(payload, "connectorId"), MAX_EVSE_ID)
        session = sessions.add(
            Session(
                charger_id=call.charger.id,
                transaction_id=str(_new_transaction_id(call)),
                start_key=key,
                ocpp_version=call.message.ocpp_version,
                evse_id=connector_id,
                connector_id=connector_id,
                started_at=moment.at,
                start_received_at=call.received_at,
                meter_start_wh=number(payload.get("meterStart")),
                reservation_id=integer(payload, "reservationId"),
                flags=_flags(call, moment),
            )
        )
        begin(call, session, presented_16(payload))
    record = call.uow.id_tokens.get(session.id_token) if session.id_token else None
    return call.done(
        {
            "transactionId": int(session.transaction_id or 0),
            "idTagInfo": id_tag_info(session.authorization_status, record),
        }
    )


def stop_transaction(call: Call) -> Handled:
    """1.6 section 4.10. The first stop of a session wins; one for an unknown transaction is kept as an orphan."""
    moment = device_time(call.payload.get("timestamp"), call.received_at)
    transaction_id = integer(call.payload, "transactionId")
    session = None
    if transaction_id is not None and transaction_id > 0:
        session = call.uow.sessions.by_transaction(call.charger.id, str(transaction_id))
    if session is None and _is_repeat(call, moment):
        return call.done()
    if session is None:
        session = _only_candidate(call, moment)
    if session is None:
        note_foreign(call, transaction_id)
        _keep_orphan(call, moment)
    elif session.state is not SessionState.ENDED:
        found = _take_transaction_data(call, session)
        session.flags |= _flags(call, moment)
        session.stop_id_token = presented_16(call.payload).token
        apply_readings(session, found)
        end(
            call,
            session,
            at=moment.at,
            reason=text(call.payload, "reason", 40) or LOCAL,
            meter_stop_wh=_meter_stop(call, found),
        )
    return call.done()


def _only_candidate(call: Call, moment: DeviceTime) -> Session | None:
    """The session that a stop without a usable id must mean; None when that would be a guess.

    Some chargers never learn the id (the start's answer was lost, or the start was made offline) and stop 0 or -1.
    An id that is a positive number but not ours may be another backend's: then the token has to match, too.
    """
    running = running_at(call)
    if len(running) != 1:
        return None
    session = running[0]
    meter_stop = number(call.payload.get("meterStop"))
    if session.started_at > moment.at or not _may_mean(call, session):
        return None
    if meter_stop is not None and session.meter_start_wh is not None and meter_stop < session.meter_start_wh:
        return None
    session.reported_transaction_id = _reported_id(call)
    session.stop_key = _stop_key(call.message, moment)
    return session


def _may_mean(call: Call, session: Session) -> bool:
    token, claimed = presented_16(call.payload).token, number(call.payload.get("transactionId"))
    if token:
        return token.casefold() == session.id_token.casefold()
    return claimed is None or claimed <= 0


def _is_repeat(call: Call, moment: DeviceTime) -> bool:
    """Whether this stop without a usable id has ended a session, or was kept as an orphan, before.

    Asked before any session is looked for: the next one may run on the connector by now.
    """
    sessions, key = call.uow.sessions, _stop_key(call.message, moment)
    return (
        sessions.by_stop_key(call.charger.id, key) is not None
        or sessions.by_start_key(call.charger.id, key) is not None
    )


def _keep_orphan(call: Call, moment: DeviceTime) -> None:
    sessions, key = call.uow.sessions, _stop_key(call.message, moment)
    session = sessions.add(
        Session(
            charger_id=call.charger.id,
            transaction_id=None,
            reported_transaction_id=_reported_id(call),
            start_key=key,
            ocpp_version=call.message.ocpp_version,
            state=SessionState.ENDED,
            stop_id_token=presented_16(call.payload).token,
            started_at=moment.at,
            start_received_at=call.received_at,
            stopped_at=moment.at,
            stop_received_at=call.received_at,
            stop_reason=text(call.payload, "reason", 40) or LOCAL,
            flags=_flags(call, moment) | {Flag.ORPHAN},
        )
    )
    found = _take_transaction_data(call, session)
    session.started_at = min([moment.at, *(reading.at for reading in found)])
    apply_readings(session, found)
    end_meter(session, _meter_stop(call, found))


def _take_transaction_data(call: Call, session: Session) -> list[Reading]:
    taken = take_samples(mappings(call.payload, "transactionData"), call.message, place_of(session))
    call.uow.sessions.add_samples(taken.samples)
    session.flags |= taken.flags - {Flag.OFFLINE}  # they are as old as the session, which is nothing odd
    return readings(taken.samples)


def _meter_stop(call: Call, found: list[Reading]) -> float | None:
    told = number(call.payload.get("meterStop"))
    if told is not None:
        return told
    return next((reading.register_wh for reading in reversed(found) if reading.context == END), None)


def _flags(call: Call, moment: DeviceTime) -> set[str]:
    return {*moment.flags, Flag.SCHEMA_FAULT} if call.message.fault else set(moment.flags)


def _reported_id(call: Call) -> str:
    return text(call.payload, "transactionId", 36) or "none"


def _start_key(message: ChargerMessage, moment: DeviceTime) -> str:
    return _key("start", message, moment, "connectorId", "idTag", "meterStart")


def _stop_key(message: ChargerMessage, moment: DeviceTime) -> str:
    return _key("stop", message, moment, "transactionId", "idTag", "meterStop")


def _key(kind: str, message: ChargerMessage, moment: DeviceTime, *fields: str) -> str:
    """The business key: what a charger says again when it repeats itself, whatever its message ids are."""
    time = moment.at.isoformat() if moment.plausible else message.payload.get("timestamp")
    said = [kind, time, *(message.payload.get(field) for field in fields)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _new_transaction_id(call: Call) -> int:
    """Positive, 31 bits, new for this charger, and not to be guessed by another.

    Drawn from the message's random id instead of a random generator, so that a transaction that is tried again draws
    the same.
    """
    for attempt in itertools.count():
        drawn = _drawn(call.message, attempt)
        if drawn and call.uow.sessions.by_transaction(call.charger.id, str(drawn)) is None:
            return drawn
    raise AssertionError("unreachable")


def _drawn(message: ChargerMessage, attempt: int) -> int:
    seed = f"{message.message_id}:{message.charger_id}:{attempt}"
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]) & MAX_INT
