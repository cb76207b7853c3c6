"""One charger has one connection: the newest that has authenticated.

Which gateway holds a charger is known by the broker alone: the binding of ``commands_exchange``. Who opens a
connection tells so (``Takeover``) and binds; who holds an older one closes it. A connection takes away nothing but
itself, so that the close of an old socket never harms its successor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.logger import Logger

from csms import metrics
from csms.coroutines import spawn
from csms.domain import topology
from csms.domain.messages import CommandOrder, Takeover, encode
from csms.gateway.alarms import Alarms
from csms.gateway.clock import Clock
from csms.gateway.draining import Leaver
from csms.ports import Broker, BrokerError, Message
from csms.throttle import Throttle
from csms.walltime import utc

TAKEOVER = "takeover"
"""``type`` of the broker's message; workers' replies have another one."""
YOUNG_S = 60.0
"""A connection displaced at this age or younger is counted as flapping: two devices with one identity, or worse."""
FLAPS_PER_MINUTE = 5
"""So many of them are an alarm; a charger with a bad network makes one or two."""
FLAPPING = "ConnectionFlapping"
"""Security event: connections of one charger displace each other again and again."""

_log = Logger(namespace="csms.gateway")


class Held(Leaver, Protocol):
    """A connection, as far as the registry needs to know it."""

    device_id: str
    charger_id: int
    connection_id: str
    opened_at: float

    def displaced(self) -> None:
        """The charger has a newer connection: close."""
        ...

    def command(self, order: CommandOrder) -> None:
        """Send this to the charger when it is its turn."""
        ...


class Registry:
    """This gateway's connections by deviceId, and their bindings."""

    def __init__(self, broker: Broker, queue: str, alarms: Alarms, clock: Clock) -> None:
        self.binding = True
        """Off while the gateway stops: its queue goes, and every binding with it."""
        self._broker = broker
        self._queue = queue
        self._alarms = alarms
        self._clock = clock
        self._flaps = Throttle(limit=FLAPS_PER_MINUTE, window_s=60.0)
        self._holders: dict[str, Held] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def __contains__(self, device_id: str) -> bool:
        return device_id in self._holders

    def holders(self) -> Sequence[Held]:
        """All connections."""
        return tuple(self._holders.values())

    def add(self, connection: Held) -> None:
        """``connection`` has authenticated and is the newest: it holds its charger from now on."""
        older = self._holders.get(connection.device_id)
        self._holders[connection.device_id] = connection
        if older is not None:
            self._displace(older)
        spawn(self._announce(connection), "announce connection")

    def remove(self, connection: Held) -> None:
        """``connection`` has ended."""
        if self._holders.get(connection.device_id) is connection:
            del self._holders[connection.device_id]
            if self.binding:
                spawn(self._unbind(connection.device_id), "unbind charger")

    def take_over(self, takeover: Takeover) -> None:
        """A gateway (maybe this one) tells of a connection: close ours if it is older."""
        holder = self._holders.get(takeover.device_id)
        if holder is not None and holder.connection_id < takeover.connection_id:
            self._displace(holder)

    def command(self, order: CommandOrder) -> None:
        """Hand a command to its charger's connection. If that has just ended, the worker will route it anew."""
        holder = self._holders.get(order.device_id)
        if holder is not None:
            holder.command(order)

    def _displace(self, connection: Held) -> None:
        now = self._clock.seconds()
        young = now - connection.opened_at <= YOUNG_S
        metrics.TAKEOVERS.labels("flapping" if young else "displaced").inc()
        _log.info(
            "charger {charger} has a newer connection",
            charger=connection.device_id,
            connection_id=connection.connection_id,
            flapping=young,
        )
        if young:
            self._note_flap(connection, now)
        connection.displaced()

    def _note_flap(self, connection: Held, now: float) -> None:
        device_id = connection.device_id
        self._flaps.failed(device_id, now)
        if self._flaps.blocked_for_s(device_id, now):
            self._flaps.forget(device_id)
            info = f"{FLAPS_PER_MINUTE} young connections were displaced by newer ones within a minute"
            self._alarms.tell(connection.charger_id, device_id, FLAPPING, info)

    async def _announce(self, connection: Held) -> None:
        device_id, connection_id = connection.device_id, connection.connection_id
        message = Message(
            body=encode(Takeover(device_id=device_id, connection_id=connection_id)),
            message_id=f"{connection_id}.{TAKEOVER}",
            type=TAKEOVER,
            timestamp=utc(self._clock),
            persistent=False,
        )
        try:
            await self._broker.publish(topology.COMMANDS_EXCHANGE, device_id, message, mandatory=False)
        except BrokerError as error:
            _log.warn("takeover of {charger} not told: {error}", charger=device_id, error=str(error))
        if self._holders.get(device_id) is not connection:
            return
        try:
            await self._broker.bind(self._queue, topology.COMMANDS_EXCHANGE, device_id)
        except BrokerError as error:
            _log.warn("{charger} gets no commands: {error}", charger=device_id, error=str(error))

    async def _unbind(self, device_id: str) -> None:
        try:
            await self._broker.unbind(self._queue, topology.COMMANDS_EXCHANGE, device_id)
        except BrokerError as error:
            _log.warn("binding of {charger} stays: {error}", charger=device_id, error=str(error))
