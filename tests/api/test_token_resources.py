from __future__ import annotations

from typing import Any
from urllib.parse import quote

import treq
from twisted.web.http_headers import Headers

from tests.api.site_case import Answer
from tests.api.test_resources import ResourceTestCase

GROUPS = "/api/v1/token-groups"
CSV = "/api/v1/id-tokens.csv"
GOOD = b"token,group,maxSessions\nA,Fleet,2\nB,,\n"


class NamesTest(ResourceTestCase):
    async def test_whatever_may_be_a_name_is_found_where_the_answer_says_that_it_is(self) -> None:
        for path, member in (("/api/v1/id-tokens", "token"), (GROUPS, "name")):
            for name in ("A", "a/b", "/", "//x/", "%2F", "a b?c#d", "x.csv", "~;=&+"):
                made = await self.change("POST", path, {member: name})
                where = made.header("Location")
                self.assertEqual((made.status, where), (201, f"{path}/{quote(name, safe='')}"))
                shown = await self.get(where)
                self.assertEqual((shown.status, shown.json()[member]), (200, name))
                changed = await self.change("PATCH", where, {"note": "seen"})
                self.assertEqual((changed.status, changed.json()[member]), (200, name))
                self.assertEqual((await self.change("DELETE", where)).status, 204)
                self.assertEqual((await self.get(where)).status, 404)


class TokenGroupsTest(ResourceTestCase):
    async def test_the_life_of_a_group(self) -> None:
        made = await self.change("POST", GROUPS, {"name": "Fleet", "maxSessions": 3})
        self.assertEqual((made.status, made.json()["maxSessions"]), (201, 3))
        self.assertEqual((await self.change("POST", GROUPS, {"name": "FLEET"})).status, 409)
        shown = await self.get(f"{GROUPS}/fleet")
        version = shown.header("ETag")
        changed = await self.change("PATCH", f"{GROUPS}/Fleet", {"maxSessions": None}, **{"If-Match": version})
        self.assertEqual((changed.status, changed.json()["maxSessions"]), (200, None))
        stale = await self.change("PATCH", f"{GROUPS}/Fleet", {"note": "x"}, **{"If-Match": version})
        self.assertEqual(stale.status, 412)
        self.assertEqual((await self.change("DELETE", f"{GROUPS}/Fleet")).status, 204)
        self.assertEqual((await self.get(f"{GROUPS}/Fleet")).status, 404)
        self.assertEqual((await self.change("DELETE", f"{GROUPS}/Fleet")).status, 404)
        done = ["removeTokenGroup", "changeTokenGroup", "createTokenGroup"]
        self.assertEqual(await self.changes(), [(action, "token-groups/Fleet") for action in done])

    async def test_pages_and_limits(self) -> None:
        for name in ("b", "A", "c"):
            await self.change("POST", GROUPS, {"name": name})
        self.assertEqual(await self.names(f"{GROUPS}?limit=2", "name"), ["A", "b"])
        self.assertEqual(await self.names(f"{GROUPS}?after=b", "name"), ["c"])
        self.assertEqual((await self.change("POST", GROUPS, {"name": "d", "maxSessions": 0})).status, 422)


class TokenFilesTest(ResourceTestCase):
    async def upload(self, content: bytes, query: str = "") -> Answer:
        headers = Headers({"Content-Type": ["text/csv; charset=utf-8"], "Origin": [self.url]})
        headers.addRawHeader("Cookie", await self.sign_in())
        response: Any = await treq.post(self.url + CSV + query, content, headers=headers, agent=self.agent)
        return Answer(response.code, response.headers, await treq.content(response))

    async def test_an_import_takes_all(self) -> None:
        await self.change("POST", "/api/v1/id-tokens", {"token": "a"})
        answer = await self.upload(GOOD)
        self.assertEqual((answer.status, answer.json()), (200, {"added": 1, "replaced": 1, "dryRun": False}))
        self.assertEqual(await self.names("/api/v1/id-tokens", "token"), ["A", "B"])
        self.assertIn(("importIdTokens", "id-tokens"), await self.changes())

    async def test_of_a_file_with_a_mistake_nothing_is_taken(self) -> None:
        answer = await self.upload(GOOD + b"C,,many\n")
        self.assertEqual(answer.status, 422)
        self.assertIn("line 4, column maxSessions", answer.json()["detail"])
        self.assertEqual(await self.names("/api/v1/id-tokens", "token"), [])

    async def test_a_dry_run_changes_nothing_and_is_not_written_down(self) -> None:
        answer = await self.upload(GOOD, "?dryRun=true")
        self.assertEqual(answer.json(), {"added": 2, "replaced": 0, "dryRun": True})
        self.assertEqual((await self.names("/api/v1/id-tokens", "token"), await self.changes()), ([], []))

    async def test_an_export_can_be_imported_again(self) -> None:
        await self.upload(GOOD)
        first = await self.get(f"{CSV}?limit=1")
        self.assertEqual(first.header("Content-Type"), "text/csv")
        self.assertEqual(first.header("Link"), f'<{CSV}?limit=1&after=A>; rel="next"')
        whole = await self.get(CSV)
        self.assertEqual(whole.header("Link"), "")
        self.assertEqual((await self.upload(whole.body)).json()["replaced"], 2)
