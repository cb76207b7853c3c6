"""Autobahn's WebSocket protocol for chargers at ``/ocpp/<deviceId>``: bytes, handshakes, limits.

What Autobahn leaves open is closed here: the header is bounded before the handshake, nothing is parsed while the
admission is being decided, a peer that left meanwhile opens nothing, no exception of ours costs a charger more than
its own connection, and reading stops in the middle of a buffer when enough waits. There is no timer per connection:
the service looks at the clock for all of them.

A charger that offers no subprotocol of ours gets the handshake finished without one and is then closed, as OCPP-J 1.6
section 3.1.2 and OCPP 2.x part 4 section 3.1.2 have it. Its Origin header, if it sends one, is nobody's business.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntFlag
from http import HTTPStatus
from typing import Any, Protocol

from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from csms import metrics
from csms.addresses import TrustedProxies
from csms.gateway.admission import Identity, Refusal
from csms.gateway.channel import Channel
from csms.gateway.clock import Clock
from csms.gateway.frames import text_frame, whole_text
from csms.gateway.handshake import device_id_of
from csms.gateway.one_buffer import OneBufferProtocol
from csms.gateway.relay import Relay
from csms.gateway.socket import INTERNAL_ERROR, PROTOCOL_ERROR, Silent
from csms.gateway.tls import client_certificate, failure_reason
from csms.ocpp.versions import Version, choose_version

MAX_HEADER_BYTES = 16 * 1024
REFUSAL_S = 0.02
"""How long every refusal takes at least."""

_HEADER_END = b"\r\n\r\n"
_ORIGIN = re.compile(rb"\r\n(?:sec-websocket-)?origin[ \t]*:[^\r\n]*", re.IGNORECASE)

_log = Logger(namespace="csms.gateway")


class Hold(IntFlag):
    """Why a socket is not read."""

    QUEUE_FULL = 1
    OUTPUT_FULL = 2
    BROKER_BLOCKED = 4
    STOPPING = 8


class Gate(Protocol):
    """Who decides about handshakes and takes the connections."""

    async def admit(self, device_id: str, authorization: str | None, channel: Channel) -> Identity:
        """Raises Refusal."""
        ...

    def opened(self, protocol: ChargerProtocol, identity: Identity, version: Version) -> Relay:
        """The WebSocket is open."""

    def closed(self, protocol: ChargerProtocol) -> None:
        """The socket is gone, opened or not."""

    def tls_refused(self, address: str, reason: str) -> None:
        """There is no TLS with somebody."""


class Surroundings(Protocol):
    """What a protocol needs of its factory."""

    clock: Clock
    gate: Gate
    tls: bool
    missing_is_16: bool
    proxies: TrustedProxies

    def begin_handshake(self, protocol: ChargerProtocol) -> None: ...

    def end_handshake(self, protocol: ChargerProtocol) -> None: ...

    def begin_close(self, protocol: ChargerProtocol) -> None: ...

    def forget(self, protocol: ChargerProtocol) -> None: ...


@implementer(IPushProducer)
class ChargerProtocol(OneBufferProtocol):
    """One charger's socket. It is the Socket of a :class:`~csms.gateway.relay.Relay`."""

    factory: Surroundings
    transport: Any
    current_frame: Any
    maxMessagePayloadSize: int  # noqa: N815 - autobahn's name
    log = Silent()

    relay: Relay | None = None
    admitting = False
    _identity: Identity
    _version: Version | None
    _address = ""
    """As a trusted proxy tells it."""
    _refusing: Deferred[None]
    _timer: IDelayedCall | None = None
    _retry_after_s = 0
    _hold = Hold(0)
    _heard_at = 0.0
    _pinged_at = 0.0

    # --- the socket

    def connectionMade(self) -> None:
        self._heard_at = self.factory.clock.seconds()
        super().connectionMade()
        self.transport.setTcpKeepAlive(True)
        self.factory.begin_handshake(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.forget(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
            self._refusing.callback(None)
        if self.factory.tls and self.state == self.STATE_CONNECTING:
            self._tell_of_tls(reason)
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        self._heard_at = self.factory.clock.seconds()
        self._pinged_at = 0.0
        if self.state != self.STATE_CONNECTING:
            # After a violation only the peer's close frame is of interest, so not much needs to be kept.
            if self.state != self.STATE_CLOSED and not (self.failedByMe and len(self.data) > MAX_HEADER_BYTES):
                self._dataReceived(data)
            return
        self.data += data
        if self.admitting:  # belongs to the WebSocket that may be opened; a second request is none
            if len(self.data) > MAX_HEADER_BYTES:
                self.failHandshake("too much before the handshake ended", 400)
            return
        end = self.data.find(_HEADER_END)
        if end > MAX_HEADER_BYTES or (end < 0 and len(self.data) > MAX_HEADER_BYTES):
            self.failHandshake("header too large", 431)
        elif end >= 0:
            self.data = _ORIGIN.sub(b"", self.data[:end]) + self.data[end:]
            self.consumeData()

    def _tell_of_tls(self, reason: Failure) -> None:
        why = failure_reason(self.transport, reason)
        if why:
            self._count("tls")
            _log.info("no TLS with {address}: {reason}", address=self.address, reason=why)
            self.factory.gate.tls_refused(self.address, why)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:  # noqa: N802
        self.transport.write(data)

    @property
    def address(self) -> str:
        """Where the charger connects from."""
        return self._address or str(self.transport.getPeer().host)

    # --- the handshake

    def onConnect(self, request: ConnectionRequest) -> Any:
        self.admitting = True
        return Deferred.fromCoroutine(self._admit(request))

    async def _admit(self, request: ConnectionRequest) -> str | None:
        device_id = device_id_of(self.http_request_uri)
        if device_id is None:
            raise ConnectionDeny(404, "Not found")
        self._address = self.factory.proxies.client(self.address, request.headers.get("x-forwarded-for"))
        began = self.factory.clock.seconds()
        certificate = client_certificate(self.transport) if self.factory.tls else None
        channel = Channel(self.address, self.factory.tls, certificate)
        try:
            identity = await self.factory.gate.admit(device_id, request.headers.get("authorization"), channel)
        except Refusal as refusal:
            self._retry_after_s = refusal.retry_after_s
            await self._take_time(began)
            raise ConnectionDeny(refusal.status, refusal.reason) from refusal
        except Exception as error:
            _log.failure("admission of {charger} failed", charger=device_id)
            raise ConnectionDeny(500, "Internal server error") from error
        if self.state != self.STATE_CONNECTING:
            raise ConnectionDeny(400, "gone")
        offered = [name for name in request.protocols if name]
        self._identity = identity
        self._version = choose_version(offered, self.factory.missing_is_16)
        return self._version.subprotocol if self._version is not None and offered else None

    async def _take_time(self, began: float) -> None:
        """Refuse when ``REFUSAL_S`` have passed, so that the time says nothing about what was found."""
        left_s = began + REFUSAL_S - self.factory.clock.seconds()
        if left_s > 0:
            self._refusing = Deferred()
            self._timer = self.factory.clock.callLater(left_s, self._refusing.callback, None)
            await self._refusing

    def onOpen(self) -> None:
        self.admitting = False
        self.factory.end_handshake(self)
        self._forget_request()
        self.transport.registerProducer(self, True)
        if self._version is None:
            self._count("no_subprotocol")
            self.close(PROTOCOL_ERROR, "no common subprotocol")
            return
        self._count("101")
        try:
            self.relay = self.factory.gate.opened(self, self._identity, self._version)
        except Exception:
            _log.failure("connection of {charger} failed", charger=self._identity.device_id)
            self.close(INTERNAL_ERROR, "internal error")

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:  # noqa: N802, N803
        """Answer with an HTTP status of our own wording, and close."""
        if self.state != self.STATE_CONNECTING:
            return
        self.admitting = False
        self.data = b""
        self._count(str(code))
        phrase = HTTPStatus(code).phrase
        body = phrase.encode() + b"\n"
        headers = [f"HTTP/1.1 {code} {phrase}", "Content-Type: text/plain", "X-Content-Type-Options: nosniff"]
        headers += [f"Content-Length: {len(body)}", "Connection: close", *self._further_headers(code)]
        self.wasNotCleanReason = reason
        self.transport.write("\r\n".join([*headers, "", ""]).encode() + body)
        self.dropConnection(abort=False)

    def _further_headers(self, code: int) -> Sequence[str]:
        match code:
            case 401:
                return ('WWW-Authenticate: Basic realm="ocpp", charset="UTF-8"',)
            case 400 | 426:
                return ("Upgrade: websocket", "Sec-WebSocket-Version: 13")
            case 429 | 503:
                return (f"Retry-After: {self._retry_after_s or 10}",)
        return ()

    def _count(self, outcome: str) -> None:
        metrics.HANDSHAKES.labels(outcome).inc()

    def _forget_request(self) -> None:
        """An open connection needs nothing of its handshake, nor what ``sendData`` does without: 5 kB each."""
        for name in (
            "_transport_details",
            "_wskey",
            "http_request_data",
            "http_headers",
            "http_status_line",
            "http_response_data",
            "http_request_params",
            "send_queue",
            "websocket_protocols",
        ):
            self.__dict__.pop(name, None)

    # --- messages

    def processData(self) -> bool:  # noqa: N802
        if self.state == self.STATE_OPEN:
            if self._hold:
                return False
            if self.current_frame is None and not self.inside_message and not self.failedByMe:
                whole = whole_text(self.data, self.maxMessagePayloadSize)
                if whole is not None:
                    text, end = whole
                    self.data = self.data[end:]
                    self.onMessage(text, False)
                    return bool(self.data)
        return bool(super().processData())

    def onMessageEnd(self) -> None:
        deflate: Any = self._perMessageCompress
        if deflate is not None:
            deflate._decompressor = None  # 40 kB; made anew for each message anyway
        super().onMessageEnd()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N803
        if self.relay is None:
            return
        try:
            if isBinary:
                self.relay.received_binary(len(payload))
            else:
                self.relay.received(payload)
        except Exception:
            _log.failure(
                "a message of {charger} failed", charger=self.relay.device_id, connection_id=self.relay.connection_id
            )
            self.relay.close(INTERNAL_ERROR, "internal error")

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: N803
        self._end_relay(code, reason)

    def _end_relay(self, code: int | None, reason: str | None) -> None:
        relay, self.relay = self.relay, None
        if relay is None:
            return
        try:
            relay.ended(code if code is not None else 1005, (reason or "")[:123])
        except Exception:
            _log.failure("the end of {charger}'s connection failed", charger=relay.device_id)

    # --- what the relay and the gateway ask for

    def send_text(self, text: str) -> None:
        if self.state == self.STATE_OPEN:
            payload = text.encode("utf-8", "replace")
            frame = text_frame(payload)
            if frame is None:
                self.sendMessage(payload, doNotCompress=True)
            else:
                self.transport.write(frame)

    def close(self, code: int, reason: str) -> None:
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code, reason.encode()[:123])
            self.release(~Hold(0))  # the peer's close frame must be read

    def sendCloseFrame(  # noqa: N802
        self,
        code: int | None = None,
        reasonUtf8: bytes | None = None,  # noqa: N803
        isReply: bool = False,  # noqa: N803
    ) -> None:
        super().sendCloseFrame(code, reasonUtf8, isReply)
        self.factory.begin_close(self)
        if not isReply:
            # A violation: Autobahn may not even find the peer's close frame after it, so this is the end.
            self._end_relay(code, (reasonUtf8 or b"").decode("utf-8", "replace"))

    def fail(self) -> None:
        """Cut the connection, whatever its state."""
        self.wasClean = False
        self.transport.abortConnection()

    def hold(self, full: bool) -> None:
        if full:
            self.keep_back(Hold.QUEUE_FULL)
        else:
            self.release(Hold.QUEUE_FULL)

    def keep_back(self, why: Hold) -> None:
        """Read no more, until ``release``."""
        if self.state == self.STATE_OPEN:
            if not self._hold:
                self.transport.pauseProducing()
            self._hold |= why

    def release(self, why: Hold) -> None:
        """``why`` holds no longer: go on reading, if nothing else does."""
        if not self._hold:
            return
        self._hold &= ~why
        if not self._hold:
            self._heard_at = self.factory.clock.seconds()
            self.transport.resumeProducing()
            # Not now: we may be within the parsing of this very buffer.
            self.factory.clock.callLater(0, self._read_on)

    def _read_on(self) -> None:
        if self.data and self.state in (self.STATE_OPEN, self.STATE_CLOSING):
            self.consumeData()

    def pulse(self, now: float, interval_s: float, timeout_s: float) -> None:
        """Ping a charger that has been silent for ``interval_s``; cut it if still nothing comes for ``timeout_s``.

        One that is not read now cannot be heard, so it is left alone.
        """
        if self._hold or self.state != self.STATE_OPEN:
            return
        if self._pinged_at:
            if now - self._pinged_at >= timeout_s:
                self.wasNotCleanReason = "no answer to a ping"
                self.dropConnection(abort=True)
        elif now - self._heard_at >= interval_s:
            self._pinged_at = now
            self.sendPing()

    # --- the transport asks: its buffer is full of answers that the charger does not read

    def pauseProducing(self) -> None:
        self.keep_back(Hold.OUTPUT_FULL)

    def resumeProducing(self) -> None:
        self.release(Hold.OUTPUT_FULL)

    def stopProducing(self) -> None: ...
