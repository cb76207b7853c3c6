"""A browser, as far as csms can tell: signs in by the link, opens /events, reads frames."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

FRAME_TIMEOUT_S = 15.0


def sign_in(link: str) -> str:
    """Use the link; the session's cookie."""
    parts = urlsplit(link)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request("POST", parts.path, headers={"Origin": f"http://{parts.netloc}"})
        response = connection.getresponse()
        response.read()
        cookie = response.getheader("Set-Cookie", "").partition(";")[0]
    finally:
        connection.close()
    if response.status != 303 or not cookie:
        raise AssertionError(f"{link} answered {response.status}")
    return cookie


def get(port: int, path: str, cookie: str) -> Any:
    """The JSON at ``path``."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Cookie": cookie})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise AssertionError(f"{path} answered {response.status}: {body!r}")
    return json.loads(body)


def post(port: int, path: str, body: Any, cookie: str) -> tuple[int, Any]:
    """Status and JSON of the answer to a change that one of our pages makes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Cookie": cookie, "Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
    try:
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


class Browser:
    """An open /events; ``frames`` are all that came."""

    def __init__(self, socket: ClientConnection) -> None:
        self.frames: list[dict[str, Any]] = []
        self._socket = socket

    @property
    def feed(self) -> str:
        """What the gateway calls its order of events."""
        return str(self.frames[0]["feed"])

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read until a frame is ``wanted``, and return that."""
        async with asyncio.timeout(FRAME_TIMEOUT_S):
            while True:
                frame: dict[str, Any] = json.loads(await self._socket.recv())
                self.frames.append(frame)
                if wanted(frame):
                    return frame

    async def resume(self, event_id: str, feed: str) -> dict[str, Any]:
        """Say which event was seen last, and where; the answer."""
        await self._socket.send(json.dumps({"action": "resume", "id": event_id, "feed": feed}))
        return await self.until(lambda frame: frame["event"] in ("resumed", "reset"))

    def types(self, device_id: str) -> list[str]:
        """The types of the charger's notifications, in the order in which they came."""
        return [
            frame["type"]
            for frame in self.frames
            if frame["event"] == "notification" and frame["deviceId"] == device_id
        ]

    def special(self, device_id: str) -> list[str]:
        """The names of the charger's specific events."""
        return [
            frame["event"]
            for frame in self.frames
            if frame["event"] != "notification" and frame.get("deviceId") == device_id
        ]


@asynccontextmanager
async def browser(port: int, cookie: str) -> AsyncIterator[Browser]:
    """Open /events and subscribe to everything."""
    headers = {"Cookie": cookie, "Origin": f"http://127.0.0.1:{port}"}
    async with connect(f"ws://127.0.0.1:{port}/events", additional_headers=headers) as socket:
        opened = Browser(socket)
        await socket.send('{"action": "subscribe", "chargers": null, "types": null}')
        await opened.until(lambda frame: frame["event"] == "subscribed")
        yield opened
