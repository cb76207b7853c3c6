"""Who tries without knowing: throttled, told, and never at the cost of those who know."""

from __future__ import annotations

from typing import Any

from csms import metrics
from csms.domain import credentials
from csms.gateway import admission, alarms
from tests.gateway.case import PASSWORD, GatewayCase, until
from tests.gateway.client import Peer

PROXY = {"trusted_proxies": "127.0.0.0/8"}


class GuessingCase(GatewayCase):
    def events(self) -> list[tuple[str, str]]:
        return [(event.type, event.tech_info) for event in self.database.rows.kept_events]

    async def from_address(self, address: str, path: str, **request: Any) -> int:
        """The status of a handshake that a trusted proxy has brought from there."""
        return await self.status(path, headers={"X-Forwarded-For": address}, **request)


class ThrottleTests(GuessingCase):
    async def test_guessing_is_stopped_and_the_neighbour_not(self) -> None:
        self.patch(admission, "FAILURES_PER_MINUTE", 3)
        await self.start()
        self.charger()
        self.charger("CP2")
        statuses = [await self.status("/ocpp/CP1", password=f"guess-{number}") for number in range(5)]
        self.assertEqual(statuses, [401, 401, 401, 429, 429])
        peer = await self.connect()
        peer.request("/ocpp/CP1", password=PASSWORD)
        response = await peer.response()
        self.assertEqual(response.status, 429)
        self.assertTrue(0 < int(response.headers["retry-after"]) <= 60)
        self.assertEqual(await self.status("/ocpp/CP2", password=PASSWORD), 101)

    async def test_guesses_at_the_same_time_count_each(self) -> None:
        self.patch(admission, "FAILURES_PER_MINUTE", 3)
        await self.start()
        self.charger()
        peers = [await self.connect() for _ in range(20)]
        for number, peer in enumerate(peers):
            peer.request("/ocpp/CP1", password=f"guess-{number}")
        statuses = sorted([(await peer.response()).status for peer in peers])
        self.assertEqual(statuses, [401] * 3 + [429] * 17)

    async def test_others_guesses_from_its_own_address_do_not_keep_a_charger_with_a_random_key_out(self) -> None:
        await self.start()
        key = credentials.generate_password()
        self.charger(password_hash=credentials.hash_password(key))
        for number in range(admission.FAILURES_PER_MINUTE + 2):
            await self.status("/ocpp/CP1", password=f"guess-{number}")
        self.assertEqual(await self.status("/ocpp/CP1", password="guess"), 429)
        self.assertEqual(await self.status("/ocpp/CP1"), 429)
        self.assertEqual(await self.status("/ocpp/CP1", password=credentials.generate_password()), 401)
        self.assertEqual(await self.status("/ocpp/CP1", password=key), 101)

    async def test_a_guessed_text_in_hexadecimal_digits_is_a_guess(self) -> None:
        await self.start()
        weak = "secret-charger-1"
        self.charger(password_hash=credentials.hash_password(weak))
        for number in range(admission.FAILURES_PER_MINUTE):
            await self.status("/ocpp/CP1", password=f"guess-{number}")
        self.assertEqual(await self.status("/ocpp/CP1", password=weak.encode().hex()), 429)

    async def test_ten_thousand_guesses_over_500_ids_keep_no_good_charger_out(self) -> None:
        """Neither those behind the guesser's address, remembered or not, nor the guessed ones elsewhere."""
        await self.start(**PROXY, max_handshakes=1000)
        for number in range(500):
            self.charger(f"CP{number}")
        await self.open("CP0")
        counted: dict[int, int] = {}
        for turn in range(20):
            peers = [await self.guess(f"CP{number}", turn) for number in range(500)]
            for peer in peers:
                status = (await peer.response()).status
                counted[status] = counted.get(status, 0) + 1
                peer.cut()
        self.assertEqual(set(counted), {401, 429})
        self.assertEqual(counted[401], 500 * admission.FAILURES_PER_MINUTE)
        self.assertEqual(await self.from_address("203.0.113.7", "/ocpp/CP0", password=PASSWORD), 429)
        self.assertEqual(await self.from_address("198.51.100.1", "/ocpp/CP0", password=PASSWORD), 101)
        for number in range(20):
            self.charger(f"NEIGHBOUR{number}")
            path = f"/ocpp/NEIGHBOUR{number}"
            self.assertEqual(await self.from_address("203.0.113.7", path, password=PASSWORD), 101)
        self.assertLessEqual(len(self.database.rows.kept_events), alarms.TOLD_OF_ALL_PER_MINUTE)

    async def guess(self, device_id: str, turn: int) -> Peer:
        peer = await self.connect()
        headers = {"X-Forwarded-For": "203.0.113.7"}
        peer.request(f"/ocpp/{device_id}", password=f"guess-{turn}", headers=headers)
        return peer


