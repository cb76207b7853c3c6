"""A charger's end of OCPP-J without a socket: one CALL at a time, answers matched, commands answered."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from csms.ocpp.errors import ErrorCode, spelling
from csms.ocpp.frames import Call, CallError, CallResult, FrameError, Send, encode, parse
from csms.ocpp.versions import Version

Payload = dict[str, Any]
Command = Callable[[str, Payload], Payload | None]
"""Answers a command of the CSMS: the action and its payload; None where the charger does not know the action."""


class NoAnswer(Exception):  # noqa: N818 - it names what happened
    """The CSMS did not answer: it took too long, or the connection was lost."""


class Refused(Exception):  # noqa: N818 - it names what happened
    """The CSMS answered with a CALLERROR."""


class Link:
    """One connection. ``send`` takes the text of a frame; what comes in is given to ``received``."""

    def __init__(
        self,
        version: Version,
        send: Callable[[str], None],
        command: Command,
        clock: IReactorTime,
        *,
        timeout_s: float,
    ) -> None:
        self._version = version
        self._send = send
        self._command = command
        self._clock = clock
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._outstanding: tuple[str, Deferred[Payload]] | None = None
        self._waiting: deque[tuple[str, str, Payload, Deferred[Payload]]] = deque()
        self._lost = False

    async def call(self, action: str, payload: Payload) -> Payload:
        """The answer to a CALL; it waits its turn. Raises :class:`NoAnswer` or :class:`Refused`."""
        if self._lost:
            raise NoAnswer("not connected")
        answer: Deferred[Payload] = Deferred()
        self._waiting.append((str(next(self._numbers)), action, payload, answer))
        self._next()
        return await answer

    def received(self, text: str) -> None:
        """Take a frame from the CSMS; what cannot be read is dropped, as most chargers do."""
        try:
            frame = parse(text, self._version)
        except FrameError:
            return
        match frame:
            case Call():
                self._obey(frame)
            case CallResult() if self._is_outstanding(frame.unique_id):
                self._answered().callback(frame.payload)
            case CallError() if self._is_outstanding(frame.unique_id):
                self._answered().errback(Refused(f"{frame.code}: {frame.description}"))
            case CallResult() | CallError() | Send():
                pass
            case _:
                pass

    def lost(self) -> None:
        """The connection is gone: nobody will answer any more."""
        self._lost = True
        unanswered = [waiting[3] for waiting in self._waiting]
        self._waiting.clear()
        if self._outstanding is not None:
            unanswered.insert(0, self._answered())
        for answer in unanswered:
            answer.errback(NoAnswer("the connection was lost"))

    def _next(self) -> None:
        if self._outstanding is not None or not self._waiting or self._lost:
            return
        unique_id, action, payload, answer = self._waiting.popleft()
        self._outstanding = unique_id, answer
        timer = self._clock.callLater(self._timeout_s, self._overdue, unique_id)

        def settle(result: Any) -> Any:
            if timer.active():
                timer.cancel()
            return result

        answer.addBoth(settle)
        self._send(encode(Call(unique_id, action, payload)))

    def _is_outstanding(self, unique_id: str) -> bool:
        return self._outstanding is not None and self._outstanding[0] == unique_id

    def _answered(self) -> Deferred[Payload]:
        assert self._outstanding is not None
        answer = self._outstanding[1]
        self._outstanding = None
        self._clock.callLater(0, self._next)
        return answer

    def _overdue(self, unique_id: str) -> None:
        if self._is_outstanding(unique_id):
            self._answered().errback(NoAnswer(f"no answer within {self._timeout_s:g} s"))

    def _obey(self, call: Call) -> None:
        answer = self._command(call.action, call.payload)
        if answer is None:
            code = spelling(ErrorCode.NOT_IMPLEMENTED, self._version)
            self._send(encode(CallError(call.unique_id, code, f"no {call.action} here", {})))
        else:
            self._send(encode(CallResult(call.unique_id, answer)))
