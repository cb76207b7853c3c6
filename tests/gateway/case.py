"""What tests of the gateway start from: a gateway on a free port, its broker, database and worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from csms.config.settings import GatewaySettings
from csms.domain import credentials
from csms.domain.model import Charger, Registration
from csms.gateway import charger_factory, service
from csms.gateway.service import ChargerGateway
from tests.gateway.client import Peer, connect, open_websocket
from tests.gateway.doubles import FakeDatabase, FakeWorker, StagedBroker

PASSWORD = "correct-horse-battery-9"
BOOT = {"chargePointVendor": "Acme", "chargePointModel": "One"}
HASH = credentials.hash_password(PASSWORD)


class GatewayCase(TestCase):
    """``self.gateway`` listens; ``self.charger()`` makes a charger known, ``self.open()`` connects one."""

    timeout = 30

    operator = ""

    async def setUp(self) -> None:  # type: ignore[override]
        self.patch(service, "SWEEP_S", 0.05)
        self.patch(charger_factory, "CLOSE_TIMEOUT_S", 0.5)
        self.broker = StagedBroker()
        self.database = FakeDatabase()
        self.worker = FakeWorker(self.broker)
        self.gateways: list[ChargerGateway] = []
        self.peers: list[Peer] = []
        await self.broker.start()
        await self.worker.start()
        # Trial runs cleanups before tearDown, and so would take the patches back too early.
        self.addCleanup(lambda: Deferred.fromCoroutine(self._clean_up()))

    async def _clean_up(self) -> None:
        self.worker.holds = False
        self.worker.confirm()
        if self.database.slow is not None and not self.database.slow.called:
            self.database.slow.callback(None)
        for peer in self.peers:
            if not peer.lost:
                peer.read_again()
                peer.cut()
                await peer.gone()
        for gateway in self.gateways:
            await gateway.stop()
        await self.broker.stop()

    async def start(self, **settings: Any) -> ChargerGateway:
        """Start a gateway and wait until it is ready."""
        defaults: dict[str, Any] = {
            "name": f"gw{len(self.gateways)}",
            "port": 0,
            "ping_interval_s": 0.0,
            "drain_s": 0.0,
        }
        gateway = ChargerGateway(
            GatewaySettings(**(defaults | settings)),
            self.broker,
            self.database,
            shards=2,
            reactor=reactor,
            operator=self.operator,
        )
        self.gateways.append(gateway)
        await gateway.start()
        await until(lambda: not gateway.ready_reason)
        return gateway

    @property
    def gateway(self) -> ChargerGateway:
        return self.gateways[0]

    def charger(self, device_id: str = "CP1", **fields: Any) -> Charger:
        """A charger that the database knows."""
        values = {"device_id": device_id, "password_hash": HASH, "registration": Registration.ACCEPTED} | fields
        return self.database.rows.add(Charger(**values))  # type: ignore[no-any-return]

    async def connect(self, gateway: ChargerGateway | None = None, *, door: str = "plain") -> Peer:
        """A TCP connection to the gateway."""
        peer = await connect((gateway or self.gateway).listening.port(door))
        self.peers.append(peer)
        return peer

    async def open(self, device_id: str = "CP1", *, gateway: ChargerGateway | None = None, **request: Any) -> Peer:
        """A known charger's open WebSocket; its ConnectionOpened has come to the worker."""
        if device_id not in self.database.rows.by_id:
            self.charger(device_id)
        request.setdefault("password", PASSWORD)
        before = len(self.worker.of("ConnectionOpened"))
        peer = await open_websocket((gateway or self.gateway).port, device_id, **request)
        self.peers.append(peer)
        await self.worker.came("ConnectionOpened", before + 1)
        return peer

    async def status(self, path: str, **request: Any) -> int:
        """The HTTP status of a handshake."""
        peer = await self.connect()
        peer.request(path, **request)
        return (await peer.response()).status


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that tells nobody."""
    for _ in range(1600):
        if condition():
            return
        await deferLater(reactor, 0.005)
    raise AssertionError("it did not happen")


def turn(times: int = 5) -> Deferred[None]:
    """Let the reactor go round, so that what could happen has happened."""
    done: Deferred[None] = deferLater(reactor, 0)
    for _ in range(times):
        done.addCallback(lambda _: deferLater(reactor, 0))
    return done
