"""The short faults: each kind of promise once, under load, and every message accounted for."""

from __future__ import annotations

import asyncio
import unittest
from dataclasses import replace

from tests.faults.catalogue import Fault, load_faults
from tests.faults.networks import Proxied
from tests.faults.runner import Bench, summary
from tests.faults.sites import Embedded, Layout, ScaledOut

# To start an installation takes longer than most faults do: those that have no need of the relays of another layout
# are caused in it all the same.
LAYOUTS: dict[Layout, Layout] = {ScaledOut: Proxied, Proxied: Proxied, Embedded: Embedded}
CHARGERS = 12
FAULTS = [replace(one, layout=LAYOUTS[one.layout], chargers=CHARGERS) for one in load_faults().values() if one.short]


class ShortFaultsTests(unittest.TestCase):
    def test_scaled_out_csms_survives(self) -> None:
        asyncio.run(self.survive([fault for fault in FAULTS if fault.layout is Proxied]))

    def test_embedded_csms_survives(self) -> None:
        asyncio.run(self.survive([fault for fault in FAULTS if fault.layout is Embedded]))

    async def survive(self, faults: list[Fault]) -> None:
        bench = Bench(short=True)
        try:
            for fault in faults:
                result = (await bench.run(fault)).as_json()
                print(summary(result))  # noqa: T201
                with self.subTest(fault.name):  # nothing is awaited in it: it would swallow an interrupt
                    self.assertEqual(result["problems"], [])
        finally:  # no cleanup of unittest's, which an interrupted run would not come to
            await bench.close()
