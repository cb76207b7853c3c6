"""From the arguments of ``csms-admin`` to its exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from csms.admin.arguments import parser, setting_options
from csms.admin.output import Answer, CommandError
from csms.admin.site import Site
from csms.config.loading import ConfigError
from csms.config.settings import Settings
from csms.launch import read_settings
from csms.ports import BrokerError, DatabaseError

NOT_DONE = 1
WRONG_USE = 2
NOT_REACHABLE = 3


async def run(reactor: Any, settings: Settings, arguments: argparse.Namespace) -> Answer:
    """Do one command. Raises :class:`CommandError`, :class:`DatabaseError`, :class:`BrokerError`."""
    site = Site(settings, reactor)
    try:
        answer: Answer = await arguments.command(site, arguments)
        return answer
    finally:
        await site.close()


async def _run_and_print(reactor: Any, settings: Settings, arguments: argparse.Namespace) -> None:
    try:
        answer = await run(reactor, settings, arguments)
    except CommandError as error:
        _leave(NOT_DONE, str(error))
    except ConfigError as error:
        _leave(WRONG_USE, str(error))
    except DatabaseError as error:
        _leave(NOT_REACHABLE, f"the database cannot be used: {error}")
    except BrokerError as error:
        _leave(NOT_REACHABLE, f"the broker cannot be used: {error}")
    else:
        print(answer.as_json() if arguments.json else answer.text)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; always ends in SystemExit."""
    arguments = parser().parse_args(argv)
    try:
        settings = read_settings(setting_options(arguments), arguments.config)
    except ConfigError as error:
        _leave(WRONG_USE, str(error))
    react(lambda reactor: Deferred.fromCoroutine(_run_and_print(reactor, settings, arguments)))


def _leave(code: int, message: str) -> None:
    print(f"csms-admin: {message}", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
