"""A charger for tests: sends messages to the handlers as gateway and worker would, and checks every answer's schema."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from csms.domain.actions import ACTIONS, AnsweredBy, answered_by, gateway_answer, handle
from csms.domain.handling import AnswerContext, Handled, Policy
from csms.domain.messages import ChargerMessage, Notification
from csms.domain.model import Charger, Connector, IdToken, Sample, Session
from csms.ocpp.schemas import NEVER_REFUSED, check_request, check_response
from csms.ocpp.versions import Version
from tests.domain.memory_unit import MemoryUnit, Unit

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
FIRST_CONNECTION = "000000000001-aaaaaaaaaaaa"


def iso(moment: datetime) -> str:
    """A time as most chargers write it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Station:
    """A charger named ``device_id`` and what we know of it. ``now`` moves only by :meth:`wait`."""

    def __init__(
        self,
        version: Version = Version.V16,
        *,
        policy: Policy | None = None,
        unit: Unit | None = None,
        device_id: str = "CP1",
    ) -> None:
        self.version = version
        self.policy = policy or Policy()
        self.place = unit or MemoryUnit()
        self.connection_id = FIRST_CONNECTION
        charger = Charger(device_id=device_id, connected=True, connection_id=FIRST_CONNECTION)
        self.charger = self.place.run(lambda uow: uow.chargers.add(charger))
        self.gateway = "gw1"
        self.now = NOON
        self.told: list[Notification] = []
        self._sent = 0

    def wait(self, **duration: float) -> None:
        """Let time pass: the arguments of :class:`datetime.timedelta`."""
        self.now += timedelta(**duration)

    def send(self, action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a CALL; a refusal fails."""
        handled = self.handle(action, payload)
        who = answered_by(self.version.value, action, payload)
        if who in (AnsweredBy.GATEWAY, AnsweredBy.GATEWAY_MEMORY):
            context = AnswerContext(
                now=self.now, registration=self.charger.registration.value, heartbeat_interval_s=300
            )
            answer = gateway_answer(self.version.value, action, context)
        else:
            assert handled.error is None, handled
            assert handled.answer is not None, "the worker has to answer"
            answer = handled.answer
        fault = check_response(self.version, action, answer)
        assert fault is None, str(fault)
        return answer

    def handle(self, action: str, payload: Mapping[str, Any]) -> Handled:
        """Let a message have its effect."""
        fault = None
        if not action.startswith(("Connection", "Command")):
            fault = check_request(self.version, action, dict(payload))
            assert fault is None or action in NEVER_REFUSED, f"the gateway would refuse this: {fault}"
        self._sent += 1
        message = ChargerMessage(
            device_id=self.charger.device_id,
            charger_id=self.charger.id,
            message_type=action,
            payload=dict(payload),
            timestamp=self.now,
            raw_data="",
            message_id=f"{int(self.now.timestamp() * 1000):012x}-{self.charger.id:06x}{self._sent:06x}",
            unique_id=str(self._sent),
            connection_id=self.connection_id,
            ocpp_version=self.version.value,
            gateway=self.gateway,
            fault="" if fault is None else str(fault),
        )
        handled = self.place.run(lambda uow: handle(message, uow, self.policy))
        assert handled.answer is None or (self.version.value, action) in ACTIONS
        self.told += handled.notifications
        return handled

    # --- what came of it

    @property
    def unit(self) -> MemoryUnit:
        """Where things are kept, when that is in memory."""
        assert isinstance(self.place, MemoryUnit)
        return self.place

    @property
    def sessions(self) -> list[Session]:
        return self.place.sessions_of(self.charger.id)

    @property
    def session(self) -> Session:
        """The only one."""
        (session,) = self.sessions
        return session

    @property
    def samples(self) -> list[Sample]:
        return self.place.samples_of(self.charger.id)

    def connector(self, number: int) -> Connector:
        return self.unit.chargers.places[self.charger.id, number, number]

    def kinds(self) -> list[str]:
        """Types of the notifications so far."""
        return [one.type for one in self.told]

    def last(self, kind: str) -> dict[str, Any]:
        """The fields of the newest notification of this type."""
        return next(one.data for one in reversed(self.told) if one.type == kind)

    # --- shorthand

    def know(self, token: str, **fields: Any) -> IdToken:
        """Make a token known to us."""
        return self.place.run(lambda uow: uow.id_tokens.add(IdToken(token=token, **fields)))

    def start(self, **fields: Any) -> int:
        """1.6 StartTransaction; its transaction id."""
        transaction_id: int = self.send("StartTransaction", self.start_request(**fields))["transactionId"]
        return transaction_id

    def start_request(self, **fields: Any) -> dict[str, Any]:
        return {"connectorId": 1, "idTag": "CARD", "meterStart": 1000, "timestamp": iso(self.now)} | fields

    def stop(self, transaction_id: object, **fields: Any) -> None:
        """1.6 StopTransaction."""
        self.send("StopTransaction", self.stop_request(transaction_id, **fields))

    def stop_request(self, transaction_id: object, **fields: Any) -> dict[str, Any]:
        return {"transactionId": transaction_id, "meterStop": 3500, "timestamp": iso(self.now)} | fields

    def event(self, kind: str, seq_no: int, **fields: Any) -> dict[str, Any]:
        """2.x TransactionEvent; its answer. ``state``, ``reason`` and ``transaction`` go into transactionInfo."""
        info = {"transactionId": fields.pop("transaction", "tx-1")}
        if "state" in fields:
            info["chargingState"] = fields.pop("state")
        if "reason" in fields:
            info["stoppedReason"] = fields.pop("reason")
        payload = {
            "eventType": kind,
            "timestamp": iso(fields.pop("at", self.now)),
            "triggerReason": "Trigger",
            "seqNo": seq_no,
            "transactionInfo": info,
        }
        return self.send("TransactionEvent", payload | fields)


def card(token: str = "CARD", kind: str = "ISO14443") -> dict[str, str]:
    """A 2.x idToken."""
    return {"idToken": token, "type": kind}


def sampled_16(at: datetime, *values: Mapping[str, str]) -> dict[str, Any]:
    """An element of 1.6 meterValue or transactionData."""
    return {"timestamp": iso(at), "sampledValue": [dict(value) for value in values]}


def register_2(at: datetime, wh: float, context: str = "Sample.Periodic") -> dict[str, Any]:
    """An element of 2.x meterValue with the energy register."""
    return {"timestamp": iso(at), "sampledValue": [{"value": wh, "context": context}]}
