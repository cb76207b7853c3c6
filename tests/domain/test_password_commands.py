"""A new password by ChangeConfiguration: whatever becomes of the command, the charger is not locked out."""

from __future__ import annotations

import json
import unittest
from typing import Any

from csms.domain import command_life as life
from csms.domain.command_model import Command, CommandState
from csms.domain.commands import new_command
from csms.domain.credentials import generate_password, hash_password, verify
from csms.domain.handling import Notes
from csms.domain.messages import COMMAND_RESULT
from csms.domain.password_rotation import MAX_ON_THE_WAY, arrived, confirm
from csms.domain.secrets import NOT_KEPT
from tests.domain.station import Station

OLD, NEW, NEWER = (generate_password() for _ in range(3))
State = CommandState


class PasswordCommandTests(unittest.TestCase):
    def setUp(self) -> None:
        self.station = Station()
        self.uow = self.station.unit.as_unit_of_work()
        self.charger = self.station.charger
        self.charger.ocpp_version = "1.6"
        self.charger.password_hash = hash_password(OLD)
        self.made = 0

    def command(self, password: str = NEW, *, key: str = "AuthorizationKey", **fields: Any) -> Command:
        """A command that was just asked for."""
        self.made += 1
        given: dict[str, Any] = {"command_id": f"c{self.made}", "now": self.station.now, "timeout_s": 30.0} | fields
        payload = json.dumps({"key": key, "value": password})
        notes = Notes("source", self.station.now)
        command = life.store(
            self.uow, self.charger, new_command(self.charger, "ChangeConfiguration", payload, **given), notes
        )
        self.on_its_way = notes.commands == [command]
        return command

    def sent(self, command: Command) -> Command:
        self.assertTrue(life.claim(self.uow, command.command_id, self.station.now))
        return command

    def ends(self, command: Command, outcome: str, **fields: Any) -> None:
        self.station.handle(COMMAND_RESULT, {"commandId": command.command_id, "outcome": outcome, **fields})

    def answers(self, command: Command, status: str) -> None:
        self.ends(command, "answered", answer={"status": status})

    def opens(self) -> set[str]:
        """Which of the three passwords open the door."""
        stored, waiting = self.charger.password_hash, self.charger.next_passwords
        return {one for one in (OLD, NEW, NEWER) if verify(stored, one) or arrived(waiting, one.encode())}

    def test_before_the_answer_both_open(self) -> None:
        command = self.command()
        self.assertEqual((self.opens(), self.on_its_way), ({OLD, NEW}, True))
        self.sent(command)
        self.assertEqual(self.opens(), {OLD, NEW})
        self.assertEqual(json.loads(command.payload)["value"], NEW)

    def test_the_answer_settles_it(self) -> None:
        for status, expected in (
            ("Accepted", {NEW}),
            ("Rejected", {OLD}),
            ("NotSupported", {OLD}),
            ("RebootRequired", {OLD, NEW}),
        ):
            with self.subTest(status):
                self.setUp()
                self.answers(self.sent(self.command()), status)
                self.assertEqual(self.opens(), expected)

    def test_keys_are_compared_without_regard_to_case(self) -> None:
        self.answers(self.sent(self.command(key="AUTHORIZATIONKEY")), "Accepted")
        self.assertEqual(self.opens(), {NEW})

    def test_when_the_answer_is_lost_both_open_until_the_charger_comes(self) -> None:
        for outcome, fields in (
            ("timed_out", {}),
            ("unknown", {}),
            ("refused", {"errorCode": "InternalError"}),
        ):
            with self.subTest(outcome):
                self.setUp()
                command = self.sent(self.command())
                self.ends(command, outcome, **fields)
                self.assertEqual(self.opens(), {OLD, NEW})
                confirm(self.charger, command.command_id)
                self.assertEqual(self.opens(), {NEW})

    def test_a_late_answer_after_a_crash_settles_it(self) -> None:
        for status, expected in (("Accepted", {NEW}), ("Rejected", {OLD})):
            with self.subTest(status):
                self.setUp()
                command = self.sent(self.command())
                self.station.wait(seconds=3600)
                life.sweep(self.uow, self.station.now, Notes("sweep", self.station.now), limit=10)
                self.assertIs(command.state, State.UNKNOWN)
                self.assertEqual(self.opens(), {OLD, NEW})
                self.answers(command, status)
                self.assertEqual(self.opens(), expected)

    def test_what_the_charger_never_saw_does_not_open(self) -> None:
        notes = Notes("source", self.station.now)
        cancelled = self.command()
        life.cancel(self.uow, cancelled.command_id, self.station.now, notes)
        gone = self.command(NEWER)
        life.not_routed(self.uow, [gone.command_id], self.station.now, notes)
        late = self.command(NEWER)
        self.station.wait(seconds=3600)
        life.sweep(self.uow, self.station.now, notes, limit=10)
        self.assertEqual([one.state for one in (cancelled, gone, late)], ["cancelled", "not_connected", "expired"])
        self.assertEqual((self.opens(), self.charger.next_passwords), ({OLD}, {}))

    def test_the_secret_is_not_kept_longer_than_needed(self) -> None:
        command = self.sent(self.command())
        self.answers(command, "Accepted")
        self.assertEqual(json.loads(command.payload), {"key": "AuthorizationKey", "value": NOT_KEPT})
        self.assertNotIn(NEW, repr([command, self.charger]))

    def test_a_bad_password_is_refused_before_it_is_sent_and_locks_nobody_out(self) -> None:
        for password, fields, reason in (
            ("", {}, "it must have 16 to 40 characters"),
            ("a" * 40, {}, "it repeats itself"),
            (NEW, {"batch_id": "b"}, "every charger needs one of its own"),
        ):
            command = self.command(password, **fields)
            self.assertEqual((command.state, self.on_its_way), (State.INVALID, False))
            self.assertIn(reason, command.error_description)
            self.assertEqual(command.finished_at, self.station.now)
            self.assertEqual(json.loads(command.payload)["value"], NOT_KEPT)
            self.assertFalse(life.claim(self.uow, command.command_id, self.station.now))
        self.assertEqual(self.opens(), {OLD})

    def test_too_many_at_once_are_refused_and_none_is_forgotten(self) -> None:
        for _ in range(MAX_ON_THE_WAY):
            self.sent(self.command(generate_password()))
        self.assertIs(self.command().state, State.INVALID)
        self.assertEqual(len(self.charger.next_passwords), MAX_ON_THE_WAY)

    def variables(self, *passwords: str, version: str = "2.0.1") -> Command:
        """A 2.x command that was just asked for."""
        self.charger.ocpp_version = version
        items = [
            {
                "attributeValue": password,
                "component": {"name": "SecurityCtrlr"},
                "variable": {"name": "BasicAuthPassword"},
            }
            for password in passwords
        ]
        items.append(
            {"attributeValue": "60", "component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
        )
        self.made += 1
        command = new_command(
            self.charger,
            "SetVariables",
            json.dumps({"setVariableData": items}),
            command_id=f"c{self.made}",
            now=self.station.now,
            timeout_s=30.0,
        )
        return life.store(self.uow, self.charger, command, Notes("source", self.station.now))

    def test_2x_the_answer_for_the_variable_settles_it(self) -> None:
        for version in ("2.0.1", "2.1"):
            for status, expected in (
                ("Accepted", {NEW}),
                ("Rejected", {OLD}),
                ("UnknownVariable", {OLD}),
                ("RebootRequired", {OLD, NEW}),
            ):
                with self.subTest(f"{version} {status}"):
                    self.setUp()
                    command = self.sent(self.variables(NEW, version=version))
                    self.assertEqual(self.opens(), {OLD, NEW})
                    results = [
                        {
                            "attributeStatus": one_status,
                            "component": {"name": component},
                            "variable": {"name": variable},
                        }
                        for one_status, component, variable in (
                            (status, "SecurityCtrlr", "basicAuthPassword"),
                            ("Accepted", "OCPPCommCtrlr", "HeartbeatInterval"),
                        )
                    ]
                    self.ends(command, "answered", answer={"setVariableResult": results})
                    self.assertEqual(self.opens(), expected)
                    values = [one["attributeValue"] for one in json.loads(command.payload)["setVariableData"]]
                    self.assertEqual(values, [NOT_KEPT, "60"])

    def test_2x_two_passwords_at_once_are_refused(self) -> None:
        self.assertIs(self.variables(NEW, NEWER).state, State.INVALID)
        self.assertEqual(self.opens(), {OLD})

    def test_other_keys_are_left_alone(self) -> None:
        command = self.sent(self.command("300", key="HeartbeatInterval"))
        self.answers(command, "Accepted")
        self.assertEqual(json.loads(command.payload)["value"], "300")
        self.assertEqual(self.charger.next_passwords, {})
