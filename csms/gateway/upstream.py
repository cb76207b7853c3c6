"""What all chargers' connections of a gateway share: the way to the broker, the clock, the limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from csms import metrics
from csms.config.settings import GatewaySettings
from csms.domain import topology
from csms.domain.messages import FORMAT_VERSION, ChargerMessage, encode
from csms.domain.model import Registration
from csms.gateway.clock import Clock, pause
from csms.gateway.command_desk import Desk
from csms.gateway.identifiers import gateway_name
from csms.gateway.registry import Registry
from csms.gateway.replies import Replies
from csms.ocpp.quirks import Quirks
from csms.ports import Broker, BrokerError, Message, Unroutable

UNROUTABLE_PAUSE_S = 1.0
AGAIN_PAUSE_S = 1.0


class Upstream:
    """Publishes chargers' messages; counts what is under way, so that a stop can wait for it."""

    def __init__(
        self,
        settings: GatewaySettings,
        broker: Broker,
        registry: Registry,
        registration: Callable[[str], Awaitable[Registration | None]],
        desk: Desk,
        quirks: Quirks,
        *,
        shards: int,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.name = gateway_name(settings)
        self.clock = clock
        self.registry = registry
        self.registration = registration
        self.desk = desk
        self.quirks = quirks
        self.replies = Replies(settings.answer_deadline_s)
        self.stopping = False
        """No further CALL is begun: what was not taken yet stays with the charger."""
        self.publishing = 0
        self._broker = broker
        self._shards = shards
        self._queue = topology.gateway_queue(self.name)

    def shard_of(self, device_id: str) -> int:
        """The shard that takes all messages of a charger."""
        return topology.shard_of(device_id, self._shards)

    @property
    def idle(self) -> bool:
        """Nothing waits for a confirm or for a decision."""
        return not self.publishing and not self.replies

    async def publish(
        self, message: ChargerMessage, routing_key: str, *, shard: int, wants_reply: bool = False
    ) -> None:
        """Done when the broker has confirmed. Raises BrokerError: nobody has the message, or nobody knows.

        A message that was returned as unroutable is sent again, with the same id, as long as the deadline allows:
        a queue may be on its way to another node.
        """
        envelope = Message(
            body=encode(message),
            message_id=message.message_id,
            type=message.message_type,
            headers={topology.SHARD_HEADER: shard, topology.VERSION_HEADER: FORMAT_VERSION},
            reply_to=self._queue if wants_reply else "",
            correlation_id=message.message_id,
            timestamp=message.timestamp,
        )
        began = self.clock.seconds()
        deadline = began + self.settings.publish_deadline_s
        left_s = self.settings.publish_deadline_s
        self.publishing += 1
        try:
            while True:
                try:
                    await self._broker.publish(topology.OCPP_EXCHANGE, routing_key, envelope, deadline_s=left_s)
                except Unroutable:
                    left_s = deadline - self.clock.seconds() - UNROUTABLE_PAUSE_S
                    if left_s <= 0:
                        raise
                    await pause(self.clock, UNROUTABLE_PAUSE_S)
                else:
                    metrics.CONFIRM_SECONDS.observe(self.clock.seconds() - began)
                    return
        finally:
            self.publishing -= 1

    async def publish_surely(self, message: ChargerMessage, routing_key: str, *, shard: int) -> None:
        """Publish however long the broker is away, unless the gateway stops; then BrokerError is raised."""
        while True:
            try:
                await self.publish(message, routing_key, shard=shard)
            except BrokerError:
                if self.stopping:
                    raise
                await pause(self.clock, AGAIN_PAUSE_S)
                await self._broker.when_up()
            else:
                return
