"""Commands through REST, RabbitMQ, PostgreSQL and the socket, with chargers that are not ours, and with SIGKILL."""

from __future__ import annotations

import asyncio
import json
import signal
import unittest
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ocpp.v16
import ocpp.v16.call_result as result16
import ocpp.v201
import ocpp.v201.call_result as result201
from ocpp.routing import create_route_map, on
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.integration.chargers import charger_16, charger_201
from tests.integration.people import browser, get, post, sign_in
from tests.integration.scenario import query
from tests.integration.site import ScaledOut
from tests.servers.daemon import wait_until

OPEN = {"CSMS_GATEWAY_UNKNOWN_CHARGERS": "accept", "CSMS_GATEWAY_REQUIRE_PASSWORD": "no"}
RESET = {"type": "Soft"}
UNKNOWN_WITHIN_S = 45.0


class Obedient:
    """Handlers for the ``ocpp`` package's chargers."""

    @on("Reset")  # type: ignore[untyped-decorator]
    def reset(self, **_: Any) -> Any:
        old = isinstance(self, ocpp.v16.ChargePoint)
        return result16.Reset(status="Accepted") if old else result201.Reset(status="Rejected")


class Wire:
    """A charger reduced to its socket; ``calls`` are the CALLs that came."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.calls: list[list[Any]] = []

    async def call(self) -> list[Any]:
        """The next CALL."""
        async with asyncio.timeout(UNKNOWN_WITHIN_S):
            frame: list[Any] = json.loads(await self._socket.recv())
        assert frame[0] == 2, frame
        self.calls.append(frame)
        return frame

    async def answer(self, call: list[Any], payload: dict[str, Any]) -> None:
        await self._socket.send(json.dumps([3, call[1], payload]))


@asynccontextmanager
async def wire(site: ScaledOut, device_id: str) -> AsyncIterator[Wire]:
    """A connected 1.6 charger."""
    url = f"ws://127.0.0.1:{site.gateway_port}/ocpp/{device_id}"
    async with connect(url, subprotocols=[Subprotocol("ocpp1.6")]) as socket:
        yield Wire(socket)


class CommandTests(unittest.IsolatedAsyncioTestCase):
    def start(self, settings: dict[str, str] | None = None) -> None:
        self.site = ScaledOut(self, settings)
        self.site.start()
        self.cookie = sign_in(self.site.gateway.sign_in_link())

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        return await asyncio.to_thread(post, self.site.gateway.http_port, f"/api/v1/{path}", body, self.cookie)

    async def get(self, path: str) -> Any:
        return await asyncio.to_thread(get, self.site.gateway.http_port, f"/api/v1/{path}", self.cookie)

    async def until_state(self, command_id: str, *states: str) -> dict[str, Any]:
        """Wait until the command is in one of these states."""
        statement = f"select state from commands where command_id = '{command_id}'"

        def reached() -> bool:
            return query(self.site.database_url, statement)[0][0] in states

        self.assertTrue(await asyncio.to_thread(wait_until, reached, UNKNOWN_WITHIN_S), f"{command_id}: not {states}")
        found: dict[str, Any] = await self.get(f"commands/{command_id}")
        return found

    async def until_known(self, device_id: str) -> None:
        """Wait until the worker knows what the charger speaks."""
        statement = f"select 1 from chargers where device_id = '{device_id}' and connected"
        found = await asyncio.to_thread(wait_until, lambda: bool(query(self.site.database_url, statement)), 20.0)
        self.assertTrue(found)

    async def test_the_answers_of_independent_clients_come_back_and_a_browser_sees_their_life(self) -> None:
        self.start()
        accounts = [self.site.account("OLD-1"), self.site.account("NEW-1")]
        async with (
            browser(self.site.gateway.http_port, self.cookie) as seen,
            charger_16(accounts[0]) as old,
            charger_201(accounts[1]) as new,
        ):
            for charger in (old, new):
                charger.reset = Obedient.reset.__get__(charger)
                charger.route_map = create_route_map(charger)
            for account, payload, status in (
                (accounts[0], RESET, "Accepted"),
                (accounts[1], {"type": "Immediate"}, "Rejected"),
            ):
                await self.until_known(account.device_id)
                code, command = await self.post(f"chargers/{account.device_id}/commands/Reset", payload)
                self.assertEqual((code, command["answer"]), (200, {"status": status}), command)
                await seen.until(lambda frame: frame.get("data", {}).get("state") == "answered")
                lives = [
                    frame["data"]["state"]
                    for frame in seen.frames
                    if frame.get("type") == "command.changed" and frame["deviceId"] == account.device_id
                ]
                self.assertEqual(lives, ["waiting", "sent", "answered"])
            code, batch = await self.post(
                "commands", {"filter": {"connected": True}, "action": "ClearCache", "payload": {}}
            )
            self.assertEqual((code, batch["total"]), (202, 2))
            ids = [one["id"] for one in (await self.get(f"commands?batchId={batch['id']}"))["items"]]
            for command_id in ids:
                command = await self.until_state(command_id, "refused")
                self.assertEqual(command["errorCode"], "NotImplemented")
            batch = await self.get(f"command-batches/{batch['id']}")
            self.assertEqual((batch["done"], batch["states"]), (True, {"refused": 2}))
        code, problem = await self.post("chargers/OLD-1/commands/Reset", RESET)
        self.assertEqual(code, 409, problem)
        for service in self.site.services:
            self.assertEqual(service.complaints(), [])

    async def test_a_gateway_killed_in_between_sends_nothing_twice_and_loses_nothing(self) -> None:
        self.start(OPEN)
        async with wire(self.site, "CP-1") as charger:
            await self.until_known("CP-1")
            _, sent = await self.post("chargers/CP-1/commands/Reset?wait=false&timeout=5", RESET)
            self.assertEqual((await charger.call())[1], sent["id"])
            _, behind = await self.post("chargers/CP-1/commands/ClearCache?wait=false&queue=600", {})
            self.site.gateway.end(signal.SIGKILL)
        await asyncio.to_thread(self.site.gateway.start)
        async with wire(self.site, "CP-1") as charger:
            call = await charger.call()
            self.assertEqual(call, [2, behind["id"], "ClearCache", {}])
            await charger.answer(call, {"status": "Accepted"})
            self.assertEqual((await self.until_state(behind["id"], "answered"))["answer"], {"status": "Accepted"})
            await self.until_state(sent["id"], "unknown")
            code, last = await self.call_and_answer(charger, "chargers/CP-1/commands/Reset", RESET)
            self.assertEqual((code, last["state"]), (200, "answered"))
            self.assertEqual([one[1] for one in charger.calls], [behind["id"], last["id"]])

    async def call_and_answer(self, charger: Wire, path: str, payload: dict[str, Any]) -> tuple[int, Any]:
        posting = asyncio.create_task(self.post(path, payload))
        await charger.answer(await charger.call(), {"status": "Accepted"})
        return await posting

    async def test_a_queued_command_survives_the_death_of_every_process(self) -> None:
        self.start(OPEN)
        async with wire(self.site, "CP-1"):
            await self.until_known("CP-1")

        code, command = await self.post("chargers/CP-1/commands/Reset?queue=600", RESET)
        self.assertEqual((code, command["state"]), (202, "queued"))
        for service in self.site.services:
            self.assertEqual(service.end(signal.SIGKILL), -signal.SIGKILL)
        await asyncio.to_thread(self.site.start)
        async with wire(self.site, "CP-1") as charger:
            call = await charger.call()
            self.assertEqual(call, [2, command["id"], "Reset", RESET])
            await charger.answer(call, {"status": "Accepted"})
            await self.until_state(command["id"], "answered")
        statement = f"select count(*) from charger_data where unique_id = '{command['id']}' and action = 'Reset'"
        self.assertEqual(query(self.site.database_url, statement), [(2,)])
