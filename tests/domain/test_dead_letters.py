"""Why and where a message died, in headers."""

from __future__ import annotations

import unittest
from datetime import UTC, datetime

from csms.domain.dead_letters import death_headers, death_of, living_headers, replay_address
from csms.domain.topology import DEFAULT_EXCHANGE, EVENTS_EXCHANGE, NOTIFICATIONS, OCPP_EXCHANGE

DIED_AT = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


class Deaths(unittest.TestCase):
    def test_what_a_worker_wrote_is_read_again(self) -> None:
        headers = death_headers(reason="bad", queue="ocpp_messages.1", routing_key="ocpp.message.X", died_at=DIED_AT)
        death = death_of({"shard": 1, **headers})
        self.assertEqual(
            (death.reason, death.queue, death.exchange, death.routing_key, death.died_at),
            ("bad", "ocpp_messages.1", OCPP_EXCHANGE, "ocpp.message.X", DIED_AT),
        )
        self.assertEqual(replay_address(death), (OCPP_EXCHANGE, "ocpp.message.X"))

    def test_an_event_goes_back_to_the_one_queue_where_it_died(self) -> None:
        headers = death_headers(reason="bad", queue=NOTIFICATIONS, routing_key="notification.x", died_at=DIED_AT)
        self.assertEqual(headers["x-csms-exchange"], EVENTS_EXCHANGE)
        self.assertEqual(replay_address(death_of(headers)), (DEFAULT_EXCHANGE, NOTIFICATIONS))

    def test_the_brokers_own_words_are_understood(self) -> None:
        death = death_of(
            {
                "x-death": [
                    {
                        "reason": "delivery_limit",
                        "queue": "ocpp_messages",
                        "exchange": OCPP_EXCHANGE,
                        "routing-keys": ["ocpp.message.X"],
                        "time": datetime(2026, 5, 1, 12, 0),  # noqa: DTZ001 - as pika gives it
                    }
                ]
            }
        )
        self.assertIn("delivered too often", death.reason)
        self.assertEqual(
            (death.queue, death.exchange, death.routing_key, death.died_at),
            ("ocpp_messages", OCPP_EXCHANGE, "ocpp.message.X", DIED_AT),
        )

    def test_a_long_reason_is_cut(self) -> None:
        headers = death_headers(reason="x" * 5000, queue="q", routing_key="k", died_at=DIED_AT)
        self.assertEqual(len(str(headers["x-csms-reason"])), 1000)

    def test_headers_of_strangers_never_raise(self) -> None:
        odd: tuple[dict[str, object], ...] = (
            {},
            {"x-death": "no list"},
            {"x-death": []},
            {"x-death": [1]},
            {"x-death": [{"time": 10**30, "routing-keys": []}]},
            {"x-csms-reason": 5, "x-csms-died-at": "yesterday"},
            {"x-csms-reason": "r", "x-csms-died-at": b"\xff"},
        )
        for headers in odd:
            death = death_of(headers)
            self.assertEqual(death.died_at, datetime(1970, 1, 1, tzinfo=UTC))

    def test_a_message_lives_again_without_the_headers_of_its_death(self) -> None:
        headers = {
            "shard": 2,
            "version": 1,
            "x-first-death-queue": "q",
            "x-delivery-count": 3,
            **death_headers(reason="bad", queue="q", routing_key="k", died_at=DIED_AT),
        }
        self.assertEqual(living_headers(headers), {"shard": 2, "version": 1})
