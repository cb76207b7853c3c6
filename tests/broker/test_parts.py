"""The pure parts of the broker: routing, AMQP's tables, addresses."""

from __future__ import annotations

import unittest
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from csms.broker.address import parse_address, parse_addresses
from csms.broker.amqp_tables import decode_table, encode_table
from csms.broker.routing import Router, topic_matches
from csms.broker.wire import expiration_ms, expiration_s, moment, plain_headers
from csms.domain.topology import COMMANDS_EXCHANGE, OCPP_EXCHANGE, Binding, message_key, shard_queues, topology


def matches(pattern: str, key: str) -> bool:
    """Whether a topic pattern matches a routing key."""
    return topic_matches(tuple(pattern.split(".")), tuple(key.split(".")))


class Topics(unittest.TestCase):
    def test_a_star_is_one_word_and_a_hash_any_number(self) -> None:
        for pattern, key, expected in (
            ("notification.#", "notification.charging.started", True),
            ("notification.#", "notification", True),
            ("notification.*", "notification.charging.started", False),
            ("notification.*", "notification.x", True),
            ("#", "anything.at.all", True),
            ("#.started", "notification.charging.started", True),
            ("#.started", "notification.charging.stopped", False),
            ("a.#.b", "a.b", True),
            ("a.#.b", "a.x.y.b", True),
            ("a.*.b", "a.b", False),
            ("*", "a", True),
        ):
            self.assertEqual(matches(pattern, key), expected, (pattern, key))


class Routing(unittest.TestCase):
    def test_one_shard_takes_what_has_its_number(self) -> None:
        router = Router(topology(3))
        for shard, queue in enumerate(shard_queues(3)):
            self.assertEqual(router.route(OCPP_EXCHANGE, message_key("Heartbeat"), {"shard": shard}), {queue})
        self.assertEqual(router.route(OCPP_EXCHANGE, message_key("Heartbeat"), {"shard": 3}), set())
        self.assertEqual(router.route(OCPP_EXCHANGE, message_key("Heartbeat"), {}), set())

    def test_unbinding_takes_away_what_was_bound_and_no_more(self) -> None:
        router = Router(topology(1))
        first, second = Binding(COMMANDS_EXCHANGE, "g1", "CP-1"), Binding(COMMANDS_EXCHANGE, "g2", "CP-1")
        for binding in (first, second, first):
            router.bind(binding)
        self.assertEqual(router.route(COMMANDS_EXCHANGE, "CP-1", {}), {"g1", "g2"})
        router.unbind(first)
        router.unbind(first)
        self.assertEqual(router.route(COMMANDS_EXCHANGE, "CP-1", {}), {"g2"})


plain = st.one_of(
    st.text(max_size=20),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.dictionaries(st.text(max_size=5), st.text()),
)


class Tables(unittest.TestCase):
    @given(st.dictionaries(st.text(max_size=60), plain, max_size=8))
    def test_what_is_encoded_is_decoded(self, table: dict[str, object]) -> None:
        self.assertEqual(decode_table(encode_table(table)), table)

    @given(st.binary(max_size=60))
    def test_no_bytes_do_worse_than_a_value_error(self, contents: bytes) -> None:
        try:
            decode_table(contents)
        except ValueError:
            return

    def test_the_types_that_rabbitmq_adds_are_understood(self) -> None:
        death = b"\x05countl\0\0\0\0\0\0\0\x02" + b"\x04timeT\0\0\0\0\x65\x92\0\x80"
        array = b"F" + len(death).to_bytes(4, "big") + death
        contents = b"\x07x-deathA" + len(array).to_bytes(4, "big") + array + b"\x04noneV"
        table = decode_table(contents)
        expected = {"count": 2, "time": datetime(2024, 1, 1, tzinfo=UTC)}
        self.assertEqual(table, {"x-death": [expected], "none": None})
        self.assertEqual(plain_headers(table), {})

    def test_what_a_table_cannot_hold_is_refused(self) -> None:
        for value in (2**63, object(), [1]):
            with self.assertRaises(ValueError):
                encode_table({"x": value})
        with self.assertRaises(ValueError):
            encode_table({"x" * 256: 1})


class Properties(unittest.TestCase):
    def test_odd_properties_of_foreign_publishers_are_nothing_rather_than_an_error(self) -> None:
        self.assertIsNone(moment(2**63))
        self.assertIsNone(expiration_s("soon"))
        self.assertIsNone(expiration_s(None))
        self.assertEqual((expiration_s("1500"), expiration_ms(1.5), expiration_ms(-1.0)), (1.5, "1500", "0"))


class Addresses(unittest.TestCase):
    def test_a_url_says_where_and_as_whom(self) -> None:
        address = parse_address("amqp://csms:p%40ss@broker.example/sites%2Fnorth")
        self.assertEqual(
            (address.host, address.port, address.vhost, address.username, address.password, address.tls),
            ("broker.example", 5672, "sites/north", "csms", "p@ss", False),
        )

    def test_what_is_left_out_has_a_sensible_value(self) -> None:
        address = parse_address("amqps://broker.example")
        self.assertEqual((address.port, address.vhost, address.username), (5671, "/", "guest"))
        self.assertTrue(address.tls)
        self.assertEqual(parse_address("amqp://csms@h/", password="from a file").password, "from a file")

    def test_a_password_is_never_shown(self) -> None:
        address = parse_address("amqp://csms:secret@h/v")
        self.assertNotIn("secret", repr(address) + address.place)

    def test_a_cluster_is_named_by_its_nodes(self) -> None:
        addresses = parse_addresses("amqp://csms:a,%40@mq1,mq2:5673, [::1]:5674/v", heartbeat_s=7)
        self.assertEqual([each.place for each in addresses], ["mq1:5672/v", "mq2:5673/v", "::1:5674/v"])
        self.assertEqual({(each.username, each.password, each.heartbeat_s) for each in addresses}, {("csms", "a,@", 7)})
        for url in ("amqp://mq1,,mq2/", "amqp://mq1,/", "amqp://mq1,mq2:x/", "http://mq1,mq2/", "amqp://"):
            with self.assertRaises(ValueError):
                parse_addresses(url)

    def test_a_url_that_cannot_be_right_is_refused(self) -> None:
        for url in ("http://h/", "amqp:///v", "amqp://h/a/b", "amqp://h:x/"):
            with self.assertRaises(ValueError):
                parse_address(url)
