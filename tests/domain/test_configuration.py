"""Configuration keys as they are and as they should be."""

from __future__ import annotations

import unittest
from datetime import timedelta

from csms.domain.command_effects import ENDS
from csms.domain.command_model import Command, CommandState
from csms.domain.configuration import PENDING, REFUSED, UNANSWERED
from csms.domain.device_records import ConfigurationKey
from csms.domain.messages import NotificationType
from tests.domain.commanding import CommandedStation
from tests.domain.station import NOON

CHANGED = NotificationType.CONFIGURATION_CHANGED
INTERVAL = {"key": "HeartbeatInterval", "value": "300"}
OTHER = {"key": "ConnectionTimeOut", "value": "60"}


class ConfigurationCase(unittest.TestCase):
    def setUp(self) -> None:
        self.station = CommandedStation()

    def keys(self) -> dict[str, ConfigurationKey]:
        return {one.key: one for one in self.station.devices.configuration.of(self.station.charger.id)}

    def key(self) -> ConfigurationKey:
        """The only one."""
        (found,) = self.keys().values()
        return found

    def reported(
        self, *keys: tuple[str, str | None], unknown: tuple[str, ...] = (), asked: tuple[str, ...] = ()
    ) -> None:
        listed = [{"key": key, "readonly": False} | ({} if value is None else {"value": value}) for key, value in keys]
        response = {"configurationKey": listed, "unknownKey": list(unknown)}
        self.station.command("GetConfiguration", {"key": list(asked)} if asked else {}, response)


class Changing(ConfigurationCase):
    def test_a_wanted_value_differs_until_it_is_accepted(self) -> None:
        command = self.station.ask("ChangeConfiguration", INTERVAL)
        key = self.key()
        self.assertEqual((key.wanted, key.wanted_status, key.value, key.differs), ("300", PENDING, None, True))
        self.station.wait(seconds=2)
        self.station.answer(command)
        self.assertEqual((key.value, key.wanted_status, key.differs, key.known), ("300", "Accepted", False, True))
        self.assertEqual((key.wanted_at, key.answered_at), (NOON, NOON + timedelta(seconds=2)))
        self.assertEqual(self.station.last(CHANGED), {"keys": ["HeartbeatInterval"], "commandId": "command-1"})
        self.assertEqual(self.station.kinds(), [CHANGED] * 2)

    def test_a_rejected_value_stays_wanted_and_differs(self) -> None:
        self.reported(("HeartbeatInterval", "60"))
        self.station.command("ChangeConfiguration", INTERVAL, {"status": "Rejected"})
        key = self.key()
        self.assertEqual((key.value, key.wanted, key.wanted_status, key.differs), ("60", "300", "Rejected", True))

    def test_a_key_that_is_not_supported_is_not_known(self) -> None:
        self.station.command("ChangeConfiguration", INTERVAL, {"status": "NotSupported"})
        self.assertEqual((self.key().known, self.key().value, self.key().differs), (False, None, True))

    def test_a_reboot_is_required_until_the_charger_boots(self) -> None:
        self.station.command("ChangeConfiguration", INTERVAL, {"status": "RebootRequired"})
        charger = self.station.charger
        self.assertEqual((self.key().value, self.key().differs), ("300", False))
        self.assertTrue(self.key().reboot_required(charger.booted_at))
        self.station.wait(minutes=1)
        self.station.send("BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"})
        self.assertFalse(self.key().reboot_required(charger.booted_at))

    def test_the_answer_to_an_older_command_does_not_settle_a_newer_wish(self) -> None:
        first = self.station.ask("ChangeConfiguration", INTERVAL)
        self.station.wait(seconds=1)
        second = self.station.ask("ChangeConfiguration", INTERVAL | {"value": "900"})
        self.station.answer(first)
        key = self.key()
        self.assertEqual((key.value, key.wanted, key.wanted_status, key.differs), ("300", "900", PENDING, True))
        self.station.answer(second)
        self.assertEqual((key.value, key.wanted_status, key.differs), ("900", "Accepted", False))

    def end(self, command: Command, state: CommandState) -> None:
        command.state = state
        ENDS["1.6", "ChangeConfiguration"](self.station.unit.as_unit_of_work(), command)

    def test_what_was_never_sent_is_not_wanted_any_more(self) -> None:
        self.reported(("HeartbeatInterval", "60"))
        for state in (CommandState.CANCELLED, CommandState.EXPIRED, CommandState.NOT_CONNECTED, CommandState.INVALID):
            command = self.station.ask("ChangeConfiguration", INTERVAL)
            self.assertTrue(self.key().differs)
            self.end(command, state)
            self.assertEqual((self.key().wanted, self.key().wanted_status, self.key().differs), (None, "", False))

    def asked(self, value: str, state: CommandState | None = None, answer: str = "") -> Command:
        """A command that is stored; one in a final state that is not for what was never sent has been sent."""
        self.station.wait(seconds=1)
        command = self.station.unit.commands.add(self.station.ask("ChangeConfiguration", INTERVAL | {"value": value}))
        if state is not None:
            command.sent_at = command.finished_at = self.station.now
            command.answer = answer
            self.end(command, state)
        return command

    def test_once_a_wish_is_called_back_the_one_before_counts_again(self) -> None:
        for state, answer, status in (
            (CommandState.ANSWERED, '{"status":"Rejected"}', "Rejected"),
            (CommandState.REFUSED, "", REFUSED),
            (CommandState.TIMED_OUT, "", UNANSWERED),
            (None, "", PENDING),
        ):
            self.setUp()
            before = self.asked("60", state, answer)
            self.station.unit.commands.add(self.station.ask("ChangeConfiguration", OTHER))
            for value in ("300", "600"):
                self.end(self.asked(value), CommandState.CANCELLED)
                key = self.keys()[INTERVAL["key"]]
                self.assertEqual((key.wanted, key.wanted_status), ("60", status))
                self.assertEqual((key.command_id, key.wanted_at), (before.command_id, before.created_at))
                self.assertEqual((key.answered_at is None, key.differs), (status == PENDING, True))

    def test_what_was_sent_in_vain_is_still_wanted(self) -> None:
        for state, status in (
            (CommandState.REFUSED, REFUSED),
            (CommandState.TIMED_OUT, UNANSWERED),
            (CommandState.UNKNOWN, UNANSWERED),
        ):
            command = self.station.ask("ChangeConfiguration", INTERVAL)
            command.sent_at = self.station.now
            self.end(command, state)
            self.assertEqual((self.key().wanted, self.key().wanted_status, self.key().differs), ("300", status, True))
        self.station.answer(command)
        self.assertEqual((self.key().wanted_status, self.key().differs), ("Accepted", False))

    def test_the_end_of_an_older_command_does_not_touch_a_newer_wish(self) -> None:
        older = self.station.ask("ChangeConfiguration", INTERVAL)
        self.station.ask("ChangeConfiguration", INTERVAL | {"value": "900"})
        self.end(older, CommandState.CANCELLED)
        self.assertEqual((self.key().wanted, self.key().wanted_status), ("900", PENDING))

    def test_names_of_keys_are_compared_without_regard_to_case(self) -> None:
        self.reported(("heartbeatinterval", "60"))
        self.station.command("ChangeConfiguration", INTERVAL)
        self.assertEqual((self.key().key, self.key().value), ("heartbeatinterval", "300"))

    def test_an_authorization_key_is_never_kept(self) -> None:
        self.station.command("ChangeConfiguration", {"key": "AuthorizationKey", "value": "5ecre7"})
        self.reported(("AuthorizationKey", "5ecre7"))
        key = self.key()
        self.assertEqual((key.value, key.wanted, key.wanted_status, key.differs), (None, None, "Accepted", False))
        self.assertNotIn("5ecre7", repr(self.station.told))


