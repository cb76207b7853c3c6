"""The table of every action that a charger may send: who answers it, with what, and which function has its effect.

A new action is one function in its block's module and one row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from csms.domain.authorization import authorize_2, authorize_16
from csms.domain.availability import (
    connection_closed,
    connection_opened,
    heartbeat,
    seen,
    status_notification_2,
    status_notification_16,
)
from csms.domain.certificate_signing import sign_certificate
from csms.domain.command_life import command_result, command_sent, release
from csms.domain.data_transfer import data_transfer
from csms.domain.diagnostics import diagnostics_status, firmware_status, log_status, notify_event, security_event
from csms.domain.handling import AnswerContext, Call, GatewayAnswer, Handled, Handler, Notes, Policy
from csms.domain.messages import COMMAND_RESULT, COMMAND_SENT, CONNECTION_CLOSED, CONNECTION_OPENED, ChargerMessage
from csms.domain.metering import meter_values_2, meter_values_16
from csms.domain.provisioning import boot_notification_2, boot_notification_16, notify_report
from csms.domain.repositories import UnitOfWork
from csms.domain.times import format_time
from csms.domain.transactions2 import transaction_event
from csms.domain.transactions16 import start_transaction, stop_transaction
from csms.ocpp.errors import ErrorCode
from csms.ocpp.versions import Version


class AnsweredBy(Enum):
    """Who answers a charger's CALL."""

    GATEWAY_MEMORY = "gateway, from memory"
    """At once; the message is published for its sign of life, now and then."""
    GATEWAY = "gateway"
    """After the broker's confirm: a fact, which needs no decision."""
    WORKER = "worker"
    """By a reply to the gateway: a decision."""
    NOBODY = "nobody"
    """A SEND of 2.1 has no answer; nor has what gateways tell of connections."""


# --- the gateway's answers


def empty(_: AnswerContext) -> dict[str, Any]:
    """For requests whose answer says nothing but "received"."""
    return {}


def current_time(context: AnswerContext) -> dict[str, Any]:
    """Heartbeat."""
    return {"currentTime": format_time(context.now)}


def registration(context: AnswerContext) -> dict[str, Any]:
    """BootNotification: what the door has decided."""
    return {
        "status": context.registration,
        "currentTime": format_time(context.now),
        "interval": context.heartbeat_interval_s,
    }


def rejected(_: AnswerContext) -> dict[str, Any]:
    """For requests of a service that csms does not offer, where the answer has a word for that."""
    return {"status": "Rejected"}


def received(_: AnswerContext) -> dict[str, Any]:
    """NotifyEVChargingSchedule: "Accepted" means that it could be processed, no approval (2.x part 2)."""
    return {"status": "Accepted"}


# --- what gateways tell


def opened(call: Call) -> Handled:
    """ConnectionOpened: commands that were kept for the charger go out."""
    release(call)
    return connection_opened(call)


# --- for decisions that csms does not take yet


def not_supported(call: Call) -> Handled:
    """An honest refusal: never an acceptance of what nobody does."""
    return Handled(error=ErrorCode.NOT_SUPPORTED, error_description="csms does not offer this yet")


@dataclass(frozen=True, slots=True)
class Action:
    """A row of the table. Without a handler the message is stored in the log, which is all that it is for now."""

    answered_by: AnsweredBy
    answer: GatewayAnswer | None = None
    handler: Handler | None = None


def _fact(handler: Handler | None = None, answer: GatewayAnswer = empty) -> Action:
    return Action(AnsweredBy.GATEWAY, answer, handler)


def _decision(handler: Handler) -> Action:
    return Action(AnsweredBy.WORKER, None, handler)


