"""Each setting as data: its names, what it may be, and how a text becomes its value.

The command line's options, the loading of files and the settings reference are made from it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from csms.config.settings import Settings, WebhookSettings

WEBHOOK = "webhook"
"""Sections of webhooks are named ``[webhook <name>]``; they exist in the file only."""

FILE_SUFFIX = "_file"

_YES = frozenset({"yes", "true", "on", "1"})
_NO = frozenset({"no", "false", "off", "0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingDescription:
    """One setting. ``section`` is ``webhook`` for the settings of every ``[webhook <name>]``."""

    section: str
    key: str
    kind: type[Any]
    default: Any
    help: str
    secret: bool
    minimum: float | None
    maximum: float | None
    words: tuple[str, ...]
    schemes: tuple[str, ...]
    path: bool
    networks: bool
    origins: bool

    @property
    def option(self) -> str:
        """The long option of the command line, without dashes in front; of a secret, its file."""
        return f"{self.section}-{self.key}{FILE_SUFFIX if self.secret else ''}".replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable; empty for webhooks."""
        return "" if self.section == WEBHOOK else f"CSMS_{self.section}_{self.key}".upper()

    @property
    def choices(self) -> tuple[str, ...]:
        """All values there are, if they can be counted."""
        return tuple(choice.value for choice in self.kind) if issubclass(self.kind, StrEnum) else ()

    @property
    def default_text(self) -> str:
        """The default as it would be written in tap.conf."""
        if isinstance(self.default, bool):
            return "yes" if self.default else "no"
        if isinstance(self.default, float):
            return f"{self.default:g}"
        return str(self.default)

    @property
    def allowed(self) -> str:
        """What the value may be, in words that end a sentence."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is bool:
            return "yes or no"
        if self.words:
            return f"one or more of {', '.join(self.words)}, separated by blanks"
        if self.schemes:
            return f"something that begins with {' or '.join(self.schemes)}"
        if self.networks:
            return "addresses or networks like 192.0.2.1 or 10.0.0.0/8, separated by blanks"
        if self.origins:
            return "origins like https://app.example.org or http://192.0.2.1:8080, separated by blanks"
        if self.kind in (int, float):
            name = "a whole number" if self.kind is int else "a number"
            if self.minimum is not None and self.maximum is not None:
                return f"{name} from {self.minimum:g} to {self.maximum:g}"
            return name if self.minimum is None else f"{name}, {self.minimum:g} or more"
        return "text"

    def parse(self, text: str) -> Any:
        """The value that ``text`` stands for; raises ValueError if it is not allowed."""
        text = text if self.secret else text.strip()
        if issubclass(self.kind, StrEnum):
            return self.kind(text.lower())
        if self.kind is bool:
            return self._truth(text.lower())
        if self.kind in (int, float):
            return self._number(text)
        words = text.split()
        if self.words and (not words or not set(words) <= set(self.words)):
            raise ValueError(text)
        if self.networks:
            for word in words:
                ip_network(word)
        if self.origins and not all(map(_is_origin, words)):
            raise ValueError(text)
        if self.schemes and text != self.default and not text.startswith(self.schemes):
            raise ValueError(text)
        return text

    def _truth(self, text: str) -> bool:
        if text not in _YES | _NO:
            raise ValueError(text)
        return text in _YES

    def _number(self, text: str) -> float:
        number: float = self.kind(text)
        if not math.isfinite(number):
            raise ValueError(text)
        if self.minimum is not None and number < self.minimum:
            raise ValueError(text)
        if self.maximum is not None and number > self.maximum:
            raise ValueError(text)
        return number


def _is_origin(text: str) -> bool:
    """Whether it is an origin as browsers write it, perhaps with a slash behind it. May raise ValueError."""
    parts = urlsplit(text)
    if parts.port == 0 or parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def describe() -> Sequence[SettingDescription]:
    """All settings, section by section, in the order of the settings' module; webhooks last."""
    return _DESCRIPTIONS


def section_titles() -> Mapping[str, str]:
    """What each section is about, in a few words."""
    return {section: (kind.__doc__ or "").partition(": ")[2].rstrip(".") for section, kind in _sections()}


def _sections() -> list[tuple[str, type[Any]]]:
    sections: list[tuple[str, type[Any]]] = [
        (field.name, type(field.default))
        for field in dataclasses.fields(Settings)
        if dataclasses.is_dataclass(field.default)
    ]
    return [*sections, (WEBHOOK, WebhookSettings)]


def _describe(section: str, field: dataclasses.Field[Any], kind: type[Any]) -> SettingDescription:
    return SettingDescription(section=section, key=field.name, kind=kind, default=field.default, **field.metadata)


_DESCRIPTIONS = tuple(
    _describe(section, field, hints[field.name])
    for section, kind in _sections()
    for hints in [get_type_hints(kind)]
    for field in dataclasses.fields(kind)
    if "help" in field.metadata
)
