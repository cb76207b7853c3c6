"""The way of one charger's messages: to the broker, wait for the confirm, answer. The heart of the promise.

::

    frame --> ocpp.Connection --> CallReceived --+--> answered from memory                          (Heartbeat)
                                                 +--> publish --> confirmed --> answered            (facts)
                                                 +--> publish --> worker --> Reply --> answered     (decisions)
                                                 +--> no confirm, no decision in time --> silence, close 1013

**What a charger saw answered is confirmed by the broker, or came from a worker that had committed it.** A failure of
ours is never a CALLERROR: a 1.6 charger may throw a transaction's message away after a few of them. Silence and a
closed socket make it offline in its own eyes, and it keeps its queue.

The connection hands out one CALL at a time, so a charger's messages stay in its order whatever waits.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from twisted.logger import Logger

from csms import metrics
from csms.coroutines import spawn
from csms.domain.actions import ACTIONS, AnsweredBy, answered_by, gateway_answer
from csms.domain.handling import AnswerContext
from csms.domain.messages import CommandOrder, Reply
from csms.gateway.admission import Identity
from csms.gateway.commands import CommandLine
from csms.gateway.outlet import Outlet
from csms.gateway.socket import INTERNAL_ERROR, POLICY_VIOLATION, TRY_AGAIN_LATER, Socket
from csms.gateway.upstream import Upstream
from csms.ocpp.connection import Connection
from csms.ocpp.errors import ErrorCode
from csms.ocpp.events import (
    AnswerRefused,
    CallLost,
    CallReceived,
    ErrorReceived,
    Event,
    Flooded,
    Ignored,
    Refused,
    Replayed,
    ResultReceived,
    SendReceived,
    SendText,
)
from csms.ocpp.registration import Registration
from csms.ocpp.versions import Version
from csms.ports import BrokerError
from csms.walltime import utc

SEEN_INTERVAL_S = 60.0
"""A charger that only sends heartbeats is told of this often, so that it counts as seen."""
_UNKNOWN = "unknown"

# Looked up twice for each message; the labels are few, see csms.metrics.
_messages = functools.cache(metrics.MESSAGES.labels)
_answer_seconds = functools.cache(metrics.ANSWER_SECONDS.labels)
_log = Logger(namespace="csms.gateway")


class Relay:
    """One charger's connection, from the open WebSocket to its end."""

    __slots__ = (
        "_answering",
        "_awaited",
        "_commands",
        "_ended",
        "_full",
        "_leave_with",
        "_ocpp",
        "_outlet",
        "_socket",
        "_upstream",
        "charger_id",
        "connection_id",
        "device_id",
        "opened_at",
    )

    def __init__(self, upstream: Upstream, socket: Socket, identity: Identity, version: Version) -> None:
        self._outlet = Outlet(upstream, identity, version)
        self.device_id = identity.device_id
        self.charger_id = identity.charger_id
        self.connection_id = self._outlet.connection_id
        self.opened_at = upstream.clock.seconds()
        self._upstream = upstream
        self._socket = socket
        self._awaited = ""
        """Id of the message whose decision is awaited."""
        self._answering = False
        """A CALL of the charger's is under way."""
        self._leave_with: tuple[int, str] | None = None
        """The close code and reason, once it is decided that the connection is to end."""
        self._full = False
        self._ended = False
        self._commands: CommandLine | None = None
        self._ocpp = Connection(
            version,
            registration=Registration(identity.registration.value),
            max_queued_calls=upstream.settings.max_queued_calls,
            max_queued_chars=upstream.settings.max_message_bytes,
            quirks=upstream.quirks,
            station=identity.station,
        )

    # --- what the socket tells

    def opened(self, remote: str) -> None:
        """The WebSocket is open: this is the charger's connection now."""
        version = self._ocpp.version
        metrics.CONNECTIONS.labels(version.value).inc()
        _log.info(
            "charger {charger} connected with OCPP {version}",
            charger=self.device_id,
            version=version.value,
            connection_id=self.connection_id,
            remote=remote,
        )
        self._upstream.registry.add(self)
        opened = {"remote": remote, "ocppVersion": version.value}
        spawn(self._tell_opened(opened), "connection opened")

    def received(self, data: bytes) -> None:
        """A text frame arrived."""
        if not self._ended:
            self._heed(self._ocpp.receive(data))

    def received_binary(self, length_bytes: int) -> None:
        """A binary frame arrived."""
        if not self._ended:
            self._heed(self._ocpp.receive_binary(length_bytes))

    def ended(self, code: int, reason: str) -> None:
        """The connection is over, or we have just decided so: whatever still comes is not for it."""
        if self._ended:
            return
        self._ended = True
        lost = self._ocpp.lost()
        if self._commands is not None:
            self._commands.end()
            for event in lost:
                if isinstance(event, CallLost):
                    self._commands.heed(event)
        if self._awaited:
            self._upstream.replies.forget(self._awaited)
        self._upstream.registry.remove(self)
        metrics.CONNECTIONS.labels(self._ocpp.version.value).dec()
        metrics.CLOSED.labels(str(code) if 1000 <= code < 1016 else "other").inc()
        _log.info(
            "charger {charger} disconnected: {code} {reason}",
            charger=self.device_id,
            code=code,
            reason=reason,
            connection_id=self.connection_id,
        )
        spawn(self._tell_closed({"code": code, "reason": reason}), "connection closed")

    # --- what the gateway tells

    def displaced(self) -> None:
        """The charger has a newer connection."""
        self.close(POLICY_VIOLATION, "replaced by a newer connection")

    def close(self, code: int, reason: str) -> None:
        """End the connection from our side."""
        if not self._ended:
            self.ended(code, reason)
            self._socket.close(code, reason)

    @property
    def leaving(self) -> bool:
        """Whether the charger is on its way to another gateway."""
        return self._ended or self._leave_with is not None

    @property
    def commanded(self) -> bool:
        """Whether a command is on its way to the charger or waits for the charger's answer."""
        return self._commands is not None and self._commands.working

    def leave(self, code: int, reason: str) -> None:
        """End the connection as soon as nothing is under way. What the charger sends from now on stays with it."""
        if not self.leaving:
            self._leave_with = (code, reason)
            if self._commands is not None:
                self._commands.finish()
            self.rested()

    def rested(self) -> None:
        """Something that was under way is done."""
        if self._leave_with is not None and not self._answering and not self.commanded:
            self.close(*self._leave_with)

    def command(self, order: CommandOrder) -> None:
        """Send a command to the charger when it is its turn; one that comes too late finds the next connection."""
        if self.leaving:
            return
        if self._commands is None:
            self._commands = CommandLine(self._upstream.desk, self, self._ocpp, self._outlet)
        self._commands.add(order)

    def write(self, text: str) -> None:
        """A CALL of ours."""
        self._socket.send_text(text)

    # --- events of the connection

    def _heed(self, events: Sequence[Event]) -> None:
        while events:
            following: list[Event] = []
            for event in events:
                match event:
                    case SendText():
                        self._send(event)
                    case CallReceived():
                        following += self._call(event)
                    case _:
                        self._note(event)
            events = following
        full = self._ocpp.should_pause
        if full is not self._full:
            self._full = full
            self._socket.hold(full)

    def _send(self, event: SendText) -> None:
        if event.fault is not None:
            metrics.ANSWER_FAULTS.inc()
            _log.error(
                "our answer to {charger} breaks its schema: {fault}",
                charger=self.device_id,
                fault=str(event.fault),
                connection_id=self.connection_id,
            )
        self._socket.send_text(event.text)

    def _note(self, event: Event) -> None:
        match event:
            case Refused():
                _messages(self._label(event.action), "refused").inc()
                self._debug("CALL {unique_id} refused: {why}", event.unique_id, event.description)
                spawn(self._outlet.refused(event), "refused CALL")
            case Replayed():
                _messages(self._label(event.action), "replayed").inc()
            case Ignored():
                metrics.BAD_FRAMES.labels(event.why.value).inc()
                self._debug("frame {unique_id} ignored: {why}", event.unique_id, f"{event.why.value} {event.detail}")
            case SendReceived():
                spawn(self._pass_on(event), "SEND")
            case AnswerRefused():
                metrics.BAD_FRAMES.labels("answer_refused").inc()
                self._debug("our answer {unique_id} was refused: {why}", event.unique_id, event.description)
            case ResultReceived() | ErrorReceived():
                if self._commands is not None:
                    self._commands.heed(event)
            case Flooded():
                self.close(POLICY_VIOLATION, "too many CALLs at once")
            case _:
                self._debug("{why} without a CALL of ours", "", type(event).__name__)

    def _debug(self, text: str, unique_id: str, why: str) -> None:
        _log.debug(text, charger=self.device_id, unique_id=unique_id, why=why, connection_id=self.connection_id)

    def _label(self, action: str) -> str:
        return action if (self._ocpp.version.value, action) in ACTIONS else _UNKNOWN

    # --- a CALL

    def _call(self, call: CallReceived) -> Sequence[Event]:
        """Begin to deal with the CALL that was handed out; the events of an answer given at once."""
        if self._upstream.stopping or self.leaving:
            return ()
        who = answered_by(self._ocpp.version.value, call.action, call.payload)
        if who is AnsweredBy.GATEWAY_MEMORY:
            return self._answer_from_memory(call)
        self._answering = True
        spawn(self._relay(call, decided=who is AnsweredBy.WORKER), "relay")
        return ()

    def _answer_from_memory(self, call: CallReceived) -> Sequence[Event]:
        if self._upstream.clock.seconds() - self._outlet.told_at >= SEEN_INTERVAL_S:
            spawn(self._pass_on(call), "last seen")
        _messages(call.action, "answered").inc()
        return self._ocpp.answer(call.unique_id, self._gateway_answer(call))

    async def _relay(self, call: CallReceived, *, decided: bool) -> None:
        try:
            await self._publish_and_answer(call, decided=decided)
        except Exception:
            self._failed(call)

    async def _publish_and_answer(self, call: CallReceived, *, decided: bool) -> None:
        upstream = self._upstream
        began = upstream.clock.seconds()
        message_id = self._outlet.new_id(began)
        if decided:
            self._awaited = message_id
            upstream.replies.expect(
                message_id, self.connection_id, began, lambda reply: self._decided(call, reply, began)
            )
        try:
            await self._outlet.publish(call, message_id, wants_reply=decided)
        except BrokerError as error:
            if not decided or upstream.replies.forget(message_id):
                self._give_up(call, f"not confirmed: {error}")
            return
        if decided:
            return
        if call.action == "BootNotification":
            await self._look_at_registration()
        if self._ended:
            return
        answer = self._gateway_answer(call)
        _answer_seconds("gateway").observe(upstream.clock.seconds() - began)
        _messages(call.action, "answered").inc()
        self._answered(self._ocpp.answer(call.unique_id, answer))

    def _answered(self, events: Sequence[Event]) -> None:
        """A CALL has its answer; ``events`` send it, and hand out the next."""
        self._answering = False
        self._heed(events)
        self.rested()

    def _decided(self, call: CallReceived, reply: Reply | None, began: float) -> None:
        """A worker has decided about ``call``; None: it did not in time."""
        self._awaited = ""
        if reply is None:
            self._give_up(call, "no decision in time")
            return
        _answer_seconds("worker").observe(self._upstream.clock.seconds() - began)
        _messages(call.action, "answered" if reply.payload is not None else "refused").inc()
        try:
            if reply.payload is not None:
                events = self._ocpp.answer(call.unique_id, reply.payload)
            else:
                code = ErrorCode.__members__.get(reply.error_code, ErrorCode.GENERIC_ERROR)
                events = self._ocpp.answer_error(call.unique_id, code, reply.error_description)
            self._answered(events)
        except Exception:
            self._failed(call)

    def _failed(self, call: CallReceived) -> None:
        """Log the exception that is being handled; the charger would wait for ever, so it is let go."""
        _log.failure("{action} of {charger} failed", action=call.action, charger=self.device_id)
        self.close(INTERNAL_ERROR, "internal error")

    def _give_up(self, call: CallReceived, why: str) -> None:
        """The charger gets no answer and keeps its message."""
        _messages(call.action, "silent").inc()
        _log.warn(
            "no answer to {action} of {charger}: {why}",
            action=call.action,
            charger=self.device_id,
            why=why,
            unique_id=call.unique_id,
            connection_id=self.connection_id,
        )
        self.close(TRY_AGAIN_LATER, "try again later")

    async def _look_at_registration(self) -> None:
        registration = await self._upstream.registration(self.device_id)
        if registration is not None:
            self._ocpp.registration = Registration(registration.value)

    def _gateway_answer(self, call: CallReceived) -> dict[str, Any]:
        upstream = self._upstream
        context = AnswerContext(
            now=utc(upstream.clock),
            registration=self._ocpp.registration.value,
            heartbeat_interval_s=upstream.settings.heartbeat_interval_s,
        )
        return gateway_answer(self._ocpp.version.value, call.action, context)

    # --- what needs no answer

    async def _pass_on(self, event: CallReceived | SendReceived) -> None:
        """Publish what may be lost; it is counted then."""
        outcome = "passed_on"
        try:
            await self._outlet.publish(event, self._outlet.new_id(self._upstream.clock.seconds()))
        except BrokerError:
            outcome = "lost"
        _messages(event.action, outcome).inc()

    async def _tell_opened(self, payload: dict[str, Any]) -> None:
        try:
            await self._outlet.opened(payload)
        except BrokerError:
            self.close(TRY_AGAIN_LATER, "try again later")

    async def _tell_closed(self, payload: dict[str, Any]) -> None:
        try:
            await self._outlet.closed(payload)
        except BrokerError as error:
            _log.warn("end of {charger}'s connection not told: {error}", charger=self.device_id, error=str(error))
