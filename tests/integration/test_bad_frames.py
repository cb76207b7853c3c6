"""Bad messages and bad frames on a charger's open WebSocket, over real sockets: what docs/bad-input.rst says."""

from __future__ import annotations

import struct
import zlib

from tests.integration.bad_input_case import BadInputCase
from tests.integration.raw_peer import BINARY, CLOSE, CONTINUATION, PING, TEXT, RawPeer, frame

LIMIT = 1024 * 1024
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
FRAMEWORK = "RpcFrameworkError"
FORMATION = "FormationViolation"
HEARTBEAT = "Heartbeat"


def closing(code: int, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(struct.pack(">H", code) + reason, CLOSE)


def deflated(payload: bytes) -> bytes:
    """A message's payload as permessage-deflate sends it (RFC 7692 section 7.2.1)."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


UNREADABLE = [
    "nonsense",
    "",
    "[]",
    "{}",
    "null",
    "[" * 1000 + "]" * 1000,
    "[" * 100_000,
    '[2,"1","Heartbeat",{}',
    "[,{",
]
NO_ID = [
    '[2,1,"Heartbeat",{}]',
    '[2,null,"Heartbeat",{}]',
    '[2,"","Heartbeat",{}]',
    f'[2,"{"i" * 300}","Heartbeat",{{}}]',
]
NO_TYPE = ['["2","1","Heartbeat",{}]', '[2.0,"1","Heartbeat",{}]', "[true]", "[99999999999999999999]"]
UNKNOWN_TYPE = ['[7,"1","Heartbeat",{}]', '[-1,"1"]', "[999999999]"]
REFUSED = {
    f'[2,"{"i" * 37}","Heartbeat",{{}}]': (FORMATION, FRAMEWORK),
    '[2,"1",5,{}]': (FORMATION, FRAMEWORK),
    '[2,"1"]': (FORMATION, FRAMEWORK),
    '[2,"1","Heartbeat"]': (FORMATION, FRAMEWORK),
    '[2,"1","Heartbeat",[]]': (FORMATION, FRAMEWORK),
    '[2,"1","Nonsense",{}]': ("NotImplemented", "NotImplemented"),
    '[2,"1","Reset",{}]': ("NotSupported", "NotSupported"),
    '[2,"1","Heartbeat",{"a":' + "[" * 40 + "]" * 40 + "}]": (FORMATION, "FormatViolation"),
}
READ_ALL_THE_SAME = [
    '[2,"1","Heartbeat",{},{}]',
    '[2,"1","DataTransfer",{"vendorId":"a","vendorId":"b"}]',
    '[2,"1","DataTransfer",{"vendorId":"\\ud800"}]',
    '[2,"1","DataTransfer",{"vendorId":"\\u0000"}]',
    '[2,"1","DataTransfer",{"vendorId":"a\0b"}]',
    '[2,"1","DataTransfer",{"vendorId":"v","data":NaN}]',
    '[2,"1","DataTransfer",{"vendorId":"v","data":1e999}]',
    '[2,"1","MeterValues",{"connectorId":' + "9" * 5000 + ',"meterValue":[]}]',
]
ANSWERS = ['[3,"9",{}]', '[4,"9","GenericError","",{}]']
VIOLATIONS = {
    "unmasked": (frame("[]", masked=False), 1002),
    "reserved bit 1": (frame("[]", reserved=0x40), 1002),
    "reserved bit 2": (frame("[]", reserved=0x20), 1002),
    "reserved bit 3": (frame("[]", reserved=0x10), 1002),
    "reserved opcode 3": (frame("[]", 3), 1002),
    "reserved opcode 11": (frame("[]", 11), 1002),
    "fragmented ping": (frame("", PING, fin=False), 1002),
    "ping of 126 bytes": (frame("x" * 126, PING), 1002),
    "continuation of nothing": (frame("[]", CONTINUATION), 1002),
    "text within a fragmented message": (frame("[", fin=False) + frame("[]"), 1002),
    "a length that could be shorter": (b"\x81\xfe\0\x02\0\0\0\0[]", 1002),
    "text that is not UTF-8": (frame(b"[2,\xff"), 1007),
    "text that ends within a character": (frame(b"[\xe2\x82"), 1007),
    "a surrogate in UTF-8": (frame(b"\xed\xa0\x80"), 1007),
    "a frame of 2 MiB": (frame(b"[" + b" " * (2 * LIMIT)), 1009),
    "the head of a frame of 4 GiB": (b"\x81\xff" + struct.pack(">Q", 2**32) + b"\0\0\0\0", 1009),
    "fragments of 2 MiB": (frame("[", fin=False) + frame(b" " * 65536, CONTINUATION, fin=False) * 32, 1009),
}
BAD_CLOSES = {
    "a close frame of one byte": frame(b"x", CLOSE),
    "close code 0": closing(0),
    "close code 999": closing(999),
    "close code 1004": closing(1004),
    "close code 1005": closing(1005),
    "close code 1006": closing(1006),
    "close code 1015": closing(1015),
    "close code 2999": closing(2999),
    "close code 5000": closing(5000),
    "close code 65535": closing(65535),
    "a close reason that is not UTF-8": closing(1000, b"\xff"),
    "close code 1014": closing(1014),
    "a length beyond 63 bits": b"\x81\xff" + b"\xff" * 8 + b"\0\0\0\0",
}
"""After these nothing more is read, and the close frame that answers them may be lost with the socket."""


class BadFrames(BadInputCase):
    def test_texts_that_are_no_message_are_dropped_by_16_and_answered_with_minus_one_by_2x(self) -> None:
        texts = [*UNREADABLE, *NO_ID, *NO_TYPE]
        with self.counting('csms_bad_frames_total{reason="unreadable"}', len(texts)):
            self.assertEqual(self.charger().answers(*texts), [])
        for version in ("ocpp2.0.1", "ocpp2.1"):
            with self.counting('csms_messages_total{action="unknown",outcome="refused"}', len(UNREADABLE)):
                came = self.charger(version).answers(*texts)
            self.assertEqual([answer[:3] for answer in came], [[4, "-1", FRAMEWORK]] * len(texts))

    def test_message_types_that_nobody_knows_are_ignored(self) -> None:
        for version in ("ocpp1.6", "ocpp2.0.1", "ocpp2.1"):
            with self.counting('csms_bad_frames_total{reason="unknown_message_type"}', len(UNKNOWN_TYPE)):
                self.assertEqual(self.charger(version).answers(*UNKNOWN_TYPE), [])

    def test_a_call_that_is_wrong_gets_the_error_of_its_version(self) -> None:
        for column, version in enumerate(("ocpp1.6", "ocpp2.0.1")):
            came = self.charger(version).answers(*REFUSED)
            self.assertEqual([answer[2] for answer in came], [codes[column] for codes in REFUSED.values()])

    def test_what_can_be_read_is_answered(self) -> None:
        for version in ("ocpp1.6", "ocpp2.0.1", "ocpp2.1"):
            came = self.charger(version).answers(*READ_ALL_THE_SAME)
            self.assertEqual([answer[:2] for answer in came], [[3, "1"]] * len(READ_ALL_THE_SAME))

    def test_answers_that_nobody_asked_for_are_counted(self) -> None:
        with self.counting('csms_bad_frames_total{reason="unknown_answer"}', 2):
            self.assertEqual(self.charger().answers(*ANSWERS), [])
        with self.counting('csms_bad_frames_total{reason="broken_answer"}'):
            self.assertEqual(self.charger().answers("[3]"), [])

    def test_an_id_that_comes_again_is_replayed_or_processed(self) -> None:
        status = '[2,"1","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}]'
        peer = self.charger()
        with self.counting('csms_messages_total{action="StatusNotification",outcome="replayed"}'):
            self.assertEqual(peer.answers(status), [[3, "1", {}]])
            self.assertEqual(peer.answers(status), [[3, "1", {}]])
        self.assertEqual(peer.answers(status.replace("Available", "Charging")), [[3, "1", {}]])

    def test_binary_frames_are_dropped(self) -> None:
        peer = self.charger()
        with self.counting('csms_bad_frames_total{reason="binary"}', 2):
            peer.send(frame(b"\x00\xff", BINARY) + frame('[2,"1","Heartbeat",{}]', BINARY))
            self.assertEqual(peer.until_heartbeat(), [])

    def test_violations_of_the_protocol_close_with_the_code_of_the_rfc(self) -> None:
        for name, (data, code) in VIOLATIONS.items():
            with self.subTest(name), self.counting(f'csms_charger_closes_total{{code="{code}"}}'):
                peer = self.charger()
                peer.send(data)
                self.assertEqual(peer.message(), code)

    def test_bad_closes_end_the_connection(self) -> None:
        for name, data in BAD_CLOSES.items():
            with self.subTest(name):
                peer = self.charger()
                peer.send(data)
                self.assertIn(peer.message(), {1002, 1007, None})
                self.assertTrue(peer.gone())

    def test_a_close_is_answered_with_its_code(self) -> None:
        for code in (1000, 1001, 1003, 1011, 1012, 1013, 3000, 4999):
            with self.subTest(code):
                peer = self.charger()
                peer.send(closing(code, b"bye"))
                self.assertEqual(peer.message(), code)

    def test_pings_and_fragments_without_end_take_no_memory(self) -> None:
        peer = self.charger()
        for _ in range(100):
            peer.send(frame(b"x" * 125, PING) * 200)
            self.assertEqual(peer.until_heartbeat(), [])
        text = b'[2,"1","Heartbeat",{}]'
        peer.send(frame(text[:1], fin=False))
        for _ in range(100):
            peer.send(frame(b"", CONTINUATION, fin=False) * 1000 + frame("", PING))
        peer.send(frame(text[1:], CONTINUATION))
        answer = peer.message()
        self.assertEqual(answer[:2], [3, "1"])

    def test_a_compressed_message_is_understood_and_a_bomb_is_not_inflated(self) -> None:
        peer = self.charger(headers=DEFLATE)
        peer.send(frame(deflated(b'[2,"1","Heartbeat",{}]'), reserved=0x40))
        self.assertEqual(peer.message()[:2], [3, "1"])
        bomb = deflated(b" " * 300 * LIMIT)
        self.assertLess(len(bomb), LIMIT)
        with self.counting('csms_charger_closes_total{code="1009"}'):
            peer.send(frame(bomb, reserved=0x40))
            self.assertEqual(peer.message(), 1009)
        for broken in (b"\xff" * 50, b"", deflated(b"\xff")):
            peer = self.charger(headers=DEFLATE)
            peer.send(frame(broken, reserved=0x40))
            self.assertIn(self.first_code(peer), {1002, 1007, None})

    def first_code(self, peer: RawPeer) -> object:
        """The close code; None when the socket stays."""
        came = peer.until_heartbeat()
        return came[0] if came else None

    def test_offers_of_compression_are_taken_without_a_window_that_stays(self) -> None:
        wanted = {
            "permessage-deflate": True,
            "permessage-deflate; client_max_window_bits": True,
            "permessage-deflate; client_max_window_bits=9; server_max_window_bits=9": True,
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover": True,
            "x-webkit-deflate-frame, permessage-deflate": True,
            "permessage-bzip2": False,
            "unheard-of; x=1": False,
        }
        for offer, taken in wanted.items():
            with self.subTest(offer):
                peer = self.peer()
                head = peer.open("ODD", headers=f"Sec-WebSocket-Extensions: {offer}\r\n").lower()
                self.assertEqual("permessage-deflate" in head, taken)
                self.assertEqual("client_no_context_takeover" in head, taken)
                if taken:
                    peer.send(frame(deflated(b'[2,"1","Heartbeat",{}]'), reserved=0x40))
                    self.assertEqual(peer.message()[:2], [3, "1"])

    def test_text_frames_may_come_in_any_pieces(self) -> None:
        peer = self.charger()
        text = '[2,"ä€\U0001f600","Heartbeat",{}]'.encode()
        peer.send(frame(text[:1], TEXT, fin=False))
        for byte in text[1:-1]:
            peer.send(frame(bytes([byte]), CONTINUATION, fin=False) + frame(b"", PING))
        for byte in frame(text[-1:], CONTINUATION):
            peer.send(bytes([byte]))
        self.assertEqual(peer.message()[:2], [3, "ä€\U0001f600"])
