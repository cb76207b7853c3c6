"""The local list in a charger is what it accepted."""

from __future__ import annotations

import unittest
from typing import Any

from csms.domain.command_effects import ENDS
from csms.domain.command_model import CommandState
from csms.domain.device_records import LocalList, LocalListEntry
from csms.domain.messages import NotificationType
from csms.ocpp.timestamps import parse_timestamp
from tests.domain.commanding import ACCEPTED, CommandedStation


def entry(token: str, status: str = "Accepted", **info: str) -> dict[str, Any]:
    return {"idTag": token, "idTagInfo": {"status": status} | info}


class LocalLists(unittest.TestCase):
    def setUp(self) -> None:
        self.station = CommandedStation()

    def sent(self, version: int, *entries: dict[str, Any], kind: str = "Full", answer: str = "Accepted") -> None:
        request = {"listVersion": version, "updateType": kind, "localAuthorizationList": list(entries)}
        self.station.command("SendLocalList", request, {"status": answer})

    def reported(self, version: int) -> None:
        self.station.command("GetLocalListVersion", {}, {"listVersion": version})

    @property
    def list(self) -> LocalList:
        (found,) = self.station.devices.local_lists.of(self.station.charger.id)
        return found

    @property
    def entries(self) -> dict[str, LocalListEntry]:
        return {one.id_token: one for one in self.station.devices.local_list_entries.of(self.station.charger.id)}

    def test_a_full_update_replaces_everything(self) -> None:
        self.sent(1, entry("A"), entry("B"))
        self.sent(5, entry("b", "Blocked", expiryDate="2030-01-01T00:00:00Z", parentIdTag="P"), entry("C"))
        self.assertEqual(set(self.entries), {"b", "C"})
        changed = self.entries["b"]
        self.assertEqual((changed.status, changed.parent), ("Blocked", "P"))
        self.assertEqual(changed.expires_at, parse_timestamp("2030-01-01T00:00:00Z"))
        self.assertEqual((self.list.version, self.list.in_step), (5, True))

    def test_a_full_update_without_entries_empties_the_list(self) -> None:
        self.sent(1, entry("A"))
        self.station.command("SendLocalList", {"listVersion": 2, "updateType": "Full"}, ACCEPTED)
        self.assertEqual((self.entries, self.list.version), ({}, 2))

    def test_a_differential_update_adds_changes_and_removes(self) -> None:
        self.sent(1, entry("A"), entry("B"), entry("C"))
        self.sent(2, entry("A", "Expired"), {"idTag": "b"}, entry("D"), {"idTag": "X"}, kind="Differential")
        self.assertEqual(
            {name: one.status for name, one in self.entries.items()},
            {"A": "Expired", "C": "Accepted", "D": "Accepted"},
        )
        self.assertEqual(self.list.version, 2)

    def test_a_refused_update_leaves_the_list(self) -> None:
        self.sent(1, entry("A"))
        for answer in ("Failed", "NotSupported", "VersionMismatch"):
            self.sent(2, entry("B"), answer=answer)
            self.assertEqual((set(self.entries), self.list.version, self.list.last_answer), ({"A"}, 1, answer))

    def test_a_version_mismatch_says_that_we_are_out_of_step_until_the_versions_agree(self) -> None:
        self.sent(1, entry("A"))
        self.sent(2, entry("B"), kind="Differential", answer="VersionMismatch")
        self.assertFalse(self.list.in_step)
        self.reported(7)
        self.assertEqual((self.list.in_step, self.list.reported_version), (False, 7))
        self.reported(1)
        self.assertTrue(self.list.in_step)
        self.assertEqual(set(self.entries), {"A"})

    def test_changes_to_a_list_that_is_not_known_are_not_taken_for_the_list(self) -> None:
        self.sent(8, entry("B"), kind="Differential")
        self.assertEqual((self.entries, self.list.version, self.list.in_step), ({}, 0, False))
        self.reported(8)
        self.assertFalse(self.list.in_step, "whatever somebody else wrote before is in there, too")
        self.sent(9, entry("A"))
        self.sent(10, entry("B"), kind="Differential")
        self.reported(10)
        self.assertEqual((set(self.entries), self.list.version, self.list.in_step), ({"A", "B"}, 10, True))
        self.reported(17)
        self.sent(18, entry("C"), kind="Differential")
        self.assertEqual((set(self.entries), self.list.version, self.list.in_step), ({"A", "B"}, 10, False))

    def test_an_empty_list_is_known_and_may_be_changed(self) -> None:
        self.reported(0)
        self.sent(1, entry("A"), kind="Differential")
        self.assertEqual((set(self.entries), self.list.version, self.list.in_step), ({"A"}, 1, True))

    def test_an_update_without_an_answer_leaves_open_which_list_it_is_until_the_charger_tells(self) -> None:
        for state in (CommandState.TIMED_OUT, CommandState.UNKNOWN):
            self.sent(1, entry("A"))
            request = {"listVersion": 2, "updateType": "Full", "localAuthorizationList": [entry("B")]}
            command = self.station.ask("SendLocalList", request)
            command.state = state
            ENDS["1.6", "SendLocalList"](self.station.unit.as_unit_of_work(), command)
            self.assertFalse(self.list.in_step, state)
            self.reported(2)
            self.assertEqual((set(self.entries), self.list.in_step), ({"A"}, False))
            self.reported(1)
            self.assertEqual((set(self.entries), self.list.in_step), ({"A"}, True))

    def test_an_update_that_was_never_sent_or_was_refused_changes_nothing(self) -> None:
        self.sent(1, entry("A"))
        for state in (CommandState.CANCELLED, CommandState.EXPIRED, CommandState.NOT_CONNECTED, CommandState.REFUSED):
            command = self.station.ask("SendLocalList", {"listVersion": 2, "updateType": "Full"})
            command.state = state
            ENDS["1.6", "SendLocalList"](self.station.unit.as_unit_of_work(), command)
            self.assertTrue(self.list.in_step, state)

    def test_version_0_is_an_empty_list(self) -> None:
        self.sent(3, entry("A"))
        self.reported(0)
        self.assertEqual((self.entries, self.list.version, self.list.in_step), ({}, 0, True))

    def test_a_charger_without_a_list_has_no_entries(self) -> None:
        self.sent(3, entry("A"))
        self.reported(-1)
        self.assertEqual((self.entries, self.list.version, self.list.reported_version), ({}, 0, -1))

    def test_changes_are_told(self) -> None:
        self.sent(3, entry("A"))
        told = {"version": 3, "inStep": True, "answer": "Accepted", "commandId": "command-1"}
        self.assertEqual(self.station.last(NotificationType.LOCAL_LIST_CHANGED), told)
        self.reported(3)
        self.assertEqual(len(self.station.told), 1)
        self.reported(4)
        self.assertEqual(self.station.last(NotificationType.LOCAL_LIST_CHANGED)["reportedVersion"], 4)