class Reporting(ConfigurationCase):
    def test_what_is_reported_is_known(self) -> None:
        key = {"key": "NumberOfConnectors", "readonly": True, "value": "2"}
        self.station.command("GetConfiguration", {}, {"configurationKey": [key]})
        found = self.key()
        self.assertEqual((found.value, found.readonly, found.known), ("2", True, True))
        self.assertEqual(found.reported_at, NOON + timedelta(seconds=1))

    def test_the_same_report_again_is_not_told(self) -> None:
        self.reported(("A", "1"), ("B", None))
        self.reported(("A", "1"), ("B", None))
        self.assertEqual(self.station.kinds(), [CHANGED])
        self.reported(("A", "1"), ("B", "2"))
        self.assertEqual(self.station.last(CHANGED)["keys"], ["B"])

    def test_unknown_keys_are_known_as_such(self) -> None:
        self.reported(("A", "1"), unknown=("B",), asked=("A", "B"))
        self.assertEqual({name: key.known for name, key in self.keys().items()}, {"A": True, "B": False})

    def test_asked_for_everything_a_charger_has_no_other_keys(self) -> None:
        self.reported(("A", "1"), ("B", "2"))
        self.reported(("A", "1"))
        self.assertEqual({name: key.known for name, key in self.keys().items()}, {"A": True, "B": False})
        self.reported(("B", "3"), asked=("B",))
        self.assertEqual({name: key.known for name, key in self.keys().items()}, {"A": True, "B": True})

    def test_an_empty_answer_takes_nothing_away(self) -> None:
        self.reported(("A", "1"))
        self.station.command("GetConfiguration", {}, {})
        self.assertTrue(self.key().known)

    def test_a_value_changed_at_the_charger_shows_as_a_difference(self) -> None:
        self.station.command("ChangeConfiguration", INTERVAL)
        self.reported(("HeartbeatInterval", "60"))
        self.assertTrue(self.key().differs)
        self.reported(("HeartbeatInterval", " 300 "))
        self.assertFalse(self.key().differs)
