from __future__ import annotations

import socket
from datetime import timedelta
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, LoopingCall, deferLater
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from csms.config.settings import HttpSettings
from csms.domain.messages import NotificationType
from csms.gateway import browser
from csms.gateway.browser import (
    HOLD_S,
    MAX_BAD_FRAMES,
    MAX_UNREAD_ANSWERS,
    MAX_WAITING,
    BrowserProtocol,
    Browsers,
    to_wire,
)
from csms.gateway.events import EventRing
from csms.sockets import listen
from tests.gateway.browser_client import BrowserClient, connect
from tests.gateway.notes import NOON, note, tell

reactor: Any = _reactor
LIFETIME_S = 3600.0


class Door(Resource):
    """Lets everybody in, as the person of the header X-Session."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, browsers: Browsers) -> None:
        super().__init__()
        self._browsers = browsers

    def render(self, request: Request) -> int:
        session = (request.getHeader(b"X-Session") or b"anybody").decode()
        self._browsers.upgrade(request, session, NOON + timedelta(seconds=LIFETIME_S))
        return NOT_DONE_YET


async def filled() -> bool:
    return True


class BrowserTestCase(TestCase):
    timeout = 30
    settings = HttpSettings()
    kept = 2000

    def setUp(self) -> None:
        self.clock = Clock()
        # Only time stands still: what is to be done in the next turn of the reactor is.
        turns = LoopingCall(self.clock.advance, 0)
        turns.start(0)
        self.addCleanup(turns.stop)
        self.ring = EventRing(self.kept, to_wire)
        self.browsers = Browsers(self.ring, self.settings, clock=self.clock, now=lambda: NOON, fill=filled)
        site: Any = Site(Door(self.browsers))
        self.listening: Any = listen(reactor, 0, site, interface="127.0.0.1")
        self.addCleanup(self.listening.stopListening)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.browsers.close()))

    async def browser(self, *, held: bool = False, session: str = "anybody") -> BrowserClient:
        client = await connect(self.listening.getHost().port, headers={"X-Session": session})
        if not held:
            self.clock.advance(HOLD_S)
        return client

    def happen(self, *numbers: int, **fields: Any) -> None:
        for number in numbers:
            tell(self.ring, note(number, **fields))

    def protocol(self) -> BrowserProtocol:
        (protocol,) = self.browsers._open
        return protocol

    def transport(self) -> Any:
        return self.protocol().transport


class FollowTest(BrowserTestCase):
    async def test_every_browser_gets_every_event(self) -> None:
        first, second = await self.browser(), await self.browser()
        self.happen(1)
        self.assertEqual((await first.frame())["id"], "event-1")
        self.assertEqual((await second.frame())["id"], "event-1")

    async def test_an_event_with_a_name_of_its_own_comes_twice(self) -> None:
        client = await self.browser()
        self.happen(1, kind=NotificationType.CHARGING_STARTED, sessionId=5)
        generic, specific = await client.take(2)
        self.assertEqual((generic["event"], specific["event"]), ("notification", "charging:started"))
        self.assertEqual(specific["data"], {"sessionId": 5})

    async def test_a_thousand_events_arrive_in_order(self) -> None:
        client = await self.browser()
        self.happen(*range(1000))
        self.assertEqual([frame["id"] for frame in await client.take(1000)], [f"event-{n}" for n in range(1000)])

    async def test_much_to_read_comes_in_pieces_with_turns_for_others_in_between(self) -> None:
        self.patch(browser, "PIECE_BYTES", 1000)
        client = await self.browser()
        sizes: list[int] = []
        further: list[BrowserProtocol] = []
        transport, go_on = self.transport(), BrowserProtocol._pump_further
        write = transport.write

        def noted(data: bytes) -> None:
            sizes.append(len(data))
            write(data)

        def noted_further(protocol: BrowserProtocol) -> None:
            further.append(protocol)
            go_on(protocol)

        self.patch(transport, "write", noted)
        self.patch(BrowserProtocol, "_pump_further", noted_further)
        self.happen(*range(100))
        self.assertEqual([frame["id"] for frame in await client.take(100)], [f"event-{n}" for n in range(100)])
        self.assertLess(max(sizes), 1500)
        self.assertEqual(len(further), len(sizes) - 1)

    async def test_filters_hold_from_the_answer_on(self) -> None:
        client = await self.browser()
        client.say(action="subscribe", chargers=["CP-2"], types=["charger.booted"])
        self.assertEqual(await client.frame(), {"event": "subscribed"})
        self.happen(1, device_id="CP-2")
        self.happen(2, kind="charger.booted", device_id="CP-1")
        self.happen(3, kind="charger.booted", device_id="CP-2")
        self.assertEqual((await client.frame())["id"], "event-3")
        client.say(action="subscribe")
        await client.frame()
        self.happen(4)
        self.assertEqual((await client.frame())["id"], "event-4")

    async def test_garbage_is_answered_with_its_fault_and_ends_nothing(self) -> None:
        client = await self.browser()
        client.sendMessage(b"{not json")
        client.say(action="fly")
        client.sendMessage(b"\x00\x01", isBinary=True)
        errors = await client.take(3)
        self.assertEqual([frame["event"] for frame in errors], ["error"] * 3)
        self.assertIn("fly", errors[1]["reason"])
        self.happen(1)
        self.assertEqual((await client.frame())["id"], "event-1")

    async def test_too_much_garbage_closes(self) -> None:
        client = await self.browser()
        for _ in range(MAX_BAD_FRAMES):
            client.sendMessage(b"?")
        self.assertEqual(await client.gone, 1008)

    async def test_a_frame_of_no_reasonable_size_closes(self) -> None:
        client = await self.browser()
        client.sendMessage(b"x" * 300_000)
        await client.gone
        self.assertEqual(len(self.browsers), 0)


class ResumeTest(BrowserTestCase):
    async def test_it_gets_exactly_what_it_missed_and_then_what_is_new(self) -> None:
        client = await self.browser()
        self.happen(1, 2)
        await client.take(2)
        await client.leave()
        self.happen(3, 4, 5)
        feed = client.feed
        client = await self.browser(held=True)
        self.happen(6)
        client.say(action="resume", id="event-2", feed=feed)
        self.assertEqual(await client.frame(), {"event": "resumed", "missed": 4})
        self.happen(7)
        self.assertEqual([frame["id"] for frame in await client.take(5)], [f"event-{n}" for n in (3, 4, 5, 6, 7)])
        self.clock.advance(HOLD_S)
        self.happen(8)
        self.assertEqual((await client.frame())["id"], "event-8")

    async def test_an_id_that_nobody_knows_means_reset(self) -> None:
        client = await self.browser(held=True)
        client.say(action="resume", id="event-from-last-week")
        self.assertEqual(await client.frame(), {"event": "reset"})
        self.happen(1)
        self.assertEqual((await client.frame())["id"], "event-1")

    async def test_who_does_not_resume_gets_the_events_since_it_came_after_a_moment(self) -> None:
        client = await self.browser(held=True)
        self.happen(1)
        client.say(action="subscribe")
        self.assertEqual(await client.frame(), {"event": "subscribed"})
        self.clock.advance(HOLD_S)
        self.assertEqual((await client.frame())["id"], "event-1")


class SlowBrowserTestCase(BrowserTestCase):
    settings = HttpSettings(browser_buffer_bytes=100_000)
    kept = 20_000
    count = 4000
    at_once = 500
    """Events in one turn of the reactor."""

    async def slow_browser(self) -> BrowserClient:
        client = await self.browser()
        self.transport().getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        client.stop_reading()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.see_off(client)))
        return client

    async def see_off(self, client: BrowserClient) -> None:
        """One that reads nothing would never learn that it was closed, and leave its socket open."""
        client.read_again()
        await self.browsers.close()
        await client.gone

    def buffered(self) -> int:
        transport = self.transport()
        return int(len(transport.dataBuffer) + transport._tempDataLen)

    async def flood(self) -> int:
        """Four megabytes of events; returns the most that waited in the process for the browser."""
        most = 0
        for number in range(self.count):
            self.happen(number, text="x" * 900)
            most = max(most, self.buffered())
            if number % self.at_once == 0:
                await deferLater(reactor, 0)
        return most


class SlowBrowserTest(SlowBrowserTestCase):
    async def test_it_costs_one_socket_buffer_is_told_and_still_gets_everything_in_order(self) -> None:
        client = await self.slow_browser()
        self.assertLess(await self.flood(), 100_000)
        client.read_again()
        frames = await client.take(self.count + 1)
        self.assertEqual([frame for frame in frames if frame["event"] != "notification"], [{"event": "lagged"}])
        ids = [frame["id"] for frame in frames if frame["event"] == "notification"]
        self.assertEqual(ids, [f"event-{n}" for n in range(self.count)])

    async def test_what_others_get_does_not_wait_for_it(self) -> None:
        await self.slow_browser()
        self.clock.advance(HOLD_S)
        other = await self.browser()
        for number in range(self.count):
            self.happen(number, text="x" * 900)
            if number % 50 == 0:
                await deferLater(reactor, 0)
        frames = await other.take(self.count)
        self.assertEqual(frames[-1]["id"], f"event-{self.count - 1}")

    async def test_questions_without_reading_the_answers_end_it(self) -> None:
        client = await self.slow_browser()
        await self.flood()
        for _ in range(MAX_UNREAD_ANSWERS + 1):
            client.say(action="subscribe")
        await self.protocol().gone
        client.read_again()
        await client.gone

    async def test_pings_without_reading_the_pongs_make_nothing_grow(self) -> None:
        client = await self.slow_browser()
        await self.flood()
        before = self.buffered()
        for _ in range(5000):
            client.sendPing(b"x" * 125)
        client.say(action="subscribe")
        while not self.protocol()._unread_answers:
            await deferLater(reactor, 0)
        self.assertLess(self.buffered(), before + 100)


class LeftBehindTest(SlowBrowserTestCase):
    kept = 50
    at_once = 25

    async def test_a_browser_that_missed_more_than_the_ring_keeps_is_told_to_start_anew(self) -> None:
        client = await self.slow_browser()
        self.assertLess(await self.flood(), 100_000)
        client.read_again()
        frames = [await client.frame()]
        while frames[-1]["event"] != "reset" or self.protocol()._cursor._next < self.ring.end:
            frames.append(await client.frame())
        self.happen(self.count)
        while frames[-1].get("id") != f"event-{self.count}":
            frames.append(await client.frame())
        events = [frame["event"] for frame in frames]
        self.assertIn("lagged", events)
        self.assertIn("reset", events)
        positions = [int(frame["id"].partition("-")[2]) for frame in frames if "id" in frame]
        self.assertEqual(positions, sorted(set(positions)))
        self.assertLess(len(positions), self.count)


class EndTest(BrowserTestCase):
    settings = HttpSettings(max_browsers=2)

    async def test_a_sign_out_closes_the_browsers_of_that_session_only(self) -> None:
        first, second = await self.browser(session="a"), await self.browser(session="b")
        self.assertEqual(set(self.browsers.sessions()), {"a", "b"})
        self.browsers.sign_out("a")
        self.assertEqual(await first.gone, 4401)
        self.happen(1)
        self.assertEqual((await second.frame())["id"], "event-1")

    async def test_the_end_of_a_session_closes_its_browsers(self) -> None:
        client = await self.browser()
        self.clock.advance(LIFETIME_S)
        self.assertEqual(await client.gone, 4401)

    async def test_a_stop_says_going_away_and_takes_nobody_in(self) -> None:
        client = await self.browser()
        await self.browsers.close()
        self.assertEqual(await client.gone, 1001)
        self.assertEqual(len(self.browsers), 0)
        self.assertIn("stopping", await self.browsers.unavailable())

    async def test_a_stop_tells_first_what_has_just_happened(self) -> None:
        client = await self.browser()
        self.happen(1)
        await self.browsers.close()
        self.assertEqual((await client.frame())["id"], "event-1")

    async def test_a_full_house_says_so(self) -> None:
        await self.browser()
        self.assertEqual(await self.browsers.unavailable(), "")
        await self.browser()
        self.assertIn("too many", await self.browsers.unavailable())

    async def test_a_ring_that_is_not_filled_yet_takes_nobody(self) -> None:
        async def unfilled() -> bool:
            return False

        waiting = Browsers(self.ring, self.settings, clock=self.clock, now=lambda: NOON, fill=unfilled)
        self.assertIn("being read", await waiting.unavailable())

    async def test_only_so_many_wait_for_the_ring(self) -> None:
        asked: list[Deferred[bool]] = []

        async def slow() -> bool:
            asked.append(Deferred())
            return await asked[-1]

        crowded = Browsers(self.ring, self.settings, clock=self.clock, now=lambda: NOON, fill=slow)
        waiting = [Deferred.fromCoroutine(crowded.unavailable()) for _ in range(MAX_WAITING)]
        self.assertIn("being read", await crowded.unavailable())
        self.assertEqual(len(asked), MAX_WAITING)
        for one in asked:
            one.callback(True)
        self.assertEqual({await one for one in waiting}, {""})

    async def test_a_browser_that_vanishes_leaves_nothing_behind(self) -> None:
        client = await self.browser()
        gone = self.protocol().gone
        client.transport.abortConnection()
        await gone
        self.assertEqual(len(self.browsers), 0)
        self.happen(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
