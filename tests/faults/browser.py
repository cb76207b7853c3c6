"""A browser on /events that comes back when its gateway dies, and resumes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

Frame = dict[str, Any]


class Browser:
    """Collects notifications. ``ports``: of the gateways' HTTP, asked anew at each try; ``cookie``: of a person."""

    def __init__(self, ports: Callable[[], list[int]], cookie: str) -> None:
        self.notifications: dict[str, Frame] = {}
        """By id, in the order in which they came first."""
        self.repeats = 0
        """Notifications that came again, with the same id."""
        self.resets = 0
        """How often it was told to load everything anew."""
        self.resumed: list[int] = []
        """How many notifications each resume was said to bring."""
        self.losses = 0
        """Connections that ended, or did not come about."""
        self._ports = ports
        self._cookie = cookie
        self._last_id = self._last_feed = ""
        """Of the event that came last, and of the connection on which it came."""
        self._turn = 0
        self._open = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def saw(self, prefix: str) -> bool:
        """Whether it has a notification of a charger whose deviceId begins like this."""
        return any(one["deviceId"].startswith(prefix) for one in list(self.notifications.values()))

    async def start(self) -> None:
        """Connect, and return when it is subscribed."""
        self._task = asyncio.create_task(self._run())
        async with asyncio.timeout(60.0):
            await self._open.wait()

    async def stop(self) -> None:
        """Close."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task  # a fault of the browser itself is raised here

    async def _run(self) -> None:
        while True:
            ports = self._ports()
            port = ports[self._turn % len(ports)]
            headers = {"Cookie": self._cookie, "Origin": f"http://127.0.0.1:{port}"}
            try:
                async with connect(
                    f"ws://127.0.0.1:{port}/events",
                    additional_headers=headers,
                    compression=None,
                    open_timeout=5.0,
                    ping_interval=3.0,
                    ping_timeout=6.0,
                    close_timeout=1.0,
                    max_queue=None,
                ) as socket:
                    await self._follow(socket)
            except (OSError, TimeoutError, InvalidHandshake, InvalidMessage, ConnectionClosed):
                pass
            self.losses += 1
            self._turn += 1
            await asyncio.sleep(0.3)

    async def _follow(self, socket: ClientConnection) -> None:
        await socket.send('{"action": "subscribe", "chargers": null, "types": null}')
        if self._last_id:
            await socket.send(json.dumps({"action": "resume", "id": self._last_id, "feed": self._last_feed}))
        feed = ""
        async for text in socket:
            frame: Frame = json.loads(text)
            if frame["event"] == "welcome":
                feed = frame["feed"]
            elif frame["event"] == "subscribed":
                self._open.set()
            elif frame["event"] == "reset":
                self.resets += 1
            elif frame["event"] == "resumed":
                self.resumed.append(frame["missed"])
            elif frame["event"] == "notification":
                self._last_id, self._last_feed = frame["id"], feed
                self._note(frame)

    def _note(self, frame: Frame) -> None:
        if frame["id"] in self.notifications:
            self.repeats += 1
        else:
            self.notifications[frame["id"]] = frame
