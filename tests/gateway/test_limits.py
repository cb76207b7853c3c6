"""What a peer can send, or leave unread, without costing anybody else anything."""

from __future__ import annotations

import zlib
from typing import Any

from twisted.internet.defer import Deferred

from csms.domain.messages import CONNECTION_CLOSED
from csms.gateway import charger
from csms.gateway.charger import MAX_HEADER_BYTES
from tests.gateway.case import PASSWORD, GatewayCase, turn, until
from tests.gateway.client import CLOSE, CONTINUATION, PING, TEXT, Peer, call, frame, request

DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}


def deflated(payload: bytes) -> bytes:
    """A message's payload as permessage-deflate sends it (RFC 7692 section 7.2.1)."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


class HeaderTests(GatewayCase):
    async def test_endless_header_is_cut(self) -> None:
        await self.start()
        peer = await self.connect()
        peer.send(b"GET /ocpp/CP1 HTTP/1.1\r\n" + b"X: " + b"x" * MAX_HEADER_BYTES)
        self.assertEqual((await peer.response()).status, 431)
        await peer.gone()
        await until(lambda: not self.gateway.listening.handshakes)

    async def test_large_header_in_one_piece_is_refused_too(self) -> None:
        await self.start()
        self.charger()
        status = await self.status("/ocpp/CP1", password=PASSWORD, headers={"X": "x" * MAX_HEADER_BYTES})
        self.assertEqual(status, 431)

    async def test_header_byte_by_byte_is_fine(self) -> None:
        await self.start()
        self.charger()
        peer = await self.connect()
        for byte in request("/ocpp/CP1", password=PASSWORD):
            peer.send(bytes([byte]))
            await turn(1)
        self.assertEqual((await peer.response()).status, 101)

    async def test_half_open_handshake_is_cut(self) -> None:
        await self.start(handshake_timeout_s=0.1)
        peer = await self.connect()
        peer.send(b"GET /ocpp/CP1 HTTP/1.1\r\n")
        await peer.gone()
        self.assertEqual(peer.buffer, b"")

    async def test_idle_sockets_do_not_keep_a_charger_out(self) -> None:
        await self.start(max_handshakes=5)
        idle = [await self.connect() for _ in range(20)]
        await self.open()
        await until(lambda: sum(peer.lost for peer in idle) >= 15)
        self.assertEqual(self.gateway.connections, 1)

    async def test_when_all_are_being_admitted_the_next_gets_503(self) -> None:
        await self.start(max_handshakes=2)
        self.database.slow = Deferred()
        for number in range(2):
            self.charger(f"S{number}")
            peer = await self.connect()
            peer.request(f"/ocpp/S{number}", password=PASSWORD)
        await until(lambda: self.database.reads == 2)
        late = await self.connect()
        self.assertEqual((await late.response()).status, 503)
        self.database.slow.callback(None)
        self.assertEqual((await peer.response()).status, 101)

    async def test_chargers_beyond_the_limit_get_503_but_a_known_one_may_come_back(self) -> None:
        await self.start(max_connections=1)
        self.charger("CP2")
        await self.open("CP1")
        self.assertEqual(await self.status("/ocpp/CP2", password=PASSWORD), 503)
        await self.open("CP1")
        self.assertEqual(self.gateway.connections, 1)

    async def test_second_request_while_the_first_is_decided_opens_nothing_twice(self) -> None:
        await self.start()
        self.charger("CP1")
        self.charger("CP2")
        self.database.slow = Deferred()
        peer = await self.connect()
        peer.request("/ocpp/CP1", password=PASSWORD)
        await until(lambda: self.database.reads == 1)
        peer.request("/ocpp/CP2", password=PASSWORD)
        await turn(20)
        self.assertEqual(self.database.reads, 1)
        self.database.slow.callback(None)
        self.assertEqual((await peer.response()).status, 101)
        self.assertEqual((await peer.frame())[0], CLOSE)
        await until(lambda: self.gateway.connections == 0)
        await until(lambda: CONNECTION_CLOSED in {message.message_type for message in self.worker.messages})
        self.assertEqual({message.device_id for message in self.worker.messages}, {"CP1"})

    async def test_frames_sent_before_the_answer_belong_to_the_websocket(self) -> None:
        await self.start()
        self.charger()
        self.database.slow = Deferred()
        peer = await self.connect()
        peer.request("/ocpp/CP1", password=PASSWORD)
        await until(lambda: self.database.reads == 1)
        peer.call("1", "Heartbeat")
        self.database.slow.callback(None)
        self.assertEqual((await peer.response()).status, 101)
        self.assertEqual((await peer.message())[:2], [3, "1"])

    async def test_flood_before_the_answer_is_cut(self) -> None:
        await self.start()
        self.charger()
        self.database.slow = Deferred()
        peer = await self.connect()
        peer.request("/ocpp/CP1", password=PASSWORD)
        await until(lambda: self.database.reads == 1)
        peer.send(b"x" * (MAX_HEADER_BYTES + 1))
        self.assertEqual((await peer.response()).status, 400)

    async def test_peer_that_left_while_it_was_decided_leaves_no_ghost(self) -> None:
        await self.start()
        self.charger()
        self.database.slow = Deferred()
        peer = await self.connect()
        peer.request("/ocpp/CP1", password=PASSWORD)
        await until(lambda: self.database.reads == 1)
        peer.cut()
        await until(lambda: not self.gateway.listening.handshakes)
        self.database.slow.callback(None)
        await turn(20)
        self.assertEqual((self.gateway.connections, self.worker.messages), (0, []))


class MessageSizeTests(GatewayCase):
    async def open_deflate(self) -> Peer:
        self.charger()
        peer = await self.connect()
        peer.request("/ocpp/CP1", password=PASSWORD, headers=DEFLATE)
        response = await peer.response()
        self.assertIn("client_no_context_takeover", response.headers["sec-websocket-extensions"])
        return peer

    async def test_message_beyond_the_limit_closes_with_1009(self) -> None:
        await self.start(max_message_bytes=1024)
        peer = await self.open()
        peer.send_frame(b"[" + b" " * 1024)
        self.assertEqual(await peer.close_code(), 1009)

    async def test_fragments_beyond_the_limit_close_with_1009(self) -> None:
        await self.start(max_message_bytes=1024)
        peer = await self.open()
        peer.send_frame(b"[", TEXT, fin=False)
        for _ in range(5):
            peer.send_frame(b" " * 300, CONTINUATION, fin=False)
        self.assertEqual(await peer.close_code(), 1009)

    async def test_fragments_make_a_message_and_empty_ones_take_no_memory(self) -> None:
        await self.start()
        peer = await self.open()
        text = call("1", "Heartbeat").encode()
        peer.send_frame(text[:3], TEXT, fin=False)
        peer.send(frame(b"", CONTINUATION, fin=False) * 10_000)
        for position in range(3, len(text)):
            peer.send_frame(text[position : position + 1], CONTINUATION, fin=False)
        protocol = next(iter(self.gateway._protocols))
        await until(lambda: len(getattr(protocol, "_collected", b"")) == len(text))
        self.assertEqual(protocol.message_data, [])
        peer.send_frame(b"", CONTINUATION)
        self.assertEqual((await peer.message())[:2], [3, "1"])

    async def test_compressed_calls_are_understood_and_no_window_is_kept(self) -> None:
        await self.start()
        peer = await self.open_deflate()
        for unique_id in ("1", "2"):
            peer.send_frame(deflated(call(unique_id, "Heartbeat").encode()), rsv1=True)
            self.assertEqual((await peer.message())[:2], [3, unique_id])
        deflate: Any = next(iter(self.gateway._protocols))._perMessageCompress
        self.assertEqual((deflate._compressor, deflate._decompressor), (None, None))

    async def test_deflate_bomb_closes_with_1009_and_is_never_inflated(self) -> None:
        await self.start(max_message_bytes=65536)
        other = await self.open("OTHER")
        peer = await self.open_deflate()
        received: list[int] = []
        self.patch(charger.ChargerProtocol, "onMessage", lambda _, data, binary: received.append(len(data)))
        bomb = deflated(b" " * 30_000_000)
        self.assertLess(len(bomb), 65536)
        peer.send_frame(bomb, rsv1=True)
        self.assertEqual(await peer.close_code(), 1009)
        self.assertEqual(received, [])
        self.assertFalse(other.lost)

    async def test_invalid_utf8_closes_with_1007(self) -> None:
        await self.start()
        peer = await self.open()
        peer.send_frame(b"[2,\xff")
        self.assertEqual(await peer.close_code(), 1007)

    async def test_unmasked_frame_closes_with_1002(self) -> None:
        await self.start()
        peer = await self.open()
        peer.send(b"\x81\x02[]")
        self.assertEqual(await peer.close_code(), 1002)

    async def test_what_comes_after_a_violation_is_not_kept(self) -> None:
        await self.start()
        peer = await self.open()
        protocol = next(iter(self.gateway._protocols))
        peer.send(b"\x81\x02[]" + frame(b"x" * 100_000)[:-1])
        self.assertEqual((await peer.frame())[0], CLOSE)
        for _ in range(20):
            peer.send(b"y" * 50_000)
            await turn(2)
        self.assertLess(len(protocol.data), 200_000)
        await peer.gone()


class SlowPeerTests(GatewayCase):
    async def test_charger_that_does_not_read_its_answers_is_read_no_more(self) -> None:
        await self.start()
        peer = await self.open()
        protocol = next(iter(self.gateway._protocols))
        peer.stop_reading()
        flood = frame(b"x" * 125, PING) * 1000
        for _ in range(1000):
            peer.send(flood)
            await turn(1)
            if protocol._hold:
                break
        self.assertEqual(protocol._hold, charger.Hold.OUTPUT_FULL)
        written = len(protocol.transport._tempDataBuffer) + protocol.transport._tempDataLen
        self.assertLess(written, 2_000_000)
        peer.read_again()
        await until(lambda: not protocol._hold)

    async def test_silent_charger_is_pinged_and_one_that_is_gone_is_cut(self) -> None:
        await self.start(ping_interval_s=0.2, ping_timeout_s=0.2)
        alive, stuck = await self.open("ALIVE"), await self.open("STUCK")
        stuck.stop_reading()
        waiting = Deferred.fromCoroutine(alive.frame())
        await until(lambda: self.gateway.connections == 1)
        await until(lambda: alive.pings >= 3)
        self.assertEqual([m.device_id for m in self.worker.of("ConnectionClosed")], ["STUCK"])
        alive.call("1", "Heartbeat")
        await waiting

    async def test_ping_is_due_an_interval_after_the_last_word(self) -> None:
        await self.start()
        peer = await self.open()
        protocol = next(iter(self.gateway._protocols))
        peer.call("1", "Heartbeat")
        await peer.message()
        protocol.pulse(protocol._heard_at + 9.9, 10.0, 5.0)
        peer.call("2", "Heartbeat")
        await peer.message()
        self.assertEqual(peer.pings, 0)
        protocol.pulse(protocol._heard_at + 10.0, 10.0, 5.0)
        waiting = Deferred.fromCoroutine(peer.message())
        await until(lambda: peer.pings == 1)
        peer.call("3", "Heartbeat")
        self.assertEqual((await waiting)[1], "3")
        protocol.pulse(protocol._heard_at + 9.0, 10.0, 5.0)
        self.assertFalse(peer.lost)
