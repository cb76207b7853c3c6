"""Looks at the depths of the broker's queues from time to time, for the metrics."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from csms import metrics
from csms.coroutines import spawn
from csms.ports import Broker, BrokerError, BrokerState

INTERVAL_S = 15.0

_log = Logger(namespace="csms.tap")


class DepthWatch:
    """Fills ``csms_queue_depth`` as long as it is started."""

    def __init__(self, broker: Broker, clock: Any) -> None:
        self._broker = broker
        self._looping = LoopingCall(self._look)
        self._looping.clock = clock
        self._looking: Deferred[None] | None = None

    def start(self) -> None:
        """Look now, and then again and again."""
        self._looping.start(INTERVAL_S)

    def stop(self) -> None:
        """Look no more."""
        if self._looping.running:
            self._looping.stop()
        if self._looking is not None:
            self._looking.cancel()

    def _look(self) -> Deferred[None]:
        self._looking = spawn(self._read(), "depths of queues")
        return self._looking

    async def _read(self) -> None:
        if self._broker.state is BrokerState.DOWN:
            return
        try:
            for queue, depth in (await self._broker.depths()).items():
                metrics.QUEUE_DEPTH.labels(queue).set(depth)
        except BrokerError as error:
            _log.debug("depths of queues are not known: {reason}", reason=str(error))
