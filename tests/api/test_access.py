from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from csms.api.access import create_sign_in_link, hash_of
from csms.config.settings import HttpSettings
from csms.ports import DatabaseUnavailable
from csms.storage.tables import browser_sessions, sign_in_links
from tests.api.site_case import NOON, SiteTestCase, cookie_of

PUBLIC = {
    "/health",
    "/health/live",
    "/health/ready",
    "/sign-in/style.css",
    "/sign-in/icon.svg",
    "/sign-in",
    "/sign-in/<token>",
}


class NobodyGetsInTest(SiteTestCase):
    def routes(self) -> list[tuple[str, str]]:
        """Every (method, path) of the routing table, with something plausible for each variable."""
        found = []
        for rule in self.service.app.url_map.iter_rules():
            path = rule.rule
            for variable in rule.arguments:
                start, _, rest = path.partition("<")
                path = f"{start}{7 if variable.endswith('id') else 'x'}{rest.partition('>')[2]}"
            found += [(method, path) for method in rule.methods or () if rule.rule not in PUBLIC]
        return found

    async def test_no_route_answers_without_a_sign_in(self) -> None:
        routes = self.routes()
        self.assertGreater(len(routes), 10)
        wild = ["/", "/events", "/index.html", "/assets/x.js", "/api", "/api/v1", "/unknown", "//", "/api//v1", "/%00"]
        for method, path in [*routes, *(("GET", path) for path in wild), ("POST", "/"), ("DELETE", "/api/v1/chargers")]:
            if path == "/metrics":
                continue
            for cookie in ("", cookie_of("x" * 43), cookie_of(""), cookie_of("ä" * 5), cookie_of("x" * 5000)):
                answer = await self.ask(path, method=method, cookie=cookie)
                self.assertEqual(answer.status, 401, f"{method} {path} {cookie[:20]}")

    async def test_paths_that_only_look_public_are_not(self) -> None:
        for path in (
            "/sign-in/x%2f..%2f..",
            "/sign-in/../api/v1/overview",
            "/sign-in/%2e%2e/",
            "/sign-in/",
            "/sign-in/x/y",
            "/health/../api/v1/overview",
            "/health/secret",
            "/%68ealth",
            "/healthy",
            "/health;x",
            "/sign-in/style.css/../../index.html",
        ):
            self.assertEqual((await self.ask(path)).status, 401, path)

    async def test_programs_get_a_problem_and_people_a_page_that_tells_how_to_get_in(self) -> None:
        problem = await self.ask("/api/v1/overview", headers={"Accept": "text/html"})
        self.assertEqual(problem.header("Content-Type"), "application/problem+json")
        self.assertEqual(problem.json()["status"], 401)
        page = await self.ask("/", headers={"Accept": "text/html,*/*"})
        self.assertEqual((page.status, page.header("Content-Type")), (401, "text/html; charset=utf-8"))
        self.assertIn(b"csms-admin sign-in-link", page.body)
        self.assertNotIn(b"<script", page.body)


