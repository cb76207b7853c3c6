"""Browsers on /events: WebSockets that follow the event ring.

A browser is a cursor into the ring. It is written to only while its socket takes more, so that one that reads slowly
costs the memory of one socket buffer; what it has not got yet stands in the ring, once for all browsers.
Whoever reaches this module is signed in and comes from an allowed origin: the HTTP side checks that before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory
from autobahn.websocket.protocol import PreparedMessage
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IAddress, IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.web.server import Request
from zope.interface import implementer

from csms import metrics
from csms.config.settings import HttpSettings
from csms.gateway import browser_frames as frames
from csms.gateway.browser_cursor import BrowserCursor, RingMovedOn
from csms.gateway.events import EventRing
from csms.gateway.frames import text_frame
from csms.gateway.one_buffer import OneBufferProtocol
from csms.gateway.rounds import Rounds
from csms.gateway.socket import GOING_AWAY, POLICY_VIOLATION

HOLD_S = 1.0
"""A new browser gets nothing for this long, unless it resumes: what it missed shall come before what is new."""
MAX_FRAME_BYTES = 256 * 1024
MAX_BAD_FRAMES = 20
MAX_RESUMES = 20
"""On one connection. Each looks through the whole ring, and a browser needs one."""
PIECE_BYTES = 32 * 1024
"""So much is written to a browser in one turn of the reactor."""
MAX_UNREAD_ANSWERS = 32
MAX_WAITING = 100
"""Requests that wait for the ring at once: HTTP has room for others, too."""
PING_INTERVAL_S = 30
PING_TIMEOUT_S = 20
CLOSE_TIMEOUT_S = 2
SIGNED_OUT = 4401

_log = Logger(namespace="csms.gateway")


def to_wire(texts: list[bytes]) -> bytes:
    """Text frames, ready for every browser's socket: nothing is masked or compressed on the way to a browser."""
    return b"".join(text_frame(text) or PreparedMessage(text, False, False, True).payloadHybi for text in texts)


class Browsers:
    """All browsers of this process. ``fill`` fills the ring, and tells whether it is filled then."""

    def __init__(
        self,
        ring: EventRing,
        settings: HttpSettings,
        *,
        clock: IReactorTime,
        now: Callable[[], datetime],
        fill: Callable[[], Awaitable[bool]],
    ) -> None:
        self.ring = ring
        self.clock = clock
        self.now = now
        self.lag_bytes = settings.browser_buffer_bytes
        self._max_browsers = settings.max_browsers
        self._fill = fill
        self._open: set[BrowserProtocol] = set()
        self._waiting = 0
        self._rounds = Rounds(clock, self._open, BrowserProtocol.ring_changed)
        ring.listen(self._rounds.ask)
        self._closed = False
        self._factory = WebSocketServerFactory(server="csms")
        self._factory.setProtocolOptions(
            webStatus=False,
            maxFramePayloadSize=MAX_FRAME_BYTES,
            maxMessagePayloadSize=MAX_FRAME_BYTES,
            openHandshakeTimeout=10,
            closeHandshakeTimeout=CLOSE_TIMEOUT_S,
            autoPingInterval=PING_INTERVAL_S,
            autoPingTimeout=PING_TIMEOUT_S,
        )

    def __len__(self) -> int:
        return len(self._open)

    async def unavailable(self) -> str:
        """Why no browser can be taken now; empty when it can. The first one waits for the ring."""
        if not self._closed and not await self._is_filled():
            return "the events of the last minutes are being read"
        if self._closed:
            return "this process is stopping"
        if len(self._open) >= self._max_browsers:
            return "too many browsers are connected"
        return ""

    async def _is_filled(self) -> bool:
        if self._waiting >= MAX_WAITING:
            return False
        self._waiting += 1
        try:
            return await self._fill()
        finally:
            self._waiting -= 1

    def upgrade(self, request: Request, session: str, expires_at: datetime) -> None:
        """Take over the connection of an HTTP request that asks for a WebSocket.

        ``session`` names the sign-in that lets the browser in, until ``expires_at`` or ``sign_out``.
        """
        WebSocketResource(_OneBrowser(self, self._factory, session, expires_at)).render(request)

    def sessions(self) -> Collection[str]:
        """The sign-ins that browsers are here by."""
        return {browser.session for browser in self._open}

    def sign_out(self, session: str) -> None:
        """Close the browsers of one sign-in."""
        for browser in tuple(self._open):
            if browser.session == session:
                browser.end(SIGNED_OUT, "signed out")

    async def close(self) -> None:
        """Close all browsers with 1001 and wait until they are gone, which takes two seconds at most."""
        self._closed = True
        gone = [browser.gone for browser in self._open]
        for browser in tuple(self._open):
            browser.ring_changed()
            browser.end(GOING_AWAY, "going away")
        await gatherResults(gone)

    def opened(self, browser: BrowserProtocol) -> None:
        """For the protocol only."""
        self._open.add(browser)
        metrics.BROWSERS.inc()

    def closed(self, browser: BrowserProtocol) -> None:
        """For the protocol only."""
        if browser in self._open:
            self._open.remove(browser)
            metrics.BROWSERS.dec()
        if not self._open:
            self._rounds.stop()


