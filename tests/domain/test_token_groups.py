"""Limits of groups, and tokens that nobody knows."""

from __future__ import annotations

import unittest
from typing import Any

from csms.domain.actions import handle
from csms.domain.messages import ChargerMessage
from csms.domain.model import Flag
from csms.domain.token_records import TokenGroup
from csms.ocpp.quirks import Deviation
from csms.ocpp.versions import Version
from tests.domain.station import NOON, Station, card


def group(station: Station, name: str, limit: int | None) -> None:
    station.unit.token_groups.add(TokenGroup(name=name, max_sessions=limit))


def status(station: Station) -> Any:
    return station.sessions[-1].authorization_status


class GroupLimits(unittest.TestCase):
    def setUp(self) -> None:
        self.station = Station()
        self.other = Station(unit=self.station.place, device_id="CP2")
        self.station.know("ANN", group="Fleet")
        self.station.know("BOB", group="FLEET")
        self.station.know("EVE", group="Guests")

    def test_a_group_has_no_limit_unless_one_is_set(self) -> None:
        group(self.station, "fleet", None)
        self.station.start(idTag="ANN")
        self.other.start(idTag="BOB")
        self.assertEqual((status(self.station), status(self.other)), ("Accepted", "Accepted"))

    def test_all_tokens_of_a_group_count_against_its_limit_at_all_chargers(self) -> None:
        group(self.station, "fleet", 1)
        self.station.start(idTag="ANN")
        self.other.start(idTag="BOB")
        self.assertEqual(status(self.other), "ConcurrentTx")
        self.other.wait(minutes=1)
        self.other.start(idTag="EVE", connectorId=2)
        self.assertEqual(status(self.other), "Accepted", "another group is no concern of this one")

    def test_a_session_that_ended_or_was_refused_does_not_count(self) -> None:
        group(self.station, "fleet", 1)
        transaction = self.station.start(idTag="ANN")
        self.other.start(idTag="BOB")
        self.station.wait(minutes=1)
        self.station.stop(transaction)
        self.station.start(idTag="ANN", connectorId=2)
        self.assertEqual(status(self.station), "Accepted")

    def test_the_tokens_own_limit_holds_beside_that_of_its_group(self) -> None:
        group(self.station, "fleet", 5)
        self.station.know("ONE", group="fleet", max_sessions=1)
        self.station.start(idTag="ONE")
        self.other.start(idTag="ONE")
        self.assertEqual(status(self.other), "ConcurrentTx")

    def test_the_group_is_told_in_each_versions_words(self) -> None:
        self.assertEqual(self.station.send("Authorize", {"idTag": "ANN"})["idTagInfo"]["parentIdTag"], "Fleet")
        modern = Station(Version.V201, unit=self.station.place, device_id="CP3")
        told = modern.send("Authorize", {"idToken": card("ANN")})["idTokenInfo"]["groupIdToken"]
        self.assertEqual(told, {"idToken": "Fleet", "type": "Central"})


class UnknownTokens(unittest.TestCase):
    def test_an_unknown_token_of_a_session_is_kept_and_the_session_flagged(self) -> None:
        station = Station()
        station.start(idTag="STRANGER")
        self.assertEqual(station.unit.unknown_tokens.sightings, [(station.charger.id, "STRANGER", "", True)])
        self.assertIn(Flag.UNKNOWN_TOKEN, station.session.flags)

    def test_one_that_is_only_asked_about_is_kept_as_that(self) -> None:
        station = Station(Version.V201)
        station.send("Authorize", {"idToken": card("STRANGER")})
        self.assertEqual(station.unit.unknown_tokens.sightings, [(station.charger.id, "STRANGER", "ISO14443", False)])

    def test_a_session_counts_once_however_often_its_events_name_the_token(self) -> None:
        station = Station(Version.V201)
        for seq_no, kind in enumerate(("Started", "Updated", "Updated")):
            station.event(kind, seq_no, idToken=card("STRANGER"))
        self.assertEqual(len(station.unit.unknown_tokens.sightings), 1)

    def test_known_tokens_and_none_at_all_are_not_kept(self) -> None:
        station = Station()
        station.know("CARD", blocked=True)
        station.start()
        station.send("Authorize", {"idTag": ""})
        self.assertEqual(station.unit.unknown_tokens.sightings, [])


class Deviations(unittest.TestCase):
    def test_what_the_gateway_tolerated_is_kept_with_the_charger(self) -> None:
        station = Station()
        odd = Deviation("number-as-text", "$.connectorId", '"1"')
        message = ChargerMessage(
            device_id=station.charger.device_id,
            charger_id=station.charger.id,
            message_type="StatusNotification",
            payload={"connectorId": 1, "errorCode": "NoError", "status": "Available"},
            timestamp=NOON,
            raw_data="",
            message_id="m",
            connection_id="c",
            ocpp_version="1.6",
            gateway="gw",
            deviations=(odd,),
        )
        station.place.run(lambda uow: handle(message, uow, station.policy))
        self.assertEqual(station.unit.deviations.noted, [(station.charger.id, "StatusNotification", odd)])
