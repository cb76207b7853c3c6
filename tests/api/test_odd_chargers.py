from __future__ import annotations

from datetime import timedelta

from csms.domain.model import Charger
from csms.domain.repositories import UnitOfWork
from csms.ocpp.quirks import Deviation
from tests.api.site_case import NOON
from tests.api.test_rest import RestTestCase


class OddChargersTest(RestTestCase):
    async def test_the_deviations_of_a_charger_are_shown(self) -> None:
        def note(uow: UnitOfWork) -> None:
            charger = uow.chargers.add(Charger(device_id="CP-1"))
            odd = Deviation("number-as-text", "$.connectorId", '"1"')
            for minutes in (0, 1):
                at = NOON + timedelta(minutes=minutes)
                uow.deviations.note(charger.id, "StatusNotification", [odd], at=at)

        await self.write(note)
        self.assertEqual(
            await self.json("/api/v1/chargers/CP-1/deviations"),
            {
                "items": [
                    {
                        "kind": "number-as-text",
                        "action": "StatusNotification",
                        "path": "$.connectorId",
                        "firstSeen": "2026-03-01T12:00:00Z",
                        "lastSeen": "2026-03-01T12:01:00Z",
                        "count": 2,
                        "example": '"1"',
                    }
                ]
            },
        )

    async def test_a_good_charger_has_none_and_an_unknown_one_is_not_found(self) -> None:
        await self.with_chargers("CP-1")
        self.assertEqual(await self.json("/api/v1/chargers/CP-1/deviations"), {"items": []})
        self.assertEqual((await self.get("/api/v1/chargers/CP-2/deviations")).status, 404)


class UnknownTokensTest(RestTestCase):
    async def test_unknown_tokens_are_paged_with_their_chargers(self) -> None:
        await self.with_chargers("CP-1", "CP-2")

        def see(uow: UnitOfWork) -> int:
            one, two = uow.chargers.by_device_id("CP-1"), uow.chargers.by_device_id("CP-2")
            assert one is not None
            assert two is not None
            uow.unknown_tokens.seen(one.id, "A", type="", at=NOON, in_session=True)
            uow.unknown_tokens.seen(two.id, "B", type="ISO14443", at=NOON, in_session=False)
            return two.id

        charger_id = await self.write(see)
        first = await self.json("/api/v1/unknown-tokens?limit=1")
        (item,) = first["items"]
        self.assertEqual(
            (item["deviceId"], item["token"], item["type"], item["sessions"]), ("CP-2", "B", "ISO14443", 0)
        )
        (item,) = (await self.json(f"/api/v1/unknown-tokens?before={first['next']}"))["items"]
        self.assertEqual((item["deviceId"], item["token"], item["count"], item["sessions"]), ("CP-1", "A", 1, 1))
        only = await self.json(f"/api/v1/unknown-tokens?chargerId={charger_id}")
        self.assertEqual([one["token"] for one in only["items"]], ["B"])
