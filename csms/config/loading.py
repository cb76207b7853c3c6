"""Reads all settings: option > environment > file > default. Pure: files come in as text.

Whatever is wrong is said with its place: the file's line, the variable or the option, the value and what is allowed.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from configparser import (
    ConfigParser,
    DuplicateOptionError,
    DuplicateSectionError,
    MissingSectionHeaderError,
    ParsingError,
)
from dataclasses import dataclass
from typing import Any

from csms.config.descriptions import FILE_SUFFIX, WEBHOOK, SettingDescription, describe
from csms.config.settings import Settings, WebhookSettings

CONFIG_VARIABLE = "CSMS_CONFIG"
"""Names the file to read when the command line does not."""

_PREFIX = "CSMS_"
_SQLITE = "sqlite:///"
_PASSWORD = re.compile(r"://[^/?#@\s]*:[^/?#@\s]+@")
"""In a URL, with the user."""
# Kubernetes tells every container of every service; one that is called csms-something looks like ours.
_SERVICE_LINK = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$")
_SERVICE_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")


class ConfigError(Exception):
    """A setting is wrong; the text says which, where and what is allowed."""


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as somebody wrote it, and where."""

    text: str
    where: str
    """The beginning of an error's sentence: ``tap.conf, line 3: [gateway] port``."""


ReadFile = Callable[[str], str]


def load(
    options: Mapping[str, str],
    environ: Mapping[str, str],
    file_text: str | None,
    file_name: str,
    *,
    read_file: ReadFile,
    directory: str,
) -> Settings:
    """All settings from the command line's ``options`` (long names without dashes), ``environ`` and the file.

    ``file_text`` is None when there is no file. ``read_file`` gives the text of a file that holds a secret; it may
    raise OSError. Relative paths become absolute in ``directory``. An empty environment variable counts as not set.
    Raises :class:`ConfigError`.
    """
    in_file = _read_file(file_text, file_name) if file_text is not None else {}
    in_environment = _read_environment(environ)
    given: dict[str, dict[str, Any]] = {}
    for setting in describe():
        if setting.section == WEBHOOK:
            continue
        name = (setting.section, setting.key)
        sources = [
            _of_options(setting, options, read_file, directory),
            _plain_or_file(setting, in_environment, name, read_file, directory),
            _plain_or_file(setting, in_file, name, read_file, directory),
        ]
        found = next((source for source in sources if source is not None), _Given(setting.default_text, "default"))
        given.setdefault(setting.section, {})[setting.key] = _value(setting, found, directory)
    defaults = Settings()
    return dataclasses.replace(
        defaults,
        **{section: dataclasses.replace(getattr(defaults, section), **values) for section, values in given.items()},
        webhooks=_webhooks(in_file, read_file, directory),
    )


# --- where values come from -----------------------------------------------------------------------------------------

_Name = tuple[str, str]


def _read_file(text: str, file_name: str) -> dict[_Name, _Given]:
    """Everything in the file, and each section with an empty key; refuses what csms does not know."""
    parser = ConfigParser(interpolation=None, default_section="\0", empty_lines_in_values=False)
    try:
        parser.read_string(text)
    except MissingSectionHeaderError as error:
        raise ConfigError(f"{file_name}, line {error.lineno}: a [section] must come first") from error
    except DuplicateSectionError as error:
        raise ConfigError(f"{file_name}, line {error.lineno}: [{error.section}] is there twice") from error
    except DuplicateOptionError as error:
        raise ConfigError(
            f"{file_name}, line {error.lineno}: [{error.section}] {error.option} is there twice"
        ) from error
    except ParsingError as error:
        lines = ", ".join(str(number) for number, _ in error.errors)
        raise ConfigError(f"{file_name}, line {lines}: this is neither a [section] nor key = value") from error
    lines_of = _line_numbers(text)
    known = _known_keys()
    found: dict[_Name, _Given] = {}
    for section in parser.sections():
        kind = _section_kind(section)
        if section == WEBHOOK:
            raise ConfigError(f"{file_name}, line {lines_of[section, '']}: a webhook needs a name: [{WEBHOOK} <name>]")
        if kind not in known:
            raise ConfigError(
                f"{file_name}, line {lines_of[section, '']}: unknown section [{section}]{_did_you_mean(kind, known)}"
            )
        found[section, ""] = _Given("", f"{file_name}, line {lines_of[section, '']}: [{section}]")
        for key, value in parser.items(section):
            where = f"{file_name}, line {lines_of[section, key]}: [{section}] {key}"
            if key not in known[kind]:
                raise ConfigError(
                    f"{file_name}, line {lines_of[section, key]}: unknown key {key} in [{section}]"
                    f"{_did_you_mean(key, known[kind])}"
                )
            if "\n" in value:
                raise ConfigError(f"{where}: the next line is indented, so it would be a part of this value")
            found[section, key] = _Given(value, where)
    return found