_FROM_GATEWAYS = {
    CONNECTION_OPENED: Action(AnsweredBy.NOBODY, None, opened),
    CONNECTION_CLOSED: Action(AnsweredBy.NOBODY, None, connection_closed),
    COMMAND_SENT: Action(AnsweredBy.NOBODY, None, command_sent),
    COMMAND_RESULT: Action(AnsweredBy.NOBODY, None, command_result),
}
_EVERY_VERSION = _FROM_GATEWAYS | {
    "Heartbeat": Action(AnsweredBy.GATEWAY_MEMORY, current_time, heartbeat),
    "DataTransfer": _decision(data_transfer),
    "FirmwareStatusNotification": _fact(firmware_status),
    "LogStatusNotification": _fact(log_status),
    "SecurityEventNotification": _fact(security_event),
    "SignCertificate": _decision(sign_certificate),
}
_V16 = _EVERY_VERSION | {
    "Authorize": _decision(authorize_16),
    "BootNotification": _fact(boot_notification_16, registration),
    "DiagnosticsStatusNotification": _fact(diagnostics_status),
    "MeterValues": _fact(meter_values_16),
    "SignedFirmwareStatusNotification": _fact(firmware_status),
    "StartTransaction": _decision(start_transaction),
    "StatusNotification": _fact(status_notification_16),
    "StopTransaction": _fact(stop_transaction),
}
_V201 = _EVERY_VERSION | {
    "Authorize": _decision(authorize_2),
    "BootNotification": _fact(boot_notification_2, registration),
    "ClearedChargingLimit": _fact(),
    "Get15118EVCertificate": _decision(not_supported),
    "GetCertificateStatus": _decision(not_supported),
    "MeterValues": _fact(meter_values_2),
    "NotifyChargingLimit": _fact(),
    "NotifyCustomerInformation": _fact(),
    "NotifyDisplayMessages": _fact(),
    "NotifyEVChargingNeeds": _fact(answer=rejected),
    "NotifyEVChargingSchedule": _fact(answer=received),
    "NotifyEvent": _fact(notify_event),
    "NotifyMonitoringReport": _fact(),
    "NotifyReport": _fact(notify_report),
    "PublishFirmwareStatusNotification": _fact(),
    "ReportChargingProfiles": _fact(),
    "ReservationStatusUpdate": _fact(),
    "StatusNotification": _fact(status_notification_2),
    # With a token the worker decides, without one the gateway answers: see answered_by().
    "TransactionEvent": Action(AnsweredBy.WORKER, empty, transaction_event),
}
_V21 = _V201 | {
    "BatterySwap": _fact(),
    "ClosePeriodicEventStream": _fact(),
    "GetCertificateChainStatus": _decision(not_supported),
    "NotifyDERAlarm": _fact(),
    "NotifyDERStartStop": _fact(),
    "NotifyPeriodicEventStream": Action(AnsweredBy.NOBODY),
    "NotifyPriorityCharging": _fact(),
    "NotifySettlement": _fact(),
    "OpenPeriodicEventStream": _fact(answer=rejected),
    "PullDynamicScheduleUpdate": _fact(answer=rejected),
    "ReportDERControl": _fact(),
    "VatNumberValidation": _decision(not_supported),
}

ACTIONS: Mapping[tuple[str, str], Action] = {
    (version.value, name): action
    for version, table in ((Version.V16, _V16), (Version.V201, _V201), (Version.V21, _V21))
    for name, action in table.items()
}
"""By version ("1.6") and message type: every action of a charger, and what gateways tell."""


def answered_by(version: str, action: str, payload: Mapping[str, Any]) -> AnsweredBy:
    """Who answers this CALL. KeyError for what no charger of ``version`` may send."""
    row = ACTIONS[version, action]
    if row.answered_by is AnsweredBy.WORKER and row.answer is not None and payload.get("idToken") is None:
        return AnsweredBy.GATEWAY
    return row.answered_by


def gateway_answer(version: str, action: str, context: AnswerContext) -> dict[str, Any]:
    """The payload of the CALLRESULT, where the gateway answers. KeyError where it does not."""
    answer = ACTIONS[version, action].answer
    if answer is None:
        raise KeyError(f"the gateway does not answer {action} of OCPP {version}")
    return answer(context)


def handle(message: ChargerMessage, uow: UnitOfWork, policy: Policy) -> Handled:
    """Let ``message`` have its effect. ``answer`` or ``error`` is set whenever the worker has to answer it.

    Raises nothing for content. An action that is not in the table has no effect but its place in the log.
    """
    charger = uow.chargers.get(message.charger_id)
    if charger is None:
        return Handled(error=ErrorCode.SECURITY_ERROR, error_description="this charger is not known (any more)")
    notes = Notes(message.message_id, message.timestamp)
    call = Call(message=message, uow=uow, policy=policy, charger=charger, notes=notes)
    seen(call)
    if message.deviations:
        uow.deviations.note(charger.id, message.message_type, message.deviations, at=message.timestamp)
    row = ACTIONS.get((message.ocpp_version, message.message_type))
    return call.done() if row is None or row.handler is None else row.handler(call)
