from __future__ import annotations

import re
from typing import Any
from unittest import TestCase

from csms.api import reference
from csms.api.application import Application
from csms.api.openapi import document
from csms.api.parameters import Body, Id, Query, Text, read_body, read_query
from csms.api.problems import Problem
from csms.api.resources.registry import OPERATIONS
from tests.api.site_case import SiteTestCase


class Probe(Query, frozen=True):
    name: Text = ""
    number: Id | None = None
    share: float = 0.5


class Item(Body, frozen=True):
    device_id: Text


class Given(Body, frozen=True):
    items: list[Item]


class ReadTest(TestCase):
    def refused(self, *, query: dict[bytes, list[bytes]] | None = None, body: bytes = b"") -> Problem:
        with self.assertRaises(Problem) as caught:
            if query is None:
                read_body(body, Given)
            else:
                read_query(query, Probe)
        return caught.exception

    def test_a_query_becomes_values(self) -> None:
        found = read_query({b"name": [b"5"], b"number": [b"7"], b"share": [b"0.25"]}, Probe)
        self.assertEqual(found, Probe(name="5", number=7, share=0.25))
        self.assertEqual(read_query({}, Probe), Probe())

    def test_what_is_wrong_in_a_query_is_named(self) -> None:
        for name, value in ((b"share", b"nan"), (b"number", b"null"), (b"number", b"1e3"), (b"name", b"a\0")):
            problem = self.refused(query={name: [value]})
            self.assertEqual((problem.status, problem.parameter), (400, name.decode()), value)

    def test_what_is_wrong_in_a_body_is_pointed_at(self) -> None:
        for body, pointer in (
            (b'{"items":[{"deviceId":"a"},{"deviceId":7}]}', "/items/1/deviceId"),
            (b'{"items":[{}]}', "/items/0/deviceId"),
            (b'{"items":[],"other":1}', "/other"),
            (b"[" * 100_000, ""),
        ):
            problem = self.refused(body=body)
            self.assertEqual((problem.status, problem.pointer), (422, pointer), body)

    def test_what_is_no_json_is_a_bad_request(self) -> None:
        for body in (b"", b"{", b'{"items":[{"deviceId":"\xff"}]}'):
            self.assertEqual(self.refused(body=body).status, 400, body[:20])


class RegistryTest(TestCase):
    def test_names_and_routes_are_unique(self) -> None:
        self.assertEqual(len({row.name for row in OPERATIONS}), len(OPERATIONS))
        self.assertEqual(len({(row.method, row.template) for row in OPERATIONS}), len(OPERATIONS))

    def test_all_parameters_may_be_left_out(self) -> None:
        for row in OPERATIONS:
            self.assertIsInstance(row.query(), Query, row.name)

    def test_every_reference_in_the_document_leads_somewhere(self) -> None:
        told = document(OPERATIONS)
        names = set(re.findall(r"'#/components/schemas/([^']+)'", repr(told)))
        self.assertLessEqual(names, told["components"]["schemas"].keys())
        self.assertIn("ProblemView", names)


class ApplicationTest(TestCase):
    def test_a_second_route_of_the_same_name_is_refused(self) -> None:
        app = Application()

        def style(request: object) -> bytes:
            return b""

        app.route("/a.css")(style)
        with self.assertRaisesRegex(ValueError, "/b.css: there is a route that is called style already"):
            app.route("/b.css")(style)


class ReferenceTest(SiteTestCase):
    async def test_the_document_is_served_and_tells_every_operation(self) -> None:
        answer = await self.ask("/api/v1/openapi.json", cookie=await self.sign_in())
        self.assertEqual((answer.status, answer.header("Content-Type")), (200, "application/json"))
        told: dict[str, Any] = answer.json()
        self.assertEqual(told["openapi"], "3.1.0")
        found = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
        self.assertEqual(found, {(row.method, row.template) for row in OPERATIONS})
        (limit,) = (one for one in told["paths"]["/api/v1/chargers"]["get"]["parameters"] if one["name"] == "limit")
        self.assertEqual((limit["schema"]["maximum"], limit["schema"]["default"]), (500, 100))

    async def test_the_page_needs_nothing_that_the_policy_forbids_and_names_every_route(self) -> None:
        cookie = await self.sign_in()
        page = await self.ask("/api/docs", cookie=cookie)
        self.assertEqual((page.status, page.header("Content-Type")), (200, "text/html; charset=utf-8"))
        for forbidden in (b"<script", b"<style", b"style=", b"onclick"):
            self.assertNotIn(forbidden, page.body)
        for row in OPERATIONS:
            self.assertIn(row.template.encode(), page.body)
        targets = set(re.findall(rb'href="#([^"]+)"', page.body))
        ids = re.findall(rb'id="([^"]+)"', page.body)
        self.assertLessEqual(targets, set(ids))
        self.assertEqual(len(set(ids)), len(ids))
        self.assertNotIn(b"&lt;a ", page.body)
        style = await self.ask("/api/docs.css", cookie=cookie)
        self.assertEqual((style.status, style.header("Content-Type")), (200, "text/css; charset=utf-8"))
        self.assertEqual(style.body.decode(), reference.STYLE)
