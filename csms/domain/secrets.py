"""Secrets in OCPP payloads: taken out before anything is logged, queued, kept longer than needed, or shown.

What a charger is told has them in full; what it tells is read without them. Secret are the values of configuration keys
and device model variables with certain names, the passwords and keys of a network profile, and the user and password in
any URL: those of FTP servers for logs and firmware open other doors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from csms.domain.payloads import mapping, text

NOT_KEPT = "(not kept)"
_MAX_DEPTH = 40
_NAME = re.compile(r"authorizationkey|passw|passphrase|secret|credential", re.IGNORECASE)
_MEMBERS = frozenset({"apnPassword", "basicAuthPassword", "password", "simPin"})
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]*@")

T = TypeVar("T")


def is_secret_name(name: str) -> bool:
    """Whether the value of a configuration key, or of a variable, with this name is a secret."""
    return _NAME.search(name) is not None


def without_secrets(payload: T) -> T:
    """``payload``, each secret in it replaced; itself when there is none."""
    found: T = _clean(payload, 0)
    return found


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _USER_INFO.sub(rf"\1{NOT_KEPT}@", value) if "://" in value and "@" in value else value
    if depth > _MAX_DEPTH:
        return value
    if isinstance(value, list):
        items = [_clean(one, depth + 1) for one in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    if not isinstance(value, dict):
        return value
    secret = _secret_members(value)
    members = {name: _replaced(one) if name in secret else _clean(one, depth + 1) for name, one in value.items()}
    return value if all(members[name] is one for name, one in value.items()) else members


def _secret_members(value: Mapping[str, Any]) -> frozenset[str]:
    found = _MEMBERS & value.keys()
    if "value" in value and is_secret_name(text(value, "key", 500)):
        found |= {"value"}
    if "variable" in value and is_secret_name(text(mapping(value, "variable"), "name", 500)):
        found |= {"attributeValue", "variableAttribute", "actualValue"}
    if {"server", "user", "type"} <= value.keys():  # a VPN
        found |= {"key"}
    return frozenset(found)


def _replaced(value: Any) -> Any:
    """The same shape without what is in it: an attribute of a variable keeps its type."""
    if isinstance(value, list):
        return [_replaced(one) for one in value]
    if isinstance(value, dict):
        return value | {"value": NOT_KEPT} if value.get("value") is not None else value
    return NOT_KEPT
