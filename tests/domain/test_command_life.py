"""The life of a command by itself: who may change it, when, and what is told."""

from __future__ import annotations

import unittest
from datetime import timedelta
from typing import Any

from csms.domain import command_life as life
from csms.domain.command_model import Command, CommandState, Priority
from csms.domain.commands import LOST_AFTER, MOVES_WITHIN, new_command, order_of
from csms.domain.credentials import verify
from csms.domain.handling import Notes
from csms.domain.messages import COMMAND_RESULT, COMMAND_SENT, CONNECTION_OPENED, CommandOrder, decode, encode
from tests.domain.station import Station

State = CommandState
PASSWORD = "9f2c0b7d4e61a8533c5fd09e1b7a6248"


class CommandLifeTests(unittest.TestCase):
    def setUp(self) -> None:
        self.station = Station()
        self.uow = self.station.unit.as_unit_of_work()
        self.made = 0

    @property
    def now(self) -> Any:
        return self.station.now

    def notes(self) -> Notes:
        return Notes("source", self.now)

    def command(self, action: str = "Reset", payload: str = '{"type":"Soft"}', **fields: Any) -> Command:
        """A command that was just asked for."""
        self.made += 1
        given: dict[str, Any] = {"command_id": f"c{self.made:03}", "now": self.now, "timeout_s": 30.0} | fields
        command = new_command(self.station.charger, action, payload, **given)
        return life.store(self.uow, self.station.charger, command, self.notes())

    def result(self, command: Command, outcome: str, **fields: Any) -> Any:
        payload = {"commandId": command.command_id, "outcome": outcome} | fields
        return self.station.handle(COMMAND_RESULT, payload)

    def told(self) -> list[str]:
        return [one.data["state"] for one in self.station.told if one.type == "command.changed"]

    def test_a_stored_command_is_put_on_its_way_and_told(self) -> None:
        notes = self.notes()
        command = new_command(
            self.station.charger, "Reset", "{}", command_id="c", now=self.now, timeout_s=5, created_by="me"
        )
        life.store(self.uow, self.station.charger, command, notes)
        self.assertEqual(notes.commands, [command])
        (told,) = notes.list
        self.assertEqual((told.type, told.device_id), ("command.changed", "CP1"))
        self.assertEqual(told.data, {"commandId": "c", "action": "Reset", "state": "waiting"})

    def test_the_order_has_the_payload_as_it_was_given(self) -> None:
        command = self.command("ChangeConfiguration", '{"value": "1",  "key":"x"}')
        order = decode(CommandOrder, encode(order_of(command)))
        self.assertEqual(bytes(order.payload), b'{"value": "1",  "key":"x"}')

    def test_a_stop_goes_before_a_start_before_the_rest(self) -> None:
        stop, start, rest = (
            self.command(name).priority for name in ("RemoteStopTransaction", "RequestStartTransaction", "Reset")
        )
        self.assertEqual([stop, start, rest], [Priority.STOP, Priority.START, Priority.REST])

    def test_only_the_first_claim_succeeds(self) -> None:
        command = self.command()
        self.assertTrue(life.claim(self.uow, command.command_id, self.now))
        self.assertEqual((command.state, command.sent_at), (State.SENT, self.now))
        self.assertFalse(life.claim(self.uow, command.command_id, self.now))

    def test_what_is_cancelled_expired_or_unknown_cannot_be_claimed(self) -> None:
        cancelled, late = self.command(), self.command()
        life.cancel(self.uow, cancelled.command_id, self.now, self.notes())
        self.assertFalse(life.claim(self.uow, cancelled.command_id, self.now))
        self.assertFalse(life.claim(self.uow, late.command_id, late.expires_at))
        self.assertFalse(life.claim(self.uow, "nobody's", self.now))

    def test_a_claim_given_back_can_be_taken_again(self) -> None:
        command = self.command()
        life.claim(self.uow, command.command_id, self.now)
        life.give_back(self.uow, command.command_id, self.now)
        self.assertEqual((command.state, command.sent_at), (State.WAITING, None))
        self.assertTrue(life.claim(self.uow, command.command_id, self.now))

    def test_what_was_sent_is_not_cancelled(self) -> None:
        command = self.command()
        life.claim(self.uow, command.command_id, self.now)
        life.cancel(self.uow, command.command_id, self.now, self.notes())
        self.assertIs(command.state, State.SENT)

    def test_without_a_connection_it_ends_or_is_kept_as_asked(self) -> None:
        gone, kept = self.command(), self.command(keep_s=3600.0)
        notes = self.notes()
        life.not_routed(self.uow, [gone.command_id, kept.command_id], self.now, notes)
        self.assertEqual([gone.state, kept.state], [State.NOT_CONNECTED, State.QUEUED])
        self.assertEqual([one.data["state"] for one in notes.list], ["not_connected", "queued"])

    def test_a_command_that_was_sent_meanwhile_is_not_called_unroutable(self) -> None:
        command = self.command()
        life.claim(self.uow, command.command_id, self.now)
        life.not_routed(self.uow, [command.command_id], self.now, self.notes())
        self.assertIs(command.state, State.SENT)

    def test_a_connection_releases_what_was_kept(self) -> None:
        kept, sent, over = self.command(keep_s=3600.0), self.command(), self.command(keep_s=1.0)
        life.not_routed(self.uow, [kept.command_id, over.command_id], self.now, self.notes())
        life.claim(self.uow, sent.command_id, self.now)
        self.station.wait(seconds=5)
        handled = self.station.handle(CONNECTION_OPENED, {})
        self.assertEqual(handled.commands, [kept])
        self.assertEqual((kept.state, over.state), (State.WAITING, State.QUEUED))

    def test_the_answer_is_kept_as_it_came(self) -> None:
        command = self.command()
        life.claim(self.uow, command.command_id, self.now)
        self.station.handle(COMMAND_SENT, {"commandId": command.command_id})
        answer = {"status": "Perhaps", "extra": [1, {"x": None}]}
        self.result(command, "answered", answer=answer, fault="$.status: no")
        self.assertEqual(command.answer, '{"status":"Perhaps","extra":[1,{"x":null}]}')
        self.assertEqual((command.state, command.fault), (State.ANSWERED, "$.status: no"))
        self.assertEqual(command.finished_at, self.now)
        self.assertEqual(self.told(), ["sent", "answered"])

    def test_a_refusal_is_kept_with_code_and_description(self) -> None:
        command = self.command()
        life.claim(self.uow, command.command_id, self.now)
        self.result(command, "refused", errorCode="NotSupported", errorDescription="no")
        self.assertEqual(
            (command.state, command.error_code, command.error_description), (State.REFUSED, "NotSupported", "no")
        )

    def test_a_late_answer_replaces_what_is_not_known_and_nothing_else(self) -> None:
        for given_up in ("unknown", "timed_out"):
            for outcome, state in (("answered", State.ANSWERED), ("refused", State.REFUSED)):
                command = self.command()
                life.claim(self.uow, command.command_id, self.now)
                self.result(command, given_up, errorDescription="no answer")
                self.result(command, outcome, answer={"status": "Accepted"})
                self.assertEqual((command.state, command.error_description), (state, ""))
                for later in ("timed_out", "unknown", "refused", "answered"):
                    self.result(command, later)
                    self.assertIs(command.state, state)

    def test_what_was_not_answered_in_time_is_not_less_known_later(self) -> None:
        command = self.command()
        life.claim(self.uow, command.command_id, self.now)
        self.result(command, "timed_out")
        for outcome in ("unknown", "invalid", "timed_out"):
            self.result(command, outcome)
            self.assertIs(command.state, State.TIMED_OUT)

    def test_a_late_answer_has_its_effects(self) -> None:
        self.station.charger.ocpp_version = "1.6"
        payload = f'{{"key":"AuthorizationKey","value":"{PASSWORD}"}}'
        command = self.command("ChangeConfiguration", payload)
        life.claim(self.uow, command.command_id, self.now)
        self.result(command, "timed_out")
        self.assertEqual(len(self.station.charger.next_passwords), 1)
        self.result(command, "answered", answer={"status": "Accepted"})
        self.assertEqual(self.station.charger.next_passwords, {})
        self.assertTrue(verify(self.station.charger.password_hash, PASSWORD))

    def test_results_that_make_no_sense_change_nothing(self) -> None:
        command = self.command()
        for payload in ({}, {"commandId": 5}, {"commandId": command.command_id, "outcome": "cancelled"}):
            handled = self.station.handle(COMMAND_RESULT, payload)
            self.assertEqual((handled.answer, handled.error), (None, None))
        self.assertIs(command.state, State.WAITING)

    def sweep(self) -> Notes:
        notes = self.notes()
        life.sweep(self.uow, self.now, notes, limit=100)
        return notes

    def test_a_command_without_progress_is_put_on_its_way_again(self) -> None:
        command = self.command()
        self.assertEqual(self.sweep().commands, [])
        self.station.wait(seconds=MOVES_WITHIN.total_seconds())
        self.assertEqual(self.sweep().commands, [command])
        self.assertEqual(self.sweep().commands, [])

    def test_a_command_that_was_not_sent_in_time_expires(self) -> None:
        command, kept = self.command(), self.command(keep_s=60.0)
        self.station.charger.connected = False
        life.not_routed(self.uow, [kept.command_id], self.now, self.notes())
        self.station.wait(seconds=30)
        self.sweep()
        self.assertEqual([command.state, kept.state], [State.EXPIRED, State.QUEUED])
        self.station.wait(seconds=30)
        self.sweep()
        self.assertIs(kept.state, State.EXPIRED)

    def test_a_command_whose_gateway_died_becomes_unknown_and_is_never_sent_again(self) -> None:
        command = self.command()
        life.claim(self.uow, command.command_id, self.now)
        self.station.wait(seconds=30 + LOST_AFTER.total_seconds() - 1)
        self.sweep()
        self.assertIs(command.state, State.SENT)
        self.station.wait(seconds=1)
        notes = self.sweep()
        self.assertEqual((command.state, notes.commands), (State.UNKNOWN, []))

    def test_the_sweep_finds_a_queued_command_whose_charger_is_there_after_all(self) -> None:
        command = self.command(keep_s=3600.0)
        self.station.charger.connected = False
        life.not_routed(self.uow, [command.command_id], self.now, self.notes())
        self.station.wait(seconds=life.QUEUED_LOOK.total_seconds())
        self.assertEqual(self.sweep().commands, [])
        self.station.charger.connected = True
        self.station.wait(seconds=life.QUEUED_LOOK.total_seconds())
        self.assertEqual((self.sweep().commands, command.state), ([command], State.WAITING))

    def test_a_command_that_came_a_moment_before_its_gateway_could_be_sent_any_goes_out_soon(self) -> None:
        command = self.command(keep_s=3600.0)
        life.not_routed(self.uow, [command.command_id], self.now, self.notes())
        self.station.wait(seconds=life.FIRST_LOOK.total_seconds())
        self.assertEqual((self.sweep().commands, command.state), ([command], State.WAITING))

    def test_every_open_command_comes_to_an_end_without_anybodys_help(self) -> None:
        commands = [self.command(), self.command(keep_s=600.0), self.command()]
        life.claim(self.uow, commands[0].command_id, self.now)
        for _ in range(12):
            self.station.wait(seconds=60)
            self.sweep()
        self.assertTrue(all(one.state.is_final for one in commands), commands)

    def test_a_command_of_a_deleted_charger_still_ends(self) -> None:
        command = self.command(keep_s=100.0)
        life.not_routed(self.uow, [command.command_id], self.now, self.notes())
        self.station.unit.chargers.by_id.clear()
        self.station.wait(seconds=61)
        self.sweep()
        self.station.wait(seconds=timedelta(seconds=40).total_seconds())
        self.sweep()
        self.assertIs(command.state, State.EXPIRED)
