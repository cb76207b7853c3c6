from __future__ import annotations

import contextlib
import json
import unittest

from hypothesis import given
from hypothesis import strategies as st

from csms.domain.messages import encode_notification
from csms.gateway.browser_frames import BadFrame, Resume, Subscribe, read_frame
from csms.gateway.events import Event, Filter
from tests.gateway.notes import note

EVENT = Event("event-1", "charging.started", encode_notification(note(1)), 0.0, b"".join)


class ReadFrameTest(unittest.TestCase):
    def test_subscribe_makes_a_filter(self) -> None:
        request = read_frame(b'{"action":"subscribe","chargers":["CP-1"],"types":null}', False)
        assert isinstance(request, Subscribe)
        self.assertEqual(request.filter(), Filter(chargers=frozenset({"CP-1"}), types=None))

    def test_subscribe_without_anything_means_everything(self) -> None:
        request = read_frame(b'{"action":"subscribe"}', False)
        assert isinstance(request, Subscribe)
        self.assertTrue(request.filter().wants(EVENT))

    def test_empty_lists_mean_nothing(self) -> None:
        request = read_frame(b'{"action":"subscribe","types":[]}', False)
        assert isinstance(request, Subscribe)
        self.assertFalse(request.filter().wants(EVENT))

    def test_resume_names_an_event(self) -> None:
        request = read_frame(b'{"action":"resume","id":"event-1"}', False)
        assert isinstance(request, Resume)
        self.assertEqual((request.id, request.feed), ("event-1", ""))

    def test_resume_names_where_the_event_was_seen(self) -> None:
        request = read_frame(b'{"action":"resume","id":"event-1","feed":"of-another"}', False)
        assert isinstance(request, Resume)
        self.assertEqual(request.feed, "of-another")

    def test_anything_else_is_a_bad_frame(self) -> None:
        bad: list[object] = [
            "subscribe",
            [],
            {},
            {"action": "delete"},
            {"action": "resume"},
            {"action": "resume", "id": 5},
            {"action": "resume", "id": "x" * 256},
            {"action": "resume", "id": "x", "feed": "x" * 256},
            {"action": "subscribe", "chargers": "CP-1"},
            {"action": "subscribe", "chargers": [1]},
            {"action": "subscribe", "filters": {"chargers": []}},
            {"action": "subscribe", "chargers": ["x"] * 2001},
        ]
        for frame in bad:
            with self.subTest(frame), self.assertRaises(BadFrame):
                read_frame(json.dumps(frame).encode(), False)
        for raw in (b"", b"{", b"\xff", b"[" * 100_000, b'{"action":"subscribe"}garbage'):
            with self.subTest(raw[:20]), self.assertRaises(BadFrame):
                read_frame(raw, False)

    def test_binary_frames_are_bad(self) -> None:
        with self.assertRaises(BadFrame):
            read_frame(b'{"action":"subscribe"}', True)

    @given(st.binary() | st.text().map(str.encode))
    def test_no_frame_raises_anything_else(self, payload: bytes) -> None:
        with contextlib.suppress(BadFrame):
            read_frame(payload, False)
