"""Id tokens: who may charge, and in which words each version is told."""

from __future__ import annotations

import unittest
from datetime import timedelta
from typing import Any

from csms.domain.handling import Policy
from csms.domain.model import Flag, Registration
from csms.ocpp.versions import Version
from tests.domain.station import NOON, Station, card, iso


def info_16(station: Station, tag: str = "CARD") -> Any:
    return station.send("Authorize", {"idTag": tag})["idTagInfo"]


def info_2(station: Station, token: dict[str, str] | None = None) -> Any:
    return station.send("Authorize", {"idToken": token or card()})["idTokenInfo"]


class Decisions(unittest.TestCase):
    def test_a_known_token_is_accepted_in_any_case(self) -> None:
        for version, ask in ((Version.V16, info_16), (Version.V201, info_2), (Version.V21, info_2)):
            station = Station(version)
            station.know("card")
            self.assertEqual(ask(station), {"status": "Accepted"})

    def test_an_unknown_token_is_invalid_in_16_and_unknown_in_2x(self) -> None:
        self.assertEqual(info_16(Station()), {"status": "Invalid"})
        self.assertEqual(info_2(Station(Version.V201)), {"status": "Unknown"})

    def test_the_operator_may_accept_unknown_tokens_but_not_blocked_ones(self) -> None:
        station = Station(policy=Policy(accept_unknown_tokens=True))
        station.know("BAD", blocked=True)
        self.assertEqual(info_16(station), {"status": "Accepted"})
        self.assertEqual(info_16(station, "BAD"), {"status": "Blocked"})
        self.assertEqual(len(station.unit.id_tokens.by_token), 1, "strangers must not fill the token list")

    def test_a_token_expires_at_its_moment(self) -> None:
        station = Station()
        station.know("CARD", expires_at=NOON)
        self.assertEqual(info_16(station), {"status": "Expired", "expiryDate": "2026-06-01T12:00:00.000Z"})
        station.now = NOON - timedelta(seconds=1)
        self.assertEqual(info_16(station)["status"], "Accepted")

    def test_expiry_and_group_are_told_in_each_versions_fields(self) -> None:
        fields = {"expires_at": NOON + timedelta(days=1), "group": "FLEET"}
        old, new = Station(), Station(Version.V201)
        old.know("CARD", **fields)
        new.know("CARD", **fields)
        self.assertEqual(
            info_16(old), {"status": "Accepted", "expiryDate": "2026-06-02T12:00:00.000Z", "parentIdTag": "FLEET"}
        )
        self.assertEqual(
            info_2(new),
            {
                "status": "Accepted",
                "cacheExpiryDateTime": "2026-06-02T12:00:00.000Z",
                "groupIdToken": {"idToken": "FLEET", "type": "Central"},
            },
        )

    def test_a_group_too_long_for_the_version_is_left_out(self) -> None:
        for version, length, ask in ((Version.V16, 21, info_16), (Version.V201, 37, info_2)):
            station = Station(version)
            station.know("CARD", group="g" * length)
            self.assertEqual(ask(station), {"status": "Accepted"})

    def test_a_token_of_another_type_is_not_that_token(self) -> None:
        for accepts in (False, True):
            station = Station(Version.V201, policy=Policy(accept_unknown_tokens=accepts))
            station.know("1234", type="ISO14443")
            self.assertEqual(info_2(station, card("1234", "KeyCode")), {"status": "Invalid"})
            self.assertEqual(info_2(station, card("1234")), {"status": "Accepted"})

    def test_no_authorization_needs_no_token(self) -> None:
        self.assertEqual(info_2(Station(Version.V201), card("", "NoAuthorization")), {"status": "Accepted"})

    def test_an_empty_token_is_never_known(self) -> None:
        station = Station()
        station.know("")
        self.assertEqual(info_16(station, ""), {"status": "Invalid"})

    def test_a_charger_that_is_not_accepted_gets_no_token_accepted(self) -> None:
        station = Station(policy=Policy(accept_unknown_tokens=True))
        station.charger.registration = Registration.PENDING
        self.assertEqual(info_16(station), {"status": "Invalid"})

    def test_a_contract_certificate_is_not_accepted_unverified(self) -> None:
        station = Station(Version.V201)
        station.know("DE123", type="eMAID")
        answer = station.send("Authorize", {"idToken": card("DE123", "eMAID"), "certificate": "-----BEGIN"})
        self.assertEqual(answer["idTokenInfo"]["status"], "Invalid")
        self.assertEqual(answer["certificateStatus"], "CertChainError")


class ConcurrentUse(unittest.TestCase):
    def test_a_token_runs_on_as_many_sessions_as_it_may(self) -> None:
        station = Station()
        station.know("CARD", max_sessions=2)
        answers = [
            station.send("StartTransaction", station.start_request(connectorId=connector))["idTagInfo"]["status"]
            for connector in (1, 2, 3)
        ]
        self.assertEqual(answers, ["Accepted", "Accepted", "ConcurrentTx"])
        self.assertEqual(station.sessions[2].authorization_status, "ConcurrentTx")

    def test_sessions_at_other_chargers_count(self) -> None:
        one = Station()
        other = Station(Version.V201, unit=one.unit, device_id="CP2")
        one.know("CARD", max_sessions=1)
        one.start()
        self.assertEqual(other.event("Started", 0, idToken=card("card"))["idTokenInfo"]["status"], "ConcurrentTx")
        one.stop(one.session.transaction_id)
        again = other.event("Started", 0, idToken=card(), transaction="tx-2")
        self.assertEqual(again["idTokenInfo"]["status"], "Accepted", "a refused session takes no place")

    def test_a_repeated_start_does_not_count_itself(self) -> None:
        station = Station()
        station.know("CARD", max_sessions=1)
        request = station.start_request()
        self.assertEqual(station.send("StartTransaction", request), station.send("StartTransaction", request))
        self.assertEqual(station.session.authorization_status, "Accepted")

    def test_a_session_whose_stop_was_lost_does_not_lock_its_owner_out(self) -> None:
        station = Station()
        station.know("CARD", max_sessions=1)
        station.start()
        station.wait(hours=1)
        station.start()
        self.assertEqual([session.authorization_status for session in station.sessions], ["Accepted", "Accepted"])

    def test_asking_for_a_card_that_charges_already_is_no_start(self) -> None:
        station = Station()
        station.know("CARD", max_sessions=1)
        station.start()
        self.assertEqual(info_16(station), {"status": "Accepted"})


class SessionsOfRefusedTokens(unittest.TestCase):
    def test_the_session_is_kept_with_its_status(self) -> None:
        station = Station()
        self.assertGreater(station.start(idTag="STRANGER"), 0)
        self.assertEqual(station.session.authorization_status, "Invalid")
        self.assertEqual(station.session.id_token, "STRANGER")
        self.assertEqual(station.session.flags, {Flag.UNKNOWN_TOKEN})

    def test_a_queued_start_is_judged_by_its_own_time(self) -> None:
        station = Station()
        station.know("CARD", expires_at=NOON - timedelta(hours=1))
        station.start(timestamp=iso(NOON - timedelta(hours=2)))
        self.assertEqual(station.session.authorization_status, "Accepted")

    def test_a_clock_ahead_buys_no_time(self) -> None:
        station = Station()
        station.know("CARD", expires_at=NOON - timedelta(hours=1))
        station.start(timestamp=iso(NOON + timedelta(hours=2)))
        self.assertEqual(station.session.authorization_status, "Expired")
