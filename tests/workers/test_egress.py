"""Where csms itself connects to because somebody named a host."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from csms.config.settings import WebhookSettings
from csms.workers.webhook import Failed, HttpPoster, Refused

PUBLIC, OTHER, PRIVATE = "93.184.216.34", "198.41.0.4", "127.0.0.1"


class ShiftyResolver:
    """A name server of an attacker: each question has another answer."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def resolveHostName(self, receiver: Any, name: str, port: int = 0, *_: object, **__: object) -> Any:
        self.asked += 1
        receiver.resolutionBegan(self)
        for address in self.answers.pop(0):
            receiver.addressResolved(IPv4Address("TCP", address, port))
        receiver.resolutionComplete()
        return receiver


class RebindingTests(SynchronousTestCase):
    def posted(self, resolver: ShiftyResolver) -> tuple[MemoryReactorClock, Any]:
        reactor = MemoryReactorClock()
        reactor.nameResolver = resolver  # type: ignore[assignment]
        poster = HttpPoster(WebhookSettings(name="erp", url="http://shifty.example/x"), reactor)
        verdict = Deferred.fromCoroutine(poster.post(b"{}", event_id="1", event_type="t"))
        return reactor, verdict

    def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to(self) -> None:
        resolver = ShiftyResolver([PUBLIC], [PRIVATE], [PRIVATE])
        reactor, verdict = self.posted(resolver)
        self.assertEqual([client[:2] for client in reactor.tcpClients], [(PUBLIC, 80)])
        self.assertEqual(resolver.asked, 1)
        verdict.cancel()
        self.assertIsInstance(self.successResultOf(verdict), Failed)

    def test_private_addresses_among_public_ones_are_left_out(self) -> None:
        reactor, verdict = self.posted(ShiftyResolver([PRIVATE, PUBLIC, "10.0.0.1", OTHER]))
        self.assertEqual([client[0] for client in reactor.tcpClients], [PUBLIC])
        verdict.cancel()
        self.assertIsInstance(self.successResultOf(verdict), Failed)

    def test_a_name_that_is_private_now_is_refused_without_a_connection(self) -> None:
        reactor, verdict = self.posted(ShiftyResolver([PRIVATE, "169.254.169.254"]))
        self.assertIsInstance(self.successResultOf(verdict), Refused)
        self.assertEqual(reactor.tcpClients, [])
