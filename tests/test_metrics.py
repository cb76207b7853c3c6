"""The metrics page."""

from __future__ import annotations

import unittest

from csms import metrics


class RenderTests(unittest.TestCase):
    def test_every_metric_is_explained_and_named_for_csms(self) -> None:
        for family in metrics.REGISTRY.collect():
            with self.subTest(family.name):
                self.assertTrue(family.name.startswith("csms_"))
                self.assertGreater(len(family.documentation), 10)

    def test_what_was_counted_is_on_the_page(self) -> None:
        metrics.HANDSHAKES.labels("418").inc()
        self.assertIn(b'csms_charger_handshakes_total{status="418"} 1.0', metrics.render())