class SignInTest(SiteTestCase):
    async def test_a_link_works_once(self) -> None:
        link = await self.new_link()
        first = await self.ask(link, method="POST", headers={"Origin": self.url})
        self.assertEqual((first.status, first.header("Location")), (303, "/"))
        cookie = first.header("Set-Cookie")
        for part in ("HttpOnly", "SameSite=Lax", "Path=/"):
            self.assertIn(part, cookie)
        self.assertNotIn("Secure", cookie)
        self.assertEqual((await self.ask("/api/v1/overview", cookie=cookie.partition(";")[0])).status, 200)
        second = await self.ask(link, method="POST", headers={"Origin": self.url})
        self.assertEqual(second.status, 403)
        self.assertEqual(second.header("Set-Cookie"), "")
        self.assertIn(b"csms-admin sign-in-link", second.body)

    async def test_looking_at_a_link_does_not_use_it_up(self) -> None:
        link = await self.new_link()
        for method in ("GET", "HEAD", "GET"):
            answer = await self.ask(link, method=method)
            self.assertEqual(answer.status, 200)
        self.assertIn(b'<form method="post">', answer.body)
        self.assertEqual((await self.ask(link, method="POST")).status, 303)

    async def test_of_two_who_use_a_link_at_the_same_time_one_gets_in(self) -> None:
        link = await self.new_link()
        both = [Deferred.fromCoroutine(self.ask(link, method="POST")) for _ in range(2)]
        self.assertEqual(sorted([(await one).status for one in both]), [303, 403])

    async def test_many_who_guess_at_once_do_not_keep_the_database_busy(self) -> None:
        guesses = [Deferred.fromCoroutine(self.ask(f"/sign-in/guess{n}", method="POST")) for n in range(30)]
        answers = [await guess for guess in guesses]
        statuses = [answer.status for answer in answers]
        self.assertEqual(set(statuses), {403, 429})
        self.assertNotEqual(answers[statuses.index(429)].header("Retry-After"), "")
        self.assertEqual((await self.ask(await self.new_link(), method="POST")).status, 303)

    async def test_a_link_works_only_for_its_time(self) -> None:
        link = await self.new_link()
        self.wait(minutes=self.settings.sign_in_link_minutes, seconds=1)
        self.assertEqual((await self.ask(link, method="POST")).status, 403)

    async def test_a_made_up_link_is_refused(self) -> None:
        self.assertEqual((await self.ask("/sign-in/" + "A" * 43, method="POST")).status, 403)

    async def test_a_foreign_page_cannot_sign_anybody_in(self) -> None:
        link = await self.new_link()
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": "http://evil.example", "Host": "evil.example"},
        ):
            self.assertEqual((await self.ask(link, method="POST", headers=headers)).status, 403, headers)
        self.assertEqual((await self.ask(link, method="POST", headers={"Origin": self.url})).status, 303)

    async def test_a_sign_in_ends_by_itself(self) -> None:
        cookie = await self.sign_in()
        self.wait(hours=self.settings.session_hours, seconds=-1)
        self.assertEqual((await self.ask("/api/v1/overview", cookie=cookie)).status, 200)
        self.wait(seconds=1)
        self.assertEqual((await self.ask("/api/v1/overview", cookie=cookie)).status, 401)

    async def test_the_database_has_no_token(self) -> None:
        link = await self.new_link()
        stored = await self.everything()
        self.assertIn(hash_of(link.rpartition("/")[2]), stored)
        self.assertNotIn(link.rpartition("/")[2], stored)
        answer = await self.ask(link, method="POST")
        token = answer.header("Set-Cookie").partition(";")[0].partition("=")[2]
        stored = await self.everything()
        self.assertIn(hash_of(token), stored)
        self.assertNotIn(token, stored)
        self.assertGreaterEqual(len(token), 43)

    async def everything(self) -> str:
        def rows(uow: Any) -> str:
            return repr([uow._sql.rows(table.select()) for table in (sign_in_links, browser_sessions)])

        return await self.database.read(rows, name="test")


class SignOutTest(SiteTestCase):
    async def test_it_ends_this_sign_in_and_no_other(self) -> None:
        mine, other = await self.sign_in(), await self.sign_in()
        answer = await self.ask("/api/v1/sign-out", method="POST", cookie=mine, headers={"Origin": self.url})
        self.assertEqual(answer.status, 204)
        self.assertIn("Max-Age=0", answer.header("Set-Cookie"))
        self.assertEqual((await self.ask("/api/v1/overview", cookie=mine)).status, 401)
        self.assertEqual((await self.ask("/api/v1/overview", cookie=other)).status, 200)

    async def test_only_our_own_pages_can_do_it(self) -> None:
        cookie = await self.sign_in()
        for headers in (
            {},
            {"Origin": "null"},
            {"Origin": "https://evil.example"},
            {"Origin": self.url + ".evil.example"},
            {"Origin": self.url.replace("http:", "https:")},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "none"},
        ):
            answer = await self.ask("/api/v1/sign-out", method="POST", cookie=cookie, headers=headers)
            self.assertEqual(answer.status, 403, headers)
        self.assertEqual((await self.ask("/api/v1/overview", cookie=cookie)).status, 200)
        headers = {"Sec-Fetch-Site": "same-origin"}
        self.assertEqual(
            (await self.ask("/api/v1/sign-out", method="POST", cookie=cookie, headers=headers)).status, 204
        )


class BehindHttpsTest(SiteTestCase):
    settings = HttpSettings(port=0, public_url="https://csms.example/")

    async def test_the_cookie_never_travels_in_the_clear(self) -> None:
        answer = await self.ask(await self.new_link(), method="POST", headers={"Origin": "https://csms.example"})
        self.assertEqual(answer.status, 303)
        self.assertIn("Secure", answer.header("Set-Cookie"))

    async def test_the_link_leads_to_the_public_url(self) -> None:
        url = await create_sign_in_link(self.database, self.settings, NOON)
        self.assertTrue(url.startswith("https://csms.example/sign-in/"), url)


class NoDatabaseTest(SiteTestCase):
    async def test_without_the_database_nobody_gets_in_and_the_answer_is_503(self) -> None:
        cookie = await self.sign_in()

        async def away(_work: object, *, name: str) -> None:
            raise DatabaseUnavailable("away")

        self.patch(self.database, "read", away)
        for path in ("/api/v1/overview", "/", "/events"):
            answer = await self.ask(path, cookie=cookie)
            self.assertEqual(answer.status, 503, path)
            self.assertNotEqual(answer.header("Retry-After"), "")
        self.assertEqual((await self.ask("/health/live")).status, 200)
