"""A charger that is given commands: what they change is what its answers make of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from csms.domain.command_effects import REQUESTS, RESULTS
from csms.domain.command_model import Command
from csms.domain.commands import CommandCall, new_command
from csms.domain.handling import Notes
from csms.domain.repositories import UnitOfWork
from csms.ocpp.schemas import check_request, check_response
from tests.domain.memory_unit import MemoryDevices
from tests.domain.station import Station

ACCEPTED = {"status": "Accepted"}


class CommandedStation(Station):
    """A station whose commands have their effects as the worker would let them have."""

    _commands = 0

    @property
    def devices(self) -> MemoryDevices:
        return self.unit.devices

    def ask(self, action: str, request: Mapping[str, Any]) -> Command:
        """A command is stored; it is not answered yet."""
        fault = check_request(self.version, action, dict(request))
        assert fault is None, str(fault)
        self._commands += 1
        self.charger.ocpp_version = self.version.value
        command = new_command(
            self.charger,
            action,
            json.dumps(request),
            command_id=f"command-{self._commands}",
            now=self.now,
            timeout_s=30.0,
        )
        self._run(REQUESTS, command, {})
        return command

    def answer(self, command: Command, response: Mapping[str, Any] = ACCEPTED) -> None:
        """The charger answers ``command``."""
        fault = check_response(self.version, command.action, dict(response))
        assert fault is None, str(fault)
        self.answer_anyhow(command, response)

    def answer_anyhow(self, command: Command, response: Mapping[str, Any]) -> None:
        """The charger answers whatever it likes."""
        self._run(RESULTS, command, response)

    def command(
        self, action: str, request: Mapping[str, Any], response: Mapping[str, Any] = ACCEPTED, *, after_s: float = 1
    ) -> Command:
        """A command that is sent at once and answered ``after_s`` later."""
        command = self.ask(action, request)
        command.sent_at = self.now
        self.now += timedelta(seconds=after_s)
        self.answer(command, response)
        return command

    def _run(self, table: Mapping[tuple[str, str], Any], command: Command, response: Mapping[str, Any]) -> None:
        effect = table.get((self.version.value, command.action))
        if effect is None:
            return
        notes = Notes(f"{command.command_id}-{len(self.told)}", self.now)

        def work(uow: UnitOfWork) -> None:
            charger = uow.chargers.get(self.charger.id)
            assert charger is not None
            notes.list.clear()
            effect(
                CommandCall(
                    command=command,
                    request=json.loads(command.payload),
                    response=dict(response),
                    uow=uow,
                    charger=charger,
                    notes=notes,
                    now=self.now,
                )
            )

        self.place.run(work)
        self.told += notes.list