class _OneBrowser:
    """What WebSocketResource takes for a factory: it makes the protocol of one browser."""

    def __init__(self, browsers: Browsers, factory: WebSocketServerFactory, session: str, expires_at: datetime) -> None:
        self._browsers = browsers
        self._factory = factory
        self._session = session
        self._expires_at = expires_at

    def buildProtocol(self, _address: IAddress) -> BrowserProtocol:
        protocol = BrowserProtocol(self._browsers, self._session, self._expires_at)
        protocol.factory = self._factory
        return protocol


@implementer(IPushProducer)
class BrowserProtocol(OneBufferProtocol):
    """One browser's WebSocket."""

    def __init__(self, browsers: Browsers, session: str, expires_at: datetime) -> None:
        super().__init__()
        self._browsers = browsers
        self._expires_at = expires_at
        self._cursor = BrowserCursor(browsers.ring, browsers.lag_bytes)
        self._paused = False
        self._bad_frames = 0
        self._resumes = 0
        self._unread_answers = 0
        self._timers: list[IDelayedCall] = []
        self._further: IDelayedCall | None = None
        self.session = session
        self.gone: Deferred[None] = Deferred()

    def onOpen(self) -> None:
        # The HTTP channel that had this connection before is still its producer.
        self.unregisterProducer()
        self.registerProducer(self, True)
        lifetime_s = max(0.0, (self._expires_at - self._browsers.now()).total_seconds())
        self._timers = [
            self._browsers.clock.callLater(HOLD_S, self._release),
            self._browsers.clock.callLater(lifetime_s, self.end, SIGNED_OUT, "the sign-in has expired"),
        ]
        self._browsers.opened(self)
        self._write(to_wire([frames.welcome(self._browsers.ring.feed)]))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N803 - autobahn's name
        try:
            request = frames.read_frame(payload, isBinary)
        except frames.BadFrame as bad:
            metrics.BROWSER_BAD_FRAMES.inc()
            self._answer(frames.error(str(bad)))
            self._bad_frames += 1
            if self._bad_frames >= MAX_BAD_FRAMES:
                self.end(POLICY_VIOLATION, "too many bad frames")
            return
        if isinstance(request, frames.Subscribe):
            self._cursor.filter = request.filter()
            self._answer(frames.SUBSCRIBED)
            return
        self._resumes += 1
        if self._resumes > MAX_RESUMES:
            self.end(POLICY_VIOLATION, "too many resumes")
            return
        missed = self._cursor.resume(request.id, request.feed)
        self._answer(frames.RESET if missed is None else frames.resumed(missed))
        self._pump()

    def onPing(self, payload: bytes) -> None:
        if not self._paused:
            super().onPing(payload)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:  # noqa: N803
        for timer in (*self._timers, self._further):
            if timer is not None and timer.active():
                timer.cancel()
        self._browsers.closed(self)
        if not self.gone.called:
            self.gone.callback(None)

    def ring_changed(self) -> None:
        """There are new events."""
        if not self._paused:
            self._pump()
        elif self._cursor.falls_behind():
            metrics.BROWSERS_LAGGED.inc()
            self._write(to_wire([frames.LAGGED]))

    def end(self, code: int, reason: str) -> None:
        """Close the WebSocket with ``code``; drop it when the browser does not answer in time."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode())

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._unread_answers = 0
        self._pump()

    def stopProducing(self) -> None:
        self._paused = True

    def _release(self) -> None:
        self._cursor.release()
        self._pump()

    def _pump(self) -> None:
        if self._paused or self.state != self.STATE_OPEN:
            return
        try:
            wire = self._cursor.take(PIECE_BYTES)
        except RingMovedOn:
            wire = to_wire([frames.RESET])
        if wire:
            self._write(wire)
        if self._cursor.has_more and self._further is None:
            # A browser that takes all there is must not keep chargers waiting.
            self._further = self._browsers.clock.callLater(0, self._pump_further)

    def _pump_further(self) -> None:
        self._further = None
        self._pump()

    def _answer(self, text: bytes) -> None:
        if self._paused:
            self._unread_answers += 1
            if self._unread_answers > MAX_UNREAD_ANSWERS:
                _log.info("a browser asks but does not read: dropped")
                self.dropConnection(abort=True)
                return
        self._write(to_wire([text]))

    def _write(self, wire: bytes) -> None:
        # transport.write may call pauseProducing at once.
        if self.state == self.STATE_OPEN:
            assert self.transport is not None
            self.transport.write(wire)
