"""What comes from the broker, in whatever pieces."""

from __future__ import annotations

import struct
import unittest
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from csms.broker.amqp_arrivals import Arrivals
from csms.broker.amqp_frames import publish_frames
from csms.broker.wire import Received
from csms.ports import Message

FRAME_MAX = 4096
MESSAGES = [
    Message(body=b"", message_id="empty", persistent=False),
    Message(body=b'{"one":1}', message_id="m-1", type="Heartbeat", timestamp=datetime(2026, 3, 1, tzinfo=UTC)),
    Message(
        body=b"x" * 10_000,
        message_id="long",
        headers={"shard": 3, "who": "é"},
        reply_to="gateway.g1",
        correlation_id="c-1",
        expiration_s=1.5,
    ),
]
DELIVER, ACK, NACK, CANCEL = 60, 80, 120, 30


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def short(text: str) -> bytes:
    encoded = text.encode()
    return bytes((len(encoded),)) + encoded


def delivery(channel: int, tag: int, message: Message) -> bytes:
    """As the broker sends it."""
    sent = publish_frames(channel, "", "", message, mandatory=False, frame_max=FRAME_MAX)
    (size,) = struct.unpack_from(">I", sent, 3)
    method = struct.pack(">HH", 60, DELIVER) + short("ctag") + struct.pack(">QB", tag, tag % 2)
    return frame(1, channel, method + short("events_exchange") + short("notification.x")) + sent[size + 8 :]


def confirm(channel: int, method: int, tag: int, multiple: bool) -> bytes:
    return frame(1, channel, struct.pack(">HHQB", 60, method, tag, multiple))


STRANGE = {
    "heartbeat": frame(8, 0, b""),
    "foreign": delivery(7, 1, MESSAGES[1]),
    "other": frame(1, 1, struct.pack(">HH", 60, CANCEL)),
}
"""What is not taken there."""


class Recorder:
    def __init__(self) -> None:
        self.received: list[Received] = []
        self.confirms: list[tuple[int, bool, bool]] = []

    def deliver(self, received: Received) -> None:
        self.received.append(received)

    def confirm(self, tag: int, *, multiple: bool, taken: bool) -> None:
        self.confirms.append((tag, multiple, taken))


class ArrivalsTest(unittest.TestCase):
    def arrive(self, pieces: list[bytes]) -> tuple[dict[int, Recorder], list[bytes]]:
        takers = {1: Recorder(), 2: Recorder()}
        rest: list[bytes] = []
        arrivals = Arrivals(takers, rest.append)
        for piece in pieces:
            arrivals.received(piece)
        return takers, rest

    @given(st.data())
    def test_the_pieces_do_not_matter(self, data: st.DataObject) -> None:
        kinds = st.sampled_from(("delivery", "ack", "nack", *STRANGE))
        wire, received, confirms, rest = b"", [], [], []
        for number, kind in enumerate(data.draw(st.lists(kinds, max_size=12)), 1):
            match kind:
                case "delivery":
                    message = MESSAGES[number % len(MESSAGES)]
                    wire += delivery(1, number, message)
                    received.append((number, bool(number % 2), message))
                case "ack" | "nack":
                    wire += confirm(2, ACK if kind == "ack" else NACK, number, number % 2 == 0)
                    confirms.append((number, number % 2 == 0, kind == "ack"))
                case _:
                    if kind == "foreign":
                        bytes_ = delivery(7, number, MESSAGES[1])
                        rest += [bytes_]
                    else:
                        bytes_ = (
                            frame(8, 0, b"") if kind == "heartbeat" else frame(1, 1, struct.pack(">HH", 60, CANCEL))
                        )
                        rest.append(bytes_)
                    wire += bytes_
        cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=20)))
        pieces = [wire[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
        takers, others = self.arrive(pieces)
        self.assertEqual([(one.tag, one.redelivered, one.message) for one in takers[1].received], received)
        self.assertEqual(takers[2].confirms, confirms)
        self.assertEqual(b"".join(others), b"".join(rest))

    def test_channels_take_turns_within_their_messages(self) -> None:
        first, second = delivery(1, 1, MESSAGES[2]), delivery(2, 5, MESSAGES[1])
        (size,) = struct.unpack_from(">I", first, 3)
        method_end = size + 8
        takers, rest = self.arrive([first[:method_end] + second + first[method_end:]])
        self.assertEqual([one.message for one in takers[1].received], [MESSAGES[2]])
        self.assertEqual([one.message for one in takers[2].received], [MESSAGES[1]])
        self.assertEqual(rest, [])

    def test_where_it_was_published_is_told(self) -> None:
        takers, _ = self.arrive([delivery(1, 4, MESSAGES[2])])
        [one] = takers[1].received
        self.assertEqual((one.exchange, one.routing_key), ("events_exchange", "notification.x"))
        self.assertEqual((dict(one.headers), one.message.headers), ({"shard": 3, "who": "é"}, {"shard": 3, "who": "é"}))

    def test_headers_that_are_nonsense_are_none(self) -> None:
        header = struct.pack(">HHQH", 60, 0, 2, 1 << 13) + struct.pack(">I", 3) + b"\x09xy"
        method = delivery(1, 4, MESSAGES[1])
        (size,) = struct.unpack_from(">I", method, 3)
        takers, _ = self.arrive([method[: size + 8] + frame(2, 1, header) + frame(3, 1, b"{}")])
        [one] = takers[1].received
        self.assertEqual((one.headers, one.message), ({}, Message(body=b"{}", message_id="", persistent=False)))
