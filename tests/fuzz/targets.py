"""What is fuzzed: each target takes bytes and raises only when csms breaks its word."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource

from csms.addresses import TrustedProxies
from csms.api.operations import NoQuery
from csms.api.parameters import read_body, read_query
from csms.api.problems import Problem
from csms.api.requests import HttpSite
from csms.api.resources.registry import OPERATIONS
from csms.broker.amqp_tables import decode_table
from csms.config.settings import GatewaySettings
from csms.domain.messages import (
    BadMessage,
    ChargerMessage,
    CommandOrder,
    Reply,
    Takeover,
    decode,
    decode_notification,
    encode,
    encode_notification,
)
from csms.domain.model import Registration
from csms.domain.payloads import number
from csms.domain.times import device_time
from csms.gateway import browser_frames
from csms.gateway.admission import Identity
from csms.gateway.charger_factory import ChargerFactory
from csms.gateway.events import event_texts
from csms.ocpp.connection import Connection
from csms.ocpp.events import CallReceived, SendText
from csms.ocpp.quirks import Quirks, shipped
from csms.ocpp.versions import Version

Target = Callable[[bytes], None]
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
_QUIRKS = Quirks(shipped())
_BODIES = tuple({operation.body: None for operation in OPERATIONS if operation.body not in (None, bytes)})


def ocpp(data: bytes) -> None:
    """Texts of a charger, one a line: nothing raises, and all that is answered is a frame."""
    for version in Version:
        connection = Connection(version, quirks=_QUIRKS)
        for line in data.split(b"\n"):
            events = connection.receive(line)
            while events:
                following = []
                for event in events:
                    if isinstance(event, SendText):
                        kind, unique_id, *_ = json.loads(event.text)
                        assert kind in (3, 4, 5)
                        assert 1 <= len(unique_id) <= 255
                    elif isinstance(event, CallReceived):
                        assert "\x00" not in event.raw
                        json.dumps(event.payload, allow_nan=False)
                        following += connection.answer(event.unique_id, {})
                events = following


class _Transport(StringTransport):
    """A TCP connection as far as Autobahn and Twisted's HTTP look at it."""

    def setTcpKeepAlive(self, enabled: bool) -> None: ...

    def setTcpNoDelay(self, enabled: bool) -> None: ...

    def abortConnection(self) -> None:
        self.disconnecting = True

    def registerProducer(self, producer: Any, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...


class _Relay:
    """Takes messages."""

    device_id = connection_id = "CP1"

    def received(self, data: bytes) -> None:
        assert len(data) <= 1 << 20

    def received_binary(self, length: int) -> None: ...

    def ended(self, code: int, reason: str) -> None: ...

    def close(self, code: int, reason: str) -> None:
        raise AssertionError(f"a message broke the relay: {code} {reason}")


class _Gate:
    """Lets everybody in."""

    async def admit(self, device_id: str, authorization: str | None, channel: Any) -> Identity:
        assert 1 <= len(device_id) <= 48
        assert not set(device_id) & set(":/\\\0\r\n")
        return Identity(device_id, 1, Registration.ACCEPTED)

    def opened(self, protocol: Any, identity: Identity, version: Version) -> Any:
        return _Relay()

    def closed(self, protocol: Any) -> None: ...


def handshake(data: bytes) -> None:
    """A charger's whole connection, in pieces: nothing raises, nothing is kept without bound."""
    factory = ChargerFactory(GatewaySettings(name="fuzz"), cast(Any, _Gate()), Clock())
    protocol: Any = factory.buildProtocol(None)
    transport = _Transport()
    protocol.makeConnection(transport)
    for start in range(0, len(data), 701):
        if transport.disconnecting:
            break
        protocol.dataReceived(data[start : start + 701])
        assert len(protocol.data) < 1 << 21
    answer = transport.value()
    assert not answer or answer.startswith(b"HTTP/1.1 ")


_HANDSHAKE = (
    b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ocpp1.6\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


def frames(data: bytes) -> None:
    """What comes after a good handshake."""
    handshake(_HANDSHAKE + data)


class _Echo(Resource):
    isLeaf = True  # noqa: N815 - Twisted's name

    def render(self, request: Any) -> bytes:
        body = request.content.read()
        assert len(body) <= 64 * 1024
        request.getHeader("Content-Type")
        return b"ok"


def http(data: bytes) -> None:
    """A connection to the HTTP port: nothing raises."""
    site: Any = HttpSite(_Echo(), TrustedProxies(""))
    site.reactor = clock = Clock()
    site.callLater = clock.callLater
    channel = site.buildProtocol(None)
    channel.callLater = clock.callLater
    transport = _Transport()
    channel.makeConnection(transport)
    for start in range(0, len(data), 701):
        if transport.disconnecting:
            break
        channel.dataReceived(data[start : start + 701])
    answer = transport.value()
    assert not answer or answer.startswith(b"HTTP/1.")


def bodies(data: bytes) -> None:
    """Bodies and query strings of the REST interface."""
    for kind in _BODIES:
        try:
            read_body(data, kind)
        except Problem as problem:
            assert 400 <= problem.status < 500  # noqa: PT017 - no test function
    for operation in OPERATIONS:
        if operation.query is not NoQuery:
            pairs = [pair.partition(b"=") for pair in data.split(b"&")]
            try:
                read_query({name: [value] for name, _, value in pairs}, operation.query)
            except Problem as problem:
                assert problem.status == 400  # noqa: PT017


def amqp(data: bytes) -> None:
    """Bodies of messages, and tables of headers."""
    for kind in (ChargerMessage, Reply, Takeover, CommandOrder):
        try:
            encode(cast(Any, decode)(kind, data))
        except BadMessage:
            continue
    try:
        notification = decode_notification(data)
    except BadMessage:
        pass
    else:
        encode_notification(notification)
        event_texts(notification)
    with contextlib.suppress(ValueError):
        decode_table(data)


def browser(data: bytes) -> None:
    """Frames on /events."""
    try:
        browser_frames.read_frame(data, is_binary=False)
    except browser_frames.BadFrame as bad:
        browser_frames.error(str(bad))


def values(data: bytes) -> None:
    """Times and numbers in payloads."""
    text = data.decode("utf-8", "replace")
    told = device_time(text, NOW)
    assert abs(told.at - NOW).days <= 366
    found = number(text)
    assert found is None or abs(found) <= 1e15


TARGETS: Mapping[str, Target] = {
    target.__name__: target for target in (ocpp, handshake, frames, http, bodies, amqp, browser, values)
}