class AlarmTests(GuessingCase):
    async def test_a_stranger_under_a_connected_identity_is_told_and_touches_nothing(self) -> None:
        await self.start()
        first = await self.open()
        before = _alarms("InvalidCredentials")
        for request in ({"password": "wrong"}, {}, {"password": PASSWORD, "user": "CP2"}):
            self.assertEqual(await self.status("/ocpp/CP1", **request), 401)
        self.assertEqual(await self.status("/ocpp/UNKNOWN", password="wrong"), 401)
        await until(lambda: len(self.events()) == 2)
        self.assertEqual(
            self.events(),
            [
                ("InvalidCredentials", "wrong password from 127.0.0.1"),
                ("InvalidCredentials", "no password from 127.0.0.1"),
            ],
        )
        self.assertEqual(_alarms("InvalidCredentials"), before + 2)
        self.assertEqual((self.gateway.connections, self.worker.types()), (1, []))
        first.call("1", "Heartbeat")
        self.assertEqual((await first.message())[1], "1")
        self.assertEqual(len(self.worker.of("ConnectionOpened")), 1)

    async def test_an_attacker_does_not_decide_how_much_is_told(self) -> None:
        self.patch(alarms, "TOLD_OF_ALL_PER_MINUTE", alarms.TOLD_PER_MINUTE + 5)
        await self.start()
        gateway = self.gateway._alarms
        before = _alarms("InvalidCredentials")
        for number in range(50):
            gateway.tell(1, "CP1", "InvalidCredentials", f"wrong password from {number}")
        for number in range(50):
            gateway.tell(2 + number, f"CP{2 + number}", "InvalidCredentials", "wrong password")
        gateway.sweep()
        kept = self.database.rows.kept_events
        self.assertEqual([event.charger_id for event in kept], [1] * alarms.TOLD_PER_MINUTE + [2, 3, 4, 5, 6])
        self.assertEqual(_alarms("InvalidCredentials"), before + 100)

    async def test_what_is_told_while_the_gateway_stops_is_kept(self) -> None:
        gateway = await self.start()
        gateway._alarms.tell(1, "CP1", "InvalidCredentials", "wrong password")
        await gateway.stop()
        self.assertEqual(self.events(), [("InvalidCredentials", "wrong password")])

    async def test_without_the_database_it_is_in_the_log_and_nothing_fails(self) -> None:
        await self.start()
        await self.open()
        self.database.away = True
        self.assertEqual(await self.status("/ocpp/CP1", password="wrong"), 401)
        told: list[str] = []
        self.patch(alarms._log, "warn", lambda text, **_: told.append(text))
        await until(lambda: "security events are in the log only: {error}" in told)


class ProxyTests(GuessingCase):
    async def test_a_trusted_proxy_tells_where_a_charger_comes_from(self) -> None:
        await self.start(**PROXY)
        self.charger()
        address = "198.51.100.9, 203.0.113.5:4711, 127.0.0.9"
        self.assertEqual(await self.from_address(address, "/ocpp/CP1", password=PASSWORD), 101)
        opened = await self.worker.came("ConnectionOpened")
        self.assertEqual(opened.payload["remote"], "203.0.113.5")

    async def test_nobody_elses_word_is_taken(self) -> None:
        await self.start()
        self.charger()
        statuses = [
            await self.from_address(f"203.0.113.{number}", "/ocpp/CP1", password="guess")
            for number in range(admission.FAILURES_PER_MINUTE + 1)
        ]
        self.assertEqual(statuses[-1], 429)


def _alarms(event: str) -> float:
    return metrics.REGISTRY.get_sample_value("csms_security_alarms_total", {"event": event}) or 0.0
