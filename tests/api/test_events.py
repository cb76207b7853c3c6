from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from csms.config.settings import HttpSettings
from tests.api.site_case import SiteTestCase, cookie_of
from tests.gateway.browser_client import BrowserClient, connect
from tests.gateway.notes import note, tell


class EventsTestCase(SiteTestCase):
    async def browser(self, cookie: str, origin: str | None = "own", **headers: str) -> BrowserClient:
        given = {"Cookie": cookie, **headers} if cookie else headers
        return await connect(self.service.port, origin=self.url if origin == "own" else origin, headers=given)


class UpgradeTest(EventsTestCase):
    async def test_who_is_signed_in_follows_the_events(self) -> None:
        client = await self.browser(await self.sign_in())
        client.say(action="subscribe")
        self.assertEqual(await client.frame(), {"event": "subscribed"})
        client.say(action="resume", id="nothing")
        self.assertEqual(await client.frame(), {"event": "reset"})
        hostile = '"><script>alert(1)</script>\u2028'
        tell(self.ring, note(1, device_id=hostile, vendor=hostile))
        frame = await client.frame()
        self.assertEqual((frame["deviceId"], frame["data"]["vendor"]), (hostile, hostile))

    async def test_without_a_sign_in_nobody_does(self) -> None:
        for cookie in ("", cookie_of("x" * 43)):
            client = await self.browser(cookie)
            self.assertIn("401", client.refusal)
        self.assertEqual(len(self.browsers), 0)

    async def test_an_ended_sign_in_is_none(self) -> None:
        cookie = await self.sign_in()
        self.wait(hours=self.settings.session_hours)
        self.assertIn("401", (await self.browser(cookie)).refusal)

    async def test_pages_of_other_origins_and_of_none_are_refused(self) -> None:
        cookie = await self.sign_in()
        for origin in (None, "null", "https://evil.example", self.url + ".evil.example", "http://localhost:1"):
            headers = {"Origin": "null"} if origin == "null" else {}
            client = await self.browser(cookie, None if origin == "null" else origin, **headers)
            self.assertIn("403", client.refusal, origin)
        client = await self.browser(cookie, "http://evil.example", Host="evil.example")
        self.assertIn("403", client.refusal, "a name that was made to point at us")
        self.assertEqual(len(self.browsers), 0)

    async def test_a_plain_get_is_told_to_upgrade(self) -> None:
        answer = await self.ask("/events", cookie=await self.sign_in(), headers={"Origin": self.url})
        self.assertEqual(answer.status, 426)

    async def test_who_leaves_while_the_sign_in_is_checked_becomes_no_browser(self) -> None:
        cookie = await self.sign_in()
        read = self.database.read
        begun: Deferred[None] = Deferred()
        go_on: Deferred[None] = Deferred()

        async def slow(work: Any, *, name: str) -> Any:
            begun.callback(None)
            await go_on
            return await read(work, name=name)

        self.patch(self.database, "read", slow)
        connecting = Deferred.fromCoroutine(self.browser(cookie))
        await begun
        (channel,) = self.service.site.channels
        transport: Any = channel.transport
        transport.abortConnection()
        client = await connecting
        self.assertNotEqual(client.refusal, "")
        go_on.callback(None)
        await Deferred.fromCoroutine(read(lambda uow: uow.counts(), name="test"))
        self.assertEqual(len(self.browsers), 0)


class SignOutTest(EventsTestCase):
    async def test_a_sign_out_closes_the_browsers_of_that_sign_in(self) -> None:
        mine, others = await self.sign_in(), await self.sign_in()
        client, other = await self.browser(mine), await self.browser(others)
        await self.ask("/api/v1/sign-out", method="POST", cookie=mine, headers={"Origin": self.url})
        self.assertEqual(await client.gone, 4401)
        self.assertEqual(len(self.browsers), 1)
        await other.leave()

    async def test_a_sign_out_elsewhere_is_noticed(self) -> None:
        client = await self.browser(await self.sign_in())
        (session,) = self.browsers.sessions()
        await self.database.transact(lambda uow: uow.web.remove_session(session), name="test")
        await self.service._close_signed_out()
        self.assertEqual(await client.gone, 4401)

    async def test_a_stop_says_going_away(self) -> None:
        client = await self.browser(await self.sign_in())
        await self.service.stop()
        self.assertEqual(await client.gone, 1001)


class FullHouseTest(EventsTestCase):
    settings = HttpSettings(port=0, max_browsers=1)

    async def test_one_browser_too_many_is_refused_before_the_upgrade(self) -> None:
        cookie = await self.sign_in()
        first = await self.browser(cookie)
        self.assertIn("503", (await self.browser(cookie)).refusal)
        await first.leave()
        again = await self.browser(cookie)
        self.assertEqual(again.refusal, "")
