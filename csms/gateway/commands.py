"""Commands to chargers: the bounded line before each charger, and the way of each command over the socket.

::

    CommandOrder --> line (by priority) --> claimed --> CommandSent confirmed --> written --> CommandResult
                                     |             \\-> connection or broker gone: given back
                                     +--> not ours to send (any more): dropped

A command is claimed in the database before anything is written, and nobody can claim it twice: two gateways that both
believe they hold the charger, or an order that comes twice, never write it twice. What a gateway has claimed and not
answered for when it dies has an unknown outcome, and is never sent again.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from csms import metrics
from csms.coroutines import spawn
from csms.domain.command_model import CommandState
from csms.domain.commands import MAX_OPEN
from csms.domain.messages import CommandOrder
from csms.domain.secrets import without_secrets
from csms.gateway.command_desk import Desk
from csms.gateway.outlet import Outlet
from csms.ocpp import frames
from csms.ocpp.connection import Connection
from csms.ocpp.errors import LocalError
from csms.ocpp.events import CallLost, CallTimedOut, ErrorReceived, ResultReceived, Why
from csms.ocpp.outbox import REMEMBERED_CALLS
from csms.ports import BrokerError

QUEUE_FULL = "QueueFull"
NOT_SENDABLE = "NotSendable"

Outcome = ResultReceived | ErrorReceived | CallTimedOut | CallLost
_read = msgspec.json.Decoder(dict[str, Any]).decode
_log = Logger(namespace="csms.gateway")


class Holder(Protocol):
    """The connection that a line belongs to."""

    device_id: str
    connection_id: str

    def write(self, text: str) -> None:
        """Send a text frame."""
        ...

    def rested(self) -> None:
        """No command is under way any more."""
        ...


class CommandLine:
    """The commands that wait for one connection: one at a time, by priority, then in the order of their arrival."""

    def __init__(self, desk: Desk, holder: Holder, ocpp: Connection, outlet: Outlet) -> None:
        self._desk = desk
        self._holder = holder
        self._ocpp = ocpp
        self._outlet = outlet
        self._waiting: list[tuple[int, int, CommandOrder]] = []
        self._ids: set[str] = set()
        self._overdue: dict[str, CommandOrder] = {}
        """Those that were not answered in time, and still may be."""
        self._arrived = 0
        self.working = False
        """A command is on its way to the charger or waits for the charger's answer."""
        self._finishing = False
        self._ended = False
        self._answer: Deferred[Outcome] | None = None

    def add(self, order: CommandOrder) -> None:
        """An order came, maybe not for the first time."""
        if self._over or order.command_id in self._ids:
            return
        if len(self._waiting) >= MAX_OPEN:
            why = f"{MAX_OPEN} commands wait for this charger already"
            self._tell(order, CommandState.INVALID, errorCode=QUEUE_FULL, errorDescription=why)
            return
        self._ids.add(order.command_id)
        self._arrived += 1
        heappush(self._waiting, (order.priority, self._arrived, order))
        if not self.working:
            self.working = True
            spawn(self._work(), "commands")

    def heed(self, event: Outcome) -> None:
        """The charger has answered, or nobody waits for it any longer."""
        if isinstance(event, ResultReceived | ErrorReceived) and event.late:
            metrics.BAD_FRAMES.labels(Why.LATE_ANSWER.value).inc()
            overdue = self._overdue.pop(event.unique_id, None)
            if overdue is not None:
                self._tell_outcome(overdue, event)
            return
        answer, self._answer = self._answer, None
        self._desk.in_hand.discard(self)
        if answer is not None:
            answer.callback(event)

    def tick(self, now: float) -> None:
        """Time has passed."""
        for event in self._ocpp.timeout(now):
            if isinstance(event, CallTimedOut):
                self.heed(event)

    def finish(self) -> None:
        """The connection is about to end: only what is written may be answered, what waits goes to the next one."""
        self._finishing = True
        self._waiting.clear()

    def end(self) -> None:
        """The connection is over: what waits here finds its way to the next one."""
        self._ended = True
        self._waiting.clear()
        self._ids.clear()

    @property
    def _over(self) -> bool:
        """Nothing is to be written any more."""
        return self._ended or self._finishing or self._desk.stopping

    async def _work(self) -> None:
        try:
            while self._waiting and not self._desk.stopping:
                _, _, order = heappop(self._waiting)
                try:
                    await self._perform(order)
                except Exception:
                    _log.failure("command {id} failed", id=order.command_id, charger=order.device_id)
                self._ids.discard(order.command_id)
        finally:
            self.working = False
            self._holder.rested()

    async def _perform(self, order: CommandOrder) -> None:
        if not await self._desk.claim(order):
            metrics.COMMANDS.labels(order.action, "dropped").inc()
            return
        payload = _read(order.payload)
        told = frames.encode(frames.Call(order.command_id, order.action, without_secrets(payload)))
        try:
            await self._outlet.command_sent(order, told)
        except BrokerError as error:
            _log.warn("command {id} is not sent: {error}", id=order.command_id, error=str(error))
            await self._desk.give_back(order)
            return
        if self._over:
            await self._desk.give_back(order)
            return
        try:
            text = self._ocpp.call(order.command_id, order.action, payload, self._desk.clock.seconds(), order.timeout_s)
        except LocalError as error:
            self._tell(order, CommandState.INVALID, errorCode=NOT_SENDABLE, errorDescription=str(error))
            return
        answer: Deferred[Outcome] = Deferred()
        self._answer = answer
        self._desk.in_hand.add(self)
        self._holder.write(text)
        self._tell_outcome(order, await answer)

    def _tell_outcome(self, order: CommandOrder, event: Outcome) -> None:
        match event:
            case ResultReceived():
                fault = str(event.fault) if event.fault is not None else ""
                answer = without_secrets(event.payload)
                raw = (
                    event.raw if answer is event.payload else frames.encode(frames.CallResult(order.command_id, answer))
                )
                self._tell(order, CommandState.ANSWERED, raw=raw, answer=answer, fault=fault)
            case ErrorReceived():
                code, description = event.code, event.description
                self._tell(order, CommandState.REFUSED, raw=event.raw, errorCode=code, errorDescription=description)
            case CallTimedOut():
                self._overdue[order.command_id] = order
                if len(self._overdue) > REMEMBERED_CALLS:
                    del self._overdue[next(iter(self._overdue))]
                self._tell(order, CommandState.TIMED_OUT, errorDescription="the charger has not answered in time")
            case CallLost():
                self._tell(order, CommandState.UNKNOWN, errorDescription="the connection ended before the answer")

    def _tell(self, order: CommandOrder, outcome: CommandState, *, raw: str = "", **fields: Any) -> None:
        metrics.COMMANDS.labels(order.action, outcome.value).inc()
        payload = {"outcome": outcome.value} | {name: value for name, value in fields.items() if value != ""}
        spawn(self._publish_result(order, payload, raw), "result of a command")

    async def _publish_result(self, order: CommandOrder, payload: dict[str, Any], raw: str) -> None:
        try:
            await self._outlet.command_result(order, payload, raw)
        except BrokerError as error:
            # The gateway stops: the sweep of commands will call the outcome unknown.
            _log.warn("the result of command {id} is not told: {error}", id=order.command_id, error=str(error))
