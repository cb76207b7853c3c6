"""Which deviations from the schema are tolerated from which charger.

Profiles are read from a file that people can read (``quirks.toml`` beside this module, and an operator's own). A
:class:`Tolerance` is what all profiles that fit a charger permit together; how it is applied is in
:mod:`csms.ocpp.repair`.
"""

from __future__ import annotations

import fnmatch
import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import resources
from typing import Any

from csms.ocpp.versions import Version

BOOT = "BootNotification"
_MAX_REMEMBERED = 1024


class Kind(StrEnum):
    """Kinds of deviations."""

    LONE_OBJECT = "lone-object"
    NUMBER_AS_TEXT = "number-as-text"
    TEXT_AS_NUMBER = "text-as-number"
    NULL = "null"
    EXTRA_MEMBER = "extra-member"
    LONG_TEXT = "long-text"
    ENUM_CASE = "enum-case"
    EMPTY_NAME = "empty-name"
    MISSING = "missing"
    SPELLING = "spelling"


_TOLERATED = frozenset(Kind) - {Kind.MISSING, Kind.SPELLING}
"""What stands under ``tolerate``; the others have tables of their own."""


class QuirksError(ValueError):
    """The file of profiles is not one; the text says where."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """What a payload had that its schema has not.

    ``path`` is JSONPath with ``[*]`` for places in a list, made of names of the schema only, so that there are not
    arbitrarily many; ``example`` is what stood there as JSON, shortened.
    """

    kind: str
    path: str
    example: str = ""


@dataclass(frozen=True, slots=True)
class Station:
    """What a charger says of itself, as far as profiles look at it."""

    vendor: str = ""
    model: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is tolerated from the chargers that the patterns describe. ``versions``: empty for all."""

    name: str
    about: str = ""
    vendor: str = "*"
    model: str = "*"
    firmware: str = "*"
    versions: tuple[Version, ...] = ()
    tolerate: frozenset[Kind] = frozenset()
    fill: Mapping[str, Any] = field(default_factory=dict)
    """By action and member, e.g. "StatusNotification.errorCode": what stands in when it is missing."""
    spelling: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By member: other words, and what they mean."""

    def fits(self, version: Version, station: Station) -> bool:
        """Whether the profile is for this charger."""
        return (not self.versions or version in self.versions) and all(
            _pattern(pattern).fullmatch(said) is not None
            for pattern, said in (
                (self.vendor, station.vendor),
                (self.model, station.model),
                (self.firmware, station.firmware),
            )
        )


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What is tolerated from a charger."""

    kinds: frozenset[Kind]
    fill: Mapping[str, Any]
    spelling: Mapping[str, Mapping[str, str]]
    marks: tuple[str, ...]
    """A text without any of these has no other spelling in it."""

    def may_concern(self, action: str, text: str) -> bool:
        """Whether a message that keeps to its schema may have something to record all the same."""
        return action == BOOT or any(mark in text for mark in self.marks)


NOBODY = Station()
"""A charger that has not said anything of itself yet."""


class Quirks:
    """All profiles."""

    def __init__(self, profiles: Iterable[Profile]) -> None:
        self.profiles = tuple(profiles)
        self._remembered: dict[tuple[Version, Station], Tolerance | None] = {}

    def tolerance(self, version: Version, station: Station) -> Tolerance | None:
        """What is tolerated from this charger; None: nothing."""
        key = (version, station)
        if key not in self._remembered:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = _together([one for one in self.profiles if one.fits(version, station)])
        return self._remembered[key]


STRICT = Quirks(())
"""Nothing is tolerated."""


def station_in(payload: Mapping[str, Any]) -> Station:
    """The charger that a BootNotification, which need not keep to its schema, is from."""
    inner = payload.get("chargingStation")
    if isinstance(inner, dict):
        return Station(_text(inner, "vendorName"), _text(inner, "model"), _text(inner, "firmwareVersion"))
    return Station(
        _text(payload, "chargePointVendor"), _text(payload, "chargePointModel"), _text(payload, "firmwareVersion")
    )


