"""Writing down what was changed by ``csms-admin``, in the transaction of the change."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping
from typing import Any

import msgspec

from csms.admin.site import Site
from csms.domain.people import AuditEntry, PrincipalKind
from csms.domain.repositories import UnitOfWork


def note(
    site: Site,
    uow: UnitOfWork,
    action: str,
    target: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """``target`` was changed by the command ``action``. Nothing secret may be in ``before`` and ``after``."""
    uow.audit.add(
        AuditEntry(
            at=site.now(),
            kind=PrincipalKind.SHELL,
            name=operating_user(),
            address=socket.gethostname(),
            action=action,
            target=target,
            before=_text(before),
            after=_text(after),
        )
    )


def operating_user() -> str:
    """Who runs this, by the operating system; whoever became root by sudo is still who it was."""
    number = os.getuid()
    known = os.environ.get("SUDO_USER") if number == 0 else None
    if known:
        return known
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def _text(value: Mapping[str, Any] | None) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()
