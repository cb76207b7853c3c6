"""Command-line options of the services, made from the settings."""

from __future__ import annotations

import os
import textwrap
from importlib.metadata import version
from typing import ClassVar

from twisted.python import usage

from csms.config.descriptions import SettingDescription, describe, section_titles
from csms.config.loading import ConfigError
from csms.config.settings import Settings
from csms.launch import CONFIG_FILE, read_settings

_CONFIG_HELP = f"INI file with settings; default: {CONFIG_FILE} of the directory you are in, if there is one"


class SettingsOptions(usage.Options):
    """Options for the settings in ``sections``; the parsed ``settings`` hold all sections.

    A subclass says what its service is in ``about`` and shows command lines in ``examples``.
    """

    sections: ClassVar[tuple[str, ...]] = ()
    about: ClassVar[str] = ""
    examples: ClassVar[tuple[tuple[str, str], ...]] = ()
    optParameters: ClassVar[list[list[object]]] = [["config", "c", None, _CONFIG_HELP]]
    settings: Settings
    _wrong = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.optParameters = [[setting.option, None, None, setting.help] for setting in _of(cls.sections)]

    def opt_version(self) -> None:
        """Show the version of csms and leave."""
        print(f"csms {version('csms')}")  # noqa: T201 - the answer to --version
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Read the settings now: twistd changes the directory and forks after this."""
        given = {name: str(value) for name, value in self.items() if value is not None}
        config = given.pop("config", None)
        try:
            self.settings = read_settings(given, config)
            self.check()
        except ConfigError as error:
            self._wrong = True
            raise usage.UsageError(str(error)) from error

    def check(self) -> None:
        """For a subclass that cannot work with all settings; it raises :class:`ConfigError`."""

    def needs_outside_broker(self, service: str) -> None:
        """Refuse the broker that lives in one process."""
        if self.settings.broker.url.startswith("memory:"):
            raise ConfigError(
                f"{service} needs a RabbitMQ: set broker.url to amqp://...; without one, `twistd csms` runs everything "
                "in one process"
            )

    def getUsage(self, width: int | None = None) -> str:
        """What ``--help`` shows; after an error in a setting only where to find it."""
        if self._wrong:
            return "Add --help for an explanation of all settings.\n"
        width = width or int(os.environ.get("COLUMNS", "100"))
        parts = ["", textwrap.fill(self.about, width), "", "Examples:"]
        for command, meaning in self.examples:
            parts += [f"  {command}", f"      {meaning}"]
        parts += [
            "",
            "Options:",
            *_option("-c, --config=FILE", _CONFIG_HELP, width),
            *_option("--version", "the version of csms", width),
            *_option("--help", "this text", width),
            "",
            textwrap.fill(
                "Every other setting can be given as an option, as an environment variable (--broker-url is "
                "CSMS_BROKER_URL) or in the file (url = ... under [broker]). An option beats a variable, a variable "
                "beats the file.",
                width,
            ),
        ]
        titles = section_titles()
        for section in self.sections:
            parts += ["", f"[{section}] {titles[section]}:"]
            for setting in _of((section,)):
                parts += _option(f"--{setting.option}={_placeholder(setting)}", _help(setting), width)
        return "\n".join(parts) + "\n"


def _of(sections: tuple[str, ...]) -> list[SettingDescription]:
    return [setting for setting in describe() if setting.section in sections]


def _option(name: str, text: str, width: int) -> list[str]:
    return [f"  {name}", *textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)]


def _placeholder(setting: SettingDescription) -> str:
    return "FILE" if setting.secret else setting.default_text or "..."


def _help(setting: SettingDescription) -> str:
    return f"file that holds {setting.help}" if setting.secret else setting.help
