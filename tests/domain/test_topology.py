"""The broker's names and declarations."""

from __future__ import annotations

import unittest

from hypothesis import given
from hypothesis import strategies as st

from csms.domain.topology import (
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_QUEUE,
    EXCHANGES,
    shard_of,
    shard_queues,
    topology,
)


class Topology(unittest.TestCase):
    def test_a_charger_stays_on_its_shard(self) -> None:
        self.assertEqual([shard_of(f"CP-{number}", 8) for number in range(6)], [4, 2, 0, 6, 5, 3])
        self.assertEqual(shard_of("Ladesäule 1", 4), 1)

    @given(st.text(), st.integers(1, 64))
    def test_every_charger_has_a_shard(self, device_id: str, shards: int) -> None:
        self.assertIn(shard_of(device_id.encode("utf-8", "ignore").decode(), shards), range(shards))

    def test_one_shard_needs_no_number(self) -> None:
        self.assertEqual(shard_queues(1), ("ocpp_messages",))
        self.assertEqual(shard_queues(2), ("ocpp_messages.0", "ocpp_messages.1"))

    def test_what_is_bound_is_declared(self) -> None:
        declared = topology(5)
        exchanges = {exchange.name for exchange in declared.exchanges}
        queues = {queue.name for queue in declared.queues}
        self.assertEqual(declared.exchanges, EXCHANGES)
        for binding in declared.bindings:
            self.assertIn(binding.source, exchanges)
            self.assertIn(binding.target, exchanges if binding.to_exchange else queues)

    def test_nothing_durable_is_ever_dropped(self) -> None:
        for queue in topology(3).queues:
            if queue.is_stream:
                continue
            self.assertEqual(queue.arguments["x-queue-type"], "quorum", queue.name)
            self.assertGreater(int(queue.arguments["x-delivery-limit"]), 0, queue.name)
            if queue.name != DEAD_LETTER_QUEUE:
                self.assertEqual(queue.arguments["x-dead-letter-exchange"], DEAD_LETTER_EXCHANGE)
                self.assertEqual(queue.arguments["x-dead-letter-strategy"], "at-least-once")
                self.assertEqual(queue.arguments["x-overflow"], "reject-publish")

    def test_only_shards_have_a_single_active_consumer(self) -> None:
        single = [queue.name for queue in topology(2).queues if queue.single_active_consumer]
        self.assertEqual(single, list(shard_queues(2)))
