"""Somebody else's consumer of ``events_exchange``, by pika's blocking connection: what an integration would see."""

from __future__ import annotations

import json
from typing import Any

import pika


class Listener:
    """A queue of its own, bound to all notifications, from the moment it is made."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._queue = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.queue_bind(self._queue, "events_exchange", "notification.#")

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """Routing key and body of everything that came since the last call."""
        taken: list[tuple[str, dict[str, Any]]] = []
        while True:
            method, _, body = self._channel.basic_get(self._queue, auto_ack=True)
            if method is None:
                return taken
            taken.append((method.routing_key, json.loads(body)))

    def close(self) -> None:
        """The queue goes with the connection."""
        self._connection.close()
