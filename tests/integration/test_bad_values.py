"""Dates and numbers that make no sense: answered, kept, and shown on every page all the same."""

from __future__ import annotations

import unittest

from tests.integration import bad_values
from tests.integration.bad_input_case import BadInputCase
from tests.integration.people import sign_in
from tests.integration.site import ScaledOut


class BadValuesEmbedded(BadInputCase):
    def test_every_call_is_answered_and_every_page_opens(self) -> None:
        self.assertGreater(bad_values.say_all(self, self.port), 100)
        cookie = sign_in(self.service.sign_in_link())
        self.assertGreater(bad_values.check_all(self, self.service.http_port, {"Cookie": cookie}), 10)


class BadValuesScaledOut(unittest.TestCase):
    def test_every_call_is_answered_and_every_page_opens(self) -> None:
        policy = {"CSMS_GATEWAY_REQUIRE_PASSWORD": "false", "CSMS_GATEWAY_UNKNOWN_CHARGERS": "accept"}
        site = ScaledOut(self, policy)
        site.start()
        self.assertGreater(bad_values.say_all(self, site.gateway_port), 100)
        cookie = sign_in(site.gateway.sign_in_link())
        self.assertGreater(bad_values.check_all(self, site.gateway.http_port, {"Cookie": cookie}), 10)
        self.assertEqual([complaint for service in site.services for complaint in service.complaints()], [])
