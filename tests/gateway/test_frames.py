"""The glance at common frames, against the frames of an independent library."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial import unittest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from csms.gateway.frames import text_frame, whole_text

LIMIT = 0x10000
texts = st.one_of(st.text(min_size=1, max_size=200), st.integers(1, 70_000).map(lambda length: "x" * length))


def masked(text: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return Frame(opcode, text, fin=fin).serialize(mask=True)


class WholeTextTests(unittest.TestCase):
    @given(texts, st.binary(max_size=20))
    def test_a_text_is_found_with_its_end(self, text: str, rest: bytes) -> None:
        payload = text.encode()
        frame = masked(payload)
        found = whole_text(frame + rest, LIMIT)
        self.assertEqual(found, (payload, len(frame)) if len(payload) <= 0xFFFF else None)

    @given(texts, st.data())
    def test_an_incomplete_frame_is_left_alone(self, text: str, data: st.DataObject) -> None:
        frame = masked(text.encode())
        cut = data.draw(st.integers(0, len(frame) - 1))
        self.assertIsNone(whole_text(frame[:cut], LIMIT))

    @given(st.binary(max_size=300))
    def test_no_bytes_raise(self, data: bytes) -> None:
        found = whole_text(data, LIMIT)
        if found is not None:
            found[0].decode()
            self.assertLessEqual(found[1], len(data))

    def test_other_frames_are_left_alone(self) -> None:
        for frame in (
            masked(b"x", Opcode.BINARY),
            masked(b"x", Opcode.PING),
            masked(b"x", Opcode.CONT),
            masked(b"x", fin=False),
            b"\xc1" + masked(b"x")[1:],
            masked(b""),
            masked(b"\xff\xfe"),
            masked("é".encode()[:1]),
            Frame(Opcode.TEXT, b"x" * 10).serialize(mask=False),
            b"\x81\xfe\x00\x05\0\0\0\0hello",
        ):
            self.assertIsNone(whole_text(frame, LIMIT), frame)

    def test_a_text_beyond_the_limit_is_left_alone(self) -> None:
        self.assertIsNotNone(whole_text(masked(b"x" * 100), 100))
        self.assertIsNone(whole_text(masked(b"x" * 101), 100))


class TextFrameTests(unittest.TestCase):
    @given(texts)
    def test_a_frame_holds_its_text(self, text: str) -> None:
        payload = text.encode()
        frame = text_frame(payload)
        if len(payload) > 0xFFFF:
            self.assertIsNone(frame)
            return
        assert frame is not None
        self.assertEqual(read(frame), Frame(Opcode.TEXT, payload))


def read(frame: bytes) -> Frame:
    reader = StreamReader()
    reader.feed_data(frame)
    parsing = Frame.parse(reader.read_exact, mask=False)
    try:
        while True:
            next(parsing)
    except StopIteration as end:
        result: Frame = end.value
        return result
