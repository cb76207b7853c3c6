"""A charger that names what belongs to another one.

Everything is looked up together with the charger, so it changes nothing there. It is told all the same where it can
be no accident: transaction ids of 1.6 are csms's own random numbers, so nobody has another charger's by chance.
Reservations are numbered by people, and 2.x chargers number their transactions themselves: the same number at two
chargers says nothing.
"""

from __future__ import annotations

from csms.domain.device_records import SecurityEvent
from csms.domain.handling import Call
from csms.domain.messages import NotificationType

FOREIGN_TRANSACTION = "ForeignTransaction"
"""Security event: a charger named a transaction that runs on another one."""
_RECENT = 20


def note_foreign(call: Call, transaction_id: int | None) -> None:
    """Tell, once, if ``transaction_id``, which is not this charger's, runs on another one."""
    if transaction_id is None or transaction_id <= 0:
        return
    if not call.uow.sessions.runs_elsewhere(call.charger.id, str(transaction_id)):
        return
    info = f"{call.message.message_type} names transaction {transaction_id} of another charger"
    events = call.uow.devices.security_events
    recent = events.page(charger_id=call.charger.id, critical=True, limit=_RECENT)
    if any((event.type, event.tech_info) == (FOREIGN_TRANSACTION, info) for event in recent):
        return
    event = SecurityEvent(
        charger_id=call.charger.id,
        message_id=call.message.message_id,
        type=FOREIGN_TRANSACTION,
        tech_info=info,
        critical=True,
        occurred_at=call.received_at,
        received_at=call.received_at,
    )
    events.append(event)
    call.tell(NotificationType.SECURITY_EVENT, event=event.type, info=info, critical=True, occurredAt=event.occurred_at)
