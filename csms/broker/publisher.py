"""Messages on their way out: the map of what is not confirmed yet, in order, bounded, each with its deadline.

Confirms are matched by our own count of publishes on the channel, returns by message id and address: neither AMQP nor a
library's bookkeeping is trusted to say which message a basic.return belongs to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from csms.broker.wire import Channel, Received
from csms.ports import BrokerError, Message, PublishTimeout, Unroutable

WINDOW = 2000
"""Messages on the wire at once without a confirm; further ones wait here."""
MAX_MESSAGES = 50_000
MAX_BYTES = 256 * 1024 * 1024
SWEEP_S = 0.1
STALLED_SWEEPS = 60
"""A channel that confirms nothing for 6 s is given up: a new one has the rest of the usual deadline of 8 s. In sweeps,
because those that a process missed while it was stopped do not count.
"""
REFUSALS = 3
"""So is a channel that refuses one message so often, once a sweep: RabbitMQ 3.10 lets a channel that is opened in the
second after the death of a queue's leader believe in the dead one for good, while the next channel works.
"""
OVERTAKEN_SWEEPS = 60
"""And one that confirms what was sent so much later than something that it has not settled: what RabbitMQ 3.10 has for
a stream whose leader has died may wait on a channel as long as that lives, while other messages are confirmed as ever.
"""
COMPLAINTS = {
    "silence": "it does not confirm",
    "refusals": "it does not confirm, but refuse",
    "overtaken": "it does not confirm all that it should",
}
CALM_SWEEPS = 100
MOST_SWEEPS = 600
"""Each time in a row, a channel gets twice as long, up to a minute: what is sent again over and over would keep a
broker that is slow from ever coming to an end.
"""

Key = tuple[str, str, str, int]
"""Exchange, routing key, message id, and a number that tells twins apart which are on their way together."""


class Outgoing:
    """A message that somebody waits for."""

    __slots__ = ("deadline", "deferred", "key", "mandatory", "message", "refusals", "returned", "sent_in")

    def __init__(self, key: Key, message: Message, mandatory: bool, deadline: float) -> None:
        self.key = key
        self.message = message
        self.mandatory = mandatory
        self.deadline = deadline
        self.returned = False
        self.refusals = 0
        """On the channel of now."""
        self.sent_in = 0
        """The sweep before which it was sent."""
        self.deferred: Deferred[None] | None = Deferred()


class Publisher:
    """Sends messages in the order of the calls and settles each by confirm, return or deadline.

    Without a channel, or while blocked, messages wait; a new channel gets all that is unconfirmed, in order.
    ``on_stall`` is called, with the reason, when the channel should be replaced, because it does not settle what is on
    the wire.
    """

    def __init__(self, clock: IReactorTime, on_stall: Callable[[str], None]) -> None:
        self._clock = clock
        self._on_stall = on_stall
        self._silence = 0
        self._sweeps = 0
        self._newest_confirmed = 0
        """The sweep before which it was sent."""
        self._calm = {"refusals": 0, "overtaken": 0}
        """Sweeps without one."""
        self._patience = {"silence": 1, "refusals": 1, "overtaken": 1}
        self._channel: Channel | None = None
        self._blocked = False
        self._outgoing: dict[Key, Outgoing] = {}
        self._most_twins = 0
        self._bytes = 0
        self._unsent: deque[Outgoing] = deque()
        self._refused: list[Outgoing] = []
        self._on_wire: dict[int, Outgoing] = {}
        self._next_tag = 1
        self._oldest_tag = 1
        self._sweep_call: IDelayedCall | None = None
        self._when_empty: list[Deferred[None]] = []
        self._closed = False

    def publish(
        self, exchange: str, routing_key: str, message: Message, *, deadline_s: float, mandatory: bool
    ) -> Deferred[None]:
        """Take ``message``; fires when it is confirmed, fails with PublishTimeout or Unroutable."""
        key = (exchange, routing_key, message.message_id, 0)
        while key in self._outgoing:
            key = (*key[:3], key[3] + 1)
            self._most_twins = max(self._most_twins, key[3])
        outgoing = Outgoing(key, message, mandatory, self._clock.seconds() + deadline_s)
        deferred = outgoing.deferred
        assert deferred is not None
        if self._closed:
            outgoing.deferred = None
            deferred.errback(BrokerError("the broker connection was stopped"))
            return deferred
        if len(self._outgoing) >= MAX_MESSAGES or self._bytes + len(message.body) > MAX_BYTES:
            outgoing.deferred = None
            deferred.errback(PublishTimeout(f"{len(self._outgoing)} messages wait for the broker already"))
            return deferred
        self._outgoing[key] = outgoing
        self._bytes += len(message.body)
        if self._unsent or self._channel is None or self._blocked or len(self._on_wire) >= WINDOW:
            self._unsent.append(outgoing)
        else:
            self._send(self._channel, outgoing)
        if self._sweep_call is None:
            self._sweep_call = self._clock.callLater(SWEEP_S, self._sweep)
        return deferred

    # --- the channel -------------------------------------------------------------------------------------------

    def attach(self, channel: Channel) -> None:
        """Send everything unconfirmed on this new channel, with the message ids that it had."""
        self._channel = channel
        self._next_tag = self._oldest_tag = 1
        self._on_wire.clear()
        self._refused.clear()
        self._silence = 0
        self._newest_confirmed = 0
        self._unsent = deque(self._outgoing.values())
        for outgoing in self._unsent:
            outgoing.returned = False
            outgoing.refusals = 0
        self._pump()

    def detach(self) -> None:
        """The channel is gone; what was on it waits for the next one."""
        self._channel = None

    def set_blocked(self, blocked: bool) -> None:
        """Hold messages back while the broker has an alarm."""
        if blocked is not self._blocked:
            self._silence = 0
        self._blocked = blocked
        if not blocked:
            self._pump()

    def confirmed(self, tag: int, *, multiple: bool) -> None:
        """The broker has this publish (``multiple``: and all before) safe."""
        self._silence = 0
        self._patience["silence"] = 1
        settled = self._off_wire(tag, multiple)
        if settled:
            self._newest_confirmed = max(self._newest_confirmed, settled[-1].sent_in)
        for outgoing in settled:
            if outgoing.returned:
                self._settle(outgoing, Unroutable(f"no queue takes {outgoing.key[0]} {outgoing.key[1]}"))
            else:
                self._settle(outgoing, None)
        self._pump()

    def refused(self, tag: int, *, multiple: bool) -> None:
        """The broker did not take this publish: try again a little later."""
        for outgoing in self._off_wire(tag, multiple):
            outgoing.refusals += 1
            if outgoing.deferred:
                self._refused.append(outgoing)

    def returned(self, exchange: str, routing_key: str, message_id: str) -> None:
        """No queue took this one; the confirm that follows only says that it is settled."""
        for twin in range(self._most_twins + 1):
            outgoing = self._outgoing.get((exchange, routing_key, message_id, twin))
            if outgoing is not None and not outgoing.returned:
                outgoing.returned = True
                return

    def received(self, received: Received) -> None:
        """Nothing is consumed on a publisher's channel."""

    # --- the end -----------------------------------------------------------------------------------------------

    def when_empty(self) -> Deferred[None]:
        """Fires when every message is settled."""
        deferred: Deferred[None] = Deferred()
        if self._outgoing:
            self._when_empty.append(deferred)
        else:
            deferred.callback(None)
        return deferred

    def close(self) -> None:
        """Take no more; fail what is left."""
        self._closed = True
        for outgoing in tuple(self._outgoing.values()):
            self._settle(outgoing, PublishTimeout("stopped before the broker confirmed"))
        if self._sweep_call is not None:
            self._sweep_call.cancel()
            self._sweep_call = None

    @property
    def waiting(self) -> int:
        """Messages without an outcome."""
        return len(self._outgoing)

    # --- inside ------------------------------------------------------------------------------------------------

    def _send(self, channel: Channel, outgoing: Outgoing) -> None:
        try:
            channel.publish(outgoing.key[0], outgoing.key[1], outgoing.message, mandatory=outgoing.mandatory)
        except ValueError as error:
            self._settle(outgoing, BrokerError(f"cannot be sent: {error}"))
            return
        outgoing.sent_in = self._sweeps
        self._on_wire[self._next_tag] = outgoing
        self._next_tag += 1

    def _pump(self) -> None:
        while self._unsent and self._channel is not None and not self._blocked and len(self._on_wire) < WINDOW:
            outgoing = self._unsent.popleft()
            if outgoing.deferred is not None:
                self._send(self._channel, outgoing)

    def _off_wire(self, tag: int, multiple: bool) -> list[Outgoing]:
        if not multiple:
            outgoing = self._on_wire.pop(tag, None)
            return [] if outgoing is None else [outgoing]
        settled = [self._on_wire.pop(earlier, None) for earlier in range(self._oldest_tag, tag + 1)]
        self._oldest_tag = tag + 1
        return [outgoing for outgoing in settled if outgoing is not None]

    def _settle(self, outgoing: Outgoing, error: BrokerError | None) -> None:
        deferred, outgoing.deferred = outgoing.deferred, None
        if deferred is None:
            return
        del self._outgoing[outgoing.key]
        self._bytes -= len(outgoing.message.body)
        if error is None:
            deferred.callback(None)
        else:
            deferred.errback(error)
        if self._when_empty and not self._outgoing:
            waiting, self._when_empty = self._when_empty, []
            for waiter in waiting:
                waiter.callback(None)

    def _sweep(self) -> None:
        """One timer for all deadlines; it stops when nothing waits."""
        self._sweeps += 1
        self._sweep_call = self._clock.callLater(SWEEP_S, self._sweep) if self._outgoing else None
        refused, self._refused = self._refused, []
        self._unsent.extendleft(reversed([outgoing for outgoing in refused if outgoing.deferred]))
        now = self._clock.seconds()
        late = [outgoing for outgoing in self._outgoing.values() if outgoing.deadline <= now]
        for outgoing in late:
            self._settle(outgoing, PublishTimeout(f"no confirm from the broker for {outgoing.message.message_id}"))
        if late:
            # The limits count living messages only, so the dead may not stay until a channel comes.
            self._unsent = deque(outgoing for outgoing in self._unsent if outgoing.deferred is not None)
        self._pump()
        if self._channel is not None and self._on_wire and not self._blocked:
            self._silence += 1
            self._judge("silence", self._silence, STALLED_SWEEPS)
        if self._channel is not None:
            most = max((outgoing.refusals for outgoing in refused if outgoing.deferred), default=0)
            self._judge("refusals", most, REFUSALS)
        self._calm_down("refusals", not refused)
        if self._channel is not None:
            oldest = next(iter(self._on_wire.values()), None)
            overtaken = 0 if oldest is None else max(0, self._newest_confirmed - oldest.sent_in)
            self._judge("overtaken", overtaken, OVERTAKEN_SWEEPS)
            self._calm_down("overtaken", overtaken <= STALLED_SWEEPS // 2)

    def _judge(self, kind: str, count: int, limit: int) -> None:
        """Give the channel up if this is too much."""
        patience = self._patience[kind]
        if count > limit * patience:
            self._patience[kind] = min(MOST_SWEEPS // limit, 2 * patience)
            self._on_stall(COMPLAINTS[kind])

    def _calm_down(self, kind: str, calm: bool) -> None:
        """After a while without any, the next channel is given up as soon as the first."""
        self._calm[kind] = self._calm[kind] + 1 if calm else 0
        if self._calm[kind] > CALM_SWEEPS:
            self._patience[kind] = 1
