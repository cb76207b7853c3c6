"""All chargers on one epoll: they connect, boot, and then load the server in a closed or an open loop."""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.load.charger import Charger
from bench.load.tally import Tally

_RETRY_S = 0.25
_NEW = select.EPOLLIN | select.EPOLLOUT


@dataclass(frozen=True, slots=True)
class Pace:
    """How the load is put on. ``rate`` is messages a second of all chargers together; 0: a closed loop."""

    rate: float
    warm_up_s: float
    seconds: float


class Swarm:
    """Connects ``chargers``, at most ``connecting`` at a time."""

    def __init__(self, chargers: Sequence[Charger], tally: Tally, *, connecting: int) -> None:
        self.chargers = chargers
        self._tally = tally
        self._connecting = connecting
        self._epoll = select.epoll()
        self._of: dict[int, Charger] = {}
        self._new: set[int] = set()
        self._descriptor: dict[Charger, int] = {}
        self._again: list[tuple[float, int]] = []
        self.refused = 0
        self.booted = 0
        self._under_way = 0

    def connect(self, deadline_s: float) -> float:
        """Connect and boot all; how long that took. A refused charger tries again, as chargers do."""
        began = time.perf_counter()
        for charger in self.chargers:
            charger.on_booted = self._has_booted
            charger.on_lost = self._refused
        waiting = list(range(len(self.chargers)))[::-1]
        while self.booted < len(self.chargers):
            now = time.perf_counter()
            if now - began > deadline_s:
                raise TimeoutError(
                    f"{len(self.chargers) - self.booted} chargers could not connect; {self._tally.errors}"
                )
            while self._again and self._again[0][0] <= now:
                waiting.append(heapq.heappop(self._again)[1])
            while waiting and self._under_way < self._connecting:
                self._open(self.chargers[waiting.pop()])
            self._turn(0.05)
        took_s = time.perf_counter() - began
        for charger in self.chargers:
            charger.on_lost = self._lost
        return took_s

    def _open(self, charger: Charger) -> None:
        self._under_way += 1
        descriptor = charger.connect()
        self._of[descriptor], self._descriptor[charger] = charger, descriptor
        self._new.add(descriptor)
        self._epoll.register(descriptor, _NEW)

    def _has_booted(self, _: Charger) -> None:
        self._under_way -= 1
        self.booted += 1

    def _refused(self, charger: Charger, why: str) -> None:
        self._forget(charger)
        self.refused += 1
        if charger.booted:
            self.booted -= 1
        else:
            self._under_way -= 1
        self._tally.errors[f"while connecting: {why}"] += 1
        heapq.heappush(self._again, (time.perf_counter() + _RETRY_S, self.chargers.index(charger)))

    def _lost(self, charger: Charger, why: str) -> None:
        self._forget(charger)
        self._tally.errors[why] += 1

    def _forget(self, charger: Charger) -> None:
        descriptor = self._descriptor.pop(charger)
        self._new.discard(descriptor)
        del self._of[descriptor]  # the closed socket has left the epoll by itself

    def run(self, pace: Pace, on_phase: Callable[[str], None]) -> None:
        """Load the server: warm up, measure, and wait for the last answers."""
        began = time.perf_counter()
        begin_at, end_at = began + pace.warm_up_s, began + pace.warm_up_s + pace.seconds
        clocked = [charger for charger in self.chargers if charger.window == 1] if pace.rate else []
        for charger in self.chargers:
            if charger not in clocked:
                charger.on_idle = _say_now
                for _ in range(charger.window):
                    charger.say(time.perf_counter())
        sent, measuring = 0, False
        while (now := time.perf_counter()) < end_at:
            if not measuring and now >= begin_at:
                measuring = True
                self._tally.begin()
                on_phase("measuring")
            due = now
            while clocked and (due := began + sent / pace.rate) <= now:
                charger = clocked[sent % len(clocked)]
                sent += 1
                if charger.alive:
                    charger.say(due)
            self._turn(max(0.0, min(end_at if measuring else begin_at, due if clocked else end_at) - now))
        self._tally.end()
        on_phase("measured")
        for charger in self.chargers:
            charger.on_idle = _rest

    def finish(self, deadline_s: float) -> int:
        """Wait for what is outstanding; how many answers never came."""
        end = time.perf_counter() + deadline_s
        while (left := sum(c.outstanding for c in self.chargers if c.alive)) and time.perf_counter() < end:
            self._turn(0.05)
        return left

    def idle(self, until: Any) -> None:
        """Only answer pings, until ``until`` (a file) can be read."""
        self._epoll.register(until, select.EPOLLIN)
        while self._turn(5.0):
            pass

    def close(self) -> None:
        """Everybody leaves."""
        for charger in self.chargers:
            charger.close()
        self._epoll.close()

    def _turn(self, timeout_s: float) -> bool:
        """Deal with what has happened; False when it was not on a charger's socket."""
        for descriptor, event in self._epoll.poll(timeout_s):
            charger = self._of.get(descriptor)
            if charger is None:
                return False
            if descriptor in self._new and event & select.EPOLLOUT:
                self._new.discard(descriptor)
                if charger.writable():
                    self._epoll.modify(descriptor, select.EPOLLIN)
                continue
            charger.readable()
        return True


def _say_now(charger: Charger) -> None:
    charger.say(time.perf_counter())


def _rest(_: Charger) -> None: ...
