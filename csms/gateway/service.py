"""The chargers' gateway as a service: start, stop, and the broker's ups and downs.

=========  ===========================================================================================
broker     chargers
=========  ===========================================================================================
UP         come in, are read, get answers
BLOCKED    are not read and new ones get 503; what is under way has its deadline
DOWN       are read (a short outage goes unnoticed), new ones get 503; after the deadline all are closed (1013)
=========  ===========================================================================================

Start and stop keep to an order. Nobody is let in before this gateway's queue is there. A stop first refuses new
chargers (503) and sends those that are here away little by little (see ``draining``); then it ends the listening and
the reading, waits for what is under way, closes whoever is left (1001) and tells so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from csms import metrics
from csms.config.settings import GatewaySettings
from csms.coroutines import spawn
from csms.domain import topology
from csms.domain.messages import COMMAND, BadMessage, CommandOrder, Reply, Takeover, decode
from csms.domain.repositories import OutboxRow
from csms.gateway.admission import Admission, Identity, Refusal
from csms.gateway.alarms import NO_CHARGER, Alarms
from csms.gateway.channel import Channel
from csms.gateway.charger import ChargerProtocol, Hold
from csms.gateway.charger_factory import CLOSE_TIMEOUT_S
from csms.gateway.clock import pause
from csms.gateway.command_desk import Desk
from csms.gateway.directory import Directory
from csms.gateway.draining import drain
from csms.gateway.identifiers import gateway_name
from csms.gateway.listening import Listening
from csms.gateway.liveness import BEAT_S, Liveness, Publish
from csms.gateway.quirk_file import load_quirks
from csms.gateway.registry import TAKEOVER, Registry
from csms.gateway.relay import Relay
from csms.gateway.socket import GOING_AWAY, TRY_AGAIN_LATER
from csms.gateway.tls import tls_event
from csms.gateway.upstream import Upstream
from csms.ocpp.versions import Version
from csms.ports import Broker, BrokerError, BrokerState, Consumer, Database, Delivery

SWEEP_S = 0.5
ATTACH_PAUSE_S = 1.0
RETRY_AFTER_S = 10.0
PREFETCH = 1000
_PULSES = 8
"""How often within a ping interval (or time-out) silent chargers are looked for."""
_POLL_S = 0.02
STOPS = "the gateway stops"

_log = Logger(namespace="csms.gateway")


def _leave_to_a_sweep(_: Sequence[OutboxRow]) -> None:
    """What is in the outbox comes out in the end."""


class ChargerGateway:
    """Listens for chargers and relays their messages.

    ``shards`` is the installation's number of shards, ``operator`` the organisation that client certificates must name.
    ``reactor`` is Twisted's: IReactorTime and IReactorTCP. ``publish`` brings out what the gateway itself has to tell.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        broker: Broker,
        database: Database,
        *,
        shards: int,
        reactor: Any,
        operator: str = "",
        publish: Publish = _leave_to_a_sweep,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._reactor = reactor
        directory = Directory(database, reactor, with_certificates=settings.mtls_port > 0)
        self._alarms = Alarms(database, reactor, publish)
        self._admission = Admission(settings, directory, self._alarms, reactor, operator=operator)
        self.name = gateway_name(settings)
        self._queue = topology.gateway_queue(self.name)
        self._registry = Registry(broker, self._queue, self._alarms, reactor)
        self._desk = Desk(database, reactor)
        self._upstream = Upstream(
            settings,
            broker,
            self._registry,
            self._admission.registration,
            self._desk,
            load_quirks(settings.quirks_file),
            shards=shards,
            clock=reactor,
        )
        self.listening = Listening(settings, self, reactor, operator=operator)
        """The ports."""
        self._liveness = Liveness(database, self.name, reactor, publish)
        self._protocols: set[ChargerProtocol] = set()
        """Open WebSockets, those that are closing included."""
        self._consumer: Consumer | None = None
        self._stopping = False
        self._down_since: float | None = None
        self._pulsed_at = 0.0
        self._sweeping = _every(self._sweep, reactor)
        self._beating = _every(lambda: spawn(self._liveness.beat(), "gateway alive"), reactor)
        self._attaching: Deferred[None] | None = None

    # --- for others

    @property
    def connections(self) -> int:
        """Chargers connected to this gateway."""
        return len(self._registry)

    @property
    def port(self) -> int:
        """The port without TLS; 0 before the start and after the stop."""
        return self.listening.port()

    @property
    def ready_reason(self) -> str:
        """Why chargers are not let in, for a person; empty when they are."""
        if self._stopping:
            return STOPS
        if not self.listening.open:
            return "not listening for chargers"
        if self._broker.state is not BrokerState.UP:
            return self._broker.reason or f"the broker is {self._broker.state.value}"
        if self._consumer is None:
            return "the gateway's queue is not declared yet"
        if not self._liveness.begun:
            return "the database has not answered yet"
        return ""

    async def start(self) -> None:
        """Listen; chargers get 503 until broker and database have answered.

        Raises what :meth:`Listening.start` raises.
        """
        await self.listening.start()
        self._broker.on_state(self._broker_changed)
        self._broker_changed(self._broker.state)
        self._attaching = spawn(self._attach(), "attach gateway to broker")
        self._sweeping.start(SWEEP_S, now=False)
        self._beating.start(BEAT_S)

    async def stop(self) -> None:
        """Send the chargers away, finish what was taken, tell so. Bounded by the deadlines of the settings."""
        self._stopping = True
        await self._drain()
        self._upstream.stopping = self._desk.stopping = True
        self._registry.binding = False
        await self.listening.stop()
        for handshake in tuple(self.listening.handshakes):
            handshake.failHandshake("stopping", 503)
        for protocol in self._protocols:
            protocol.keep_back(Hold.STOPPING)
        settings = self._settings
        await self._until(lambda: self._upstream.idle, settings.publish_deadline_s + settings.answer_deadline_s)
        self._close_all(GOING_AWAY, STOPS)
        await self._until(lambda: not self._sockets(), CLOSE_TIMEOUT_S + SWEEP_S)
        for protocol in self._sockets():
            protocol.fail()
        await self._until(lambda: self._upstream.idle and not self._sockets(), settings.publish_deadline_s)
        for call in (self._sweeping, self._beating):
            if call.running:
                call.stop()
        await self._alarms.finish()
        if self._attaching is not None:
            self._attaching.cancel()
        if self._consumer is not None:
            await self._consumer.cancel()

    async def _drain(self) -> None:
        within_s = self._settings.drain_s
        if within_s and self.connections:
            _log.info("sending {count} chargers away, within {within_s:g} s", count=self.connections, within_s=within_s)
            holders = self._registry.holders
            await drain(holders, within_s=within_s, clock=self._reactor, code=GOING_AWAY, reason=STOPS)

    # --- for the protocols (charger.Gate)

    async def admit(self, device_id: str, authorization: str | None, channel: Channel) -> Identity:
        """Let a charger in or raise Refusal."""
        self._refuse_unless_ready(device_id)
        identity = await self._admission.admit(device_id, authorization, channel)
        self._refuse_unless_ready(device_id)
        return identity

    def opened(self, protocol: ChargerProtocol, identity: Identity, version: Version) -> Relay:
        """A WebSocket is open: its charger's messages are relayed from now on."""
        relay = Relay(self._upstream, protocol, identity, version)
        self._protocols.add(protocol)
        relay.opened(protocol.address)
        return relay

    def closed(self, protocol: ChargerProtocol) -> None:
        """A socket is gone."""
        self._protocols.discard(protocol)

    def tls_refused(self, address: str, reason: str) -> None:
        """Nobody has said yet who they are, so it is no charger's event."""
        event = tls_event(reason)
        if event:
            self._alarms.tell(NO_CHARGER, "", event, f"{reason}; from {address}")

    def _refuse_unless_ready(self, device_id: str) -> None:
        reason = self.ready_reason
        if not reason and len(self._registry) >= self._settings.max_connections and device_id not in self._registry:
            reason = "too many chargers are connected"
        if reason:
            raise Refusal(503, reason, retry_after_s=RETRY_AFTER_S)

    # --- the broker

    async def _attach(self) -> None:
        """Declare this gateway's queue and take what comes to it, as soon as the broker lets us."""
        while self._consumer is None:
            await self._broker.when_up()
            try:
                await self._broker.declare_private(self._queue)
                self._consumer = await self._broker.consume(self._queue, self._delivered, prefetch=PREFETCH)
            except BrokerError as error:
                _log.warn("cannot declare {queue}: {error}", queue=self._queue, error=str(error))
                await pause(self._reactor, ATTACH_PAUSE_S)

    def _delivered(self, delivery: Delivery) -> None:
        """Something for one of our chargers. The queue is ours alone: what is not understood is of use to nobody."""
        delivery.ack()
        message = delivery.message
        try:
            if message.type == TAKEOVER:
                self._registry.take_over(decode(Takeover, message.body))
            elif message.type == COMMAND:
                self._registry.command(decode(CommandOrder, message.body))
            else:
                self._upstream.replies.take(decode(Reply, message.body))
        except BadMessage as error:
            metrics.REPLIES_DROPPED.labels("unreadable").inc()
            _log.warn("{queue}: {error}", queue=self._queue, error=str(error), message_id=message.message_id)
        except Exception:
            _log.failure("{queue}: a message failed", queue=self._queue, message_id=message.message_id)

    def _broker_changed(self, state: BrokerState) -> None:
        self._down_since = self._reactor.seconds() if state is BrokerState.DOWN else None
        for protocol in self._protocols:
            if state is BrokerState.BLOCKED:
                protocol.keep_back(Hold.BROKER_BLOCKED)
            elif state is BrokerState.UP:
                protocol.release(Hold.BROKER_BLOCKED)

    # --- time

    def _sweep(self) -> None:
        """Every deadline that has no timer of its own."""
        now = self._reactor.seconds()
        self.listening.sweep(now)
        self._upstream.replies.expire(now)
        self._desk.sweep(now)
        self._alarms.sweep()
        if self._down_since is not None and now - self._down_since >= self._settings.publish_deadline_s:
            self._close_all(TRY_AGAIN_LATER, "try again later")
        interval_s, timeout_s = self._settings.ping_interval_s, self._settings.ping_timeout_s
        if interval_s and now - self._pulsed_at >= min(interval_s, timeout_s) / _PULSES:
            self._pulsed_at = now
            for protocol in tuple(self._protocols):
                protocol.pulse(now, interval_s, timeout_s)

    def _sockets(self) -> Sequence[ChargerProtocol]:
        return tuple({*self._protocols, *self.listening.handshakes, *self.listening.closing})

    def _close_all(self, code: int, reason: str) -> None:
        for protocol in tuple(self._protocols):
            if protocol.relay is not None:
                protocol.relay.close(code, reason)

    async def _until(self, condition: Callable[[], bool], limit_s: float) -> None:
        """Wait for ``condition``, but not longer than ``limit_s``."""
        deadline = self._reactor.seconds() + limit_s
        while not condition() and self._reactor.seconds() < deadline:
            await pause(self._reactor, _POLL_S)


def _every(call: Callable[[], object], reactor: Any) -> LoopingCall:
    """``call`` at intervals; an exception is logged and does not end the loop."""

    def contained() -> object:
        try:
            return call()
        except Exception:
            _log.failure("a periodic duty of the gateway failed")
            return None

    looping = LoopingCall(contained)
    looping.clock = reactor
    return looping
