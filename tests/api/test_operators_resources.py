"""What admins look after: dead letters and webhooks."""

from __future__ import annotations

from typing import Any

from csms.config.settings import WebhookSettings
from csms.ports import BrokerError, DeadLetter, Message
from csms.storage.dead_letters import StoredDeadLetters
from tests.api.site_case import NOON
from tests.api.test_resources import ResourceTestCase

BASE = "/api/v1/dead-letters"


class DeadLettersTest(ResourceTestCase):
    async def with_letters(self, count: int) -> list[str]:
        letters = StoredDeadLetters(self.database)
        for number in range(count):
            message = Message(body=b"{\xff%d" % number, message_id=f"m{number}", type="Heartbeat", headers={"shard": 1})
            await letters.add(
                DeadLetter(
                    id="",
                    message=message,
                    exchange="e",
                    routing_key="k",
                    queue="q",
                    reason="it is no JSON",
                    died_at=NOON,
                )
            )
        return await self.names(BASE, "id")

    async def test_they_come_in_pages_and_one_by_one(self) -> None:
        ids = await self.with_letters(3)
        self.assertEqual(len(ids), 3)
        first = await self.json(f"{BASE}?limit=2")
        self.assertEqual(first["next"], ids[1])
        self.assertEqual(await self.names(f"{BASE}?after={first['next']}", "id"), ids[2:])
        shown = await self.json(f"{BASE}/{ids[1]}")
        self.assertEqual((shown["reason"], shown["body"], shown["headers"]), ("it is no JSON", "{\\xff1", {"shard": 1}))
        self.assertEqual((await self.get(f"{BASE}/nothing")).status, 404)

    async def test_one_is_dropped_once(self) -> None:
        ids = await self.with_letters(2)
        self.assertEqual((await self.change("DELETE", f"{BASE}/{ids[0]}")).status, 204)
        self.assertEqual((await self.change("DELETE", f"{BASE}/{ids[0]}")).status, 404)
        self.assertEqual(await self.names(BASE, "id"), ids[1:])
        self.assertEqual(await self.changes(), [("dropDeadLetter", f"dead-letters/{ids[0]}")])

    async def test_one_is_replayed_as_it_is_or_mended(self) -> None:
        same, mended = await self.with_letters(2)
        self.assertEqual((await self.change("POST", f"{BASE}/{same}/replay", {})).status, 204)
        self.assertEqual((await self.change("POST", f"{BASE}/{mended}/replay", {"body": "{}"})).status, 204)
        waiting = await StoredDeadLetters(self.database).to_replay(10)
        self.assertEqual([letter.message.body for letter in waiting], [b"{\xff0", b"{}"])
        self.assertEqual(await self.names(BASE, "id"), [])

    async def test_a_broker_that_is_away_is_no_fault_of_ours(self) -> None:
        async def away(*_: Any) -> None:
            raise BrokerError("connection refused")

        self.patch(StoredDeadLetters, "browse", away)
        answer = await self.get(BASE)
        self.assertEqual((answer.status, "connection refused" in answer.json()["detail"]), (503, True))


class WebhooksTest(ResourceTestCase):
    webhooks = (
        WebhookSettings(name="billing", url="https://me:pw@example.org/x?key=s3cret", secret="s3cret", types="a b"),
    )

    async def test_they_are_shown_without_secrets(self) -> None:
        answer = await self.get("/api/v1/webhooks")
        (webhook,) = answer.json()["items"]
        self.assertEqual((webhook["url"], webhook["types"]), ("https://example.org/x", ["a", "b"]))
        self.assertTrue(webhook["signed"])
        for secret in (b"s3cret", b"pw"):
            self.assertNotIn(secret, answer.body)