@functools.cache
def shipped() -> tuple[Profile, ...]:
    """The profiles that come with csms."""
    file = resources.files("csms.ocpp") / "quirks.toml"
    return parse(file.read_text("utf-8"), "quirks.toml")


def parse(text: str, source: str) -> tuple[Profile, ...]:
    """The profiles in a TOML text; ``source`` names it in the QuirksError that is raised for anything else."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise QuirksError(f"{source}: {error}") from error
    listed = content.pop("profile", [])
    if content:
        raise QuirksError(f"{source}: there is nothing called {next(iter(content))!r}; profiles begin with [[profile]]")
    if not isinstance(listed, list):
        raise QuirksError(f"{source}: profiles begin with [[profile]], in double brackets")
    return tuple(_profile(entry, f"{source}: profile {number}") for number, entry in enumerate(listed, start=1))


def _profile(entry: dict[str, Any], where: str) -> Profile:
    rest = dict(entry)
    name = rest.pop("name", "")
    if not isinstance(name, str) or not name:
        raise QuirksError(f"{where} has no name")
    where = f"{where} ({name})"
    texts = {key: _string(rest.pop(key, default), f"{where}: {key}") for key, default in _TEXTS.items()}
    profile = Profile(
        name=name,
        **texts,
        versions=tuple(_version(one, where) for one in _list(rest.pop("versions", []), f"{where}: versions")),
        tolerate=frozenset(_kind(one, where) for one in _list(rest.pop("tolerate", []), f"{where}: tolerate")),
        fill=_table(rest.pop("fill", {}), f"{where}: fill"),
        spelling=_spelling(rest.pop("spelling", {}), f"{where}: spelling"),
    )
    if rest:
        raise QuirksError(f"{where}: there is nothing called {next(iter(rest))!r} in a profile")
    if not (profile.tolerate or profile.fill or profile.spelling):
        raise QuirksError(f"{where} tolerates nothing")
    return profile


_TEXTS = {"about": "", "vendor": "*", "model": "*", "firmware": "*"}


def _spelling(value: object, where: str) -> Mapping[str, Mapping[str, str]]:
    tables = {member: _table(words, f"{where}.{member}") for member, words in _table(value, where).items()}
    for member, words in tables.items():
        for word, meaning in words.items():
            _string(meaning, f"{where}.{member}.{word}")
    return tables


def _version(value: object, where: str) -> Version:
    try:
        return Version(_string(value, where))
    except ValueError:
        raise QuirksError(f"{where}: {value!r} is none of the versions {', '.join(Version)}") from None


def _kind(value: object, where: str) -> Kind:
    if value not in _TOLERATED:
        raise QuirksError(f"{where}: {value!r} is none of the kinds {', '.join(sorted(_TOLERATED))}")
    return Kind(str(value))


def _string(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise QuirksError(f"{where} must be a text")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise QuirksError(f"{where} must be a list")
    return value


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise QuirksError(f"{where} must be a table")
    return value


def _together(profiles: list[Profile]) -> Tolerance | None:
    if not profiles:
        return None
    spelling: dict[str, dict[str, str]] = {}
    fill: dict[str, Any] = {}
    for profile in profiles:
        fill |= profile.fill
        for member, words in profile.spelling.items():
            spelling.setdefault(member, {}).update(words)
    kinds = frozenset[Kind]().union(*(profile.tolerate for profile in profiles))
    marks = tuple(f'"{word}"' for words in spelling.values() for word in words)
    return Tolerance(kinds, fill, spelling, marks)


@functools.lru_cache(maxsize=512)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern), re.IGNORECASE)


def _text(source: Mapping[str, Any], name: str) -> str:
    value = source.get(name)
    return value[:255].strip() if isinstance(value, str) else ""