def _line_numbers(text: str) -> dict[_Name, int]:
    """The line of each (section, key) and, with an empty key, of each section; configparser keeps them to itself."""
    numbers: dict[_Name, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = ConfigParser.SECTCRE.match(line.strip())
        if header is not None:
            section = header["header"]
            numbers[section, ""] = number
        elif not line.strip().startswith(("#", ";")):
            option = ConfigParser.OPTCRE.match(line.strip())
            if option is not None:
                numbers.setdefault((section, option["option"].lower()), number)
    return numbers


def _read_environment(environ: Mapping[str, str]) -> dict[_Name, _Given]:
    """Everything that begins with CSMS_; refuses what csms does not know."""
    names: dict[str, _Name] = {}
    for setting in describe():
        if setting.variable:
            names[setting.variable] = (setting.section, setting.key)
            if setting.secret:
                names[f"{setting.variable}{FILE_SUFFIX.upper()}"] = (setting.section, setting.key + FILE_SUFFIX)
    found: dict[_Name, _Given] = {}
    for variable, value in sorted(environ.items()):
        if not variable.startswith(_PREFIX) or variable == CONFIG_VARIABLE or not value:
            continue
        if _SERVICE_LINK.match(variable) or (variable.endswith("_PORT") and _SERVICE_LINK_VALUE.match(value)):
            continue
        if variable not in names:
            raise ConfigError(f"unknown environment variable {variable}{_did_you_mean(variable, names)}")
        found[names[variable]] = _Given(value, f"environment variable {variable}")
    return found


def _of_options(
    setting: SettingDescription, options: Mapping[str, str], read_file: ReadFile, directory: str
) -> _Given | None:
    if setting.option not in options:
        return None
    given = _Given(options[setting.option], f"option --{setting.option}")
    if not setting.secret and _PASSWORD.search(given.text):
        raise ConfigError(f"{given.where}: every process of this machine can read a password here; give it in a file")
    return _read_secret(given, read_file, directory) if setting.secret else given


def _plain_or_file(
    setting: SettingDescription, source: Mapping[_Name, _Given], name: _Name, read_file: ReadFile, directory: str
) -> _Given | None:
    """The value of ``name`` in ``source``, if a secret also from the file that ``<key>_file`` names."""
    section, key = name
    plain = source.get(name)
    if not setting.secret:
        return plain
    file = source.get((section, key + FILE_SUFFIX))
    if plain is not None and plain.text and file is not None and file.text:
        raise ConfigError(f"{file.where}: {key} is given as well; remove one of the two")
    if file is not None and file.text:
        return _read_secret(file, read_file, directory)
    return plain


def _read_secret(given: _Given, read_file: ReadFile, directory: str) -> _Given:
    try:
        text = read_file(_absolute(given.text, directory))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{given.where} = {given.text}: cannot read this file: {reason}") from error
    return _Given(text.rstrip("\r\n"), given.where)


def _webhooks(in_file: Mapping[_Name, _Given], read_file: ReadFile, directory: str) -> tuple[WebhookSettings, ...]:
    webhooks = []
    for section in dict.fromkeys(section for section, _ in in_file if _section_kind(section) == WEBHOOK):
        values: dict[str, Any] = {}
        for setting in describe():
            if setting.section == WEBHOOK:
                found = _plain_or_file(setting, in_file, (section, setting.key), read_file, directory)
                if found is not None:
                    values[setting.key] = _value(setting, found, directory)
        if not values.get("url"):
            raise ConfigError(f"{in_file[section, ''].where} has no url")
        webhooks.append(WebhookSettings(name=section.removeprefix(WEBHOOK).strip(), **values))
    return tuple(webhooks)


# --- values ---------------------------------------------------------------------------------------------------------


def _value(setting: SettingDescription, given: _Given, directory: str) -> Any:
    try:
        value = setting.parse(given.text)
    except ValueError as error:
        shown = "" if setting.secret else f" = {_PASSWORD.sub('://...@', given.text)!r}"
        raise ConfigError(f"{given.where}{shown}: must be {setting.allowed}") from error
    return _absolute(value, directory) if setting.path and value else value


def _absolute(path: str, directory: str) -> str:
    """``path`` from the root on; that of an ``sqlite:///`` URL, too. Other URLs stay as they are."""
    if path.startswith(_SQLITE):
        file = path.removeprefix(_SQLITE)
        return path if file.startswith("/") else f"{_SQLITE}{directory}/{file}"
    return path if path.startswith("/") or "://" in path else f"{directory}/{path}"


def _known_keys() -> dict[str, list[str]]:
    known: dict[str, list[str]] = {}
    for setting in describe():
        keys = known.setdefault(setting.section, [])
        keys.append(setting.key)
        if setting.secret:
            keys.append(setting.key + FILE_SUFFIX)
    return known


def _section_kind(section: str) -> str:
    """``webhook`` for every ``webhook <name>``, else the section itself."""
    kind, _, name = section.partition(" ")
    return kind if kind == WEBHOOK and name else section


def _did_you_mean(wrong: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(wrong, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
