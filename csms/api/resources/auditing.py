"""Writing down who changed what, in the transaction of the change."""

from __future__ import annotations

from typing import Any

import msgspec

from csms.api.operations import Call
from csms.domain.people import AuditEntry
from csms.domain.repositories import UnitOfWork


def note(call: Call[Any, Any], uow: UnitOfWork, target: str, *, before: Any = None, after: Any = None) -> None:
    """``target`` was changed. ``before`` and ``after`` are what JSON can hold, without anything secret; None: nothing.

    Of two views of the same kind only what differs is written.
    """
    old, new = _plain(before), _plain(after)
    if isinstance(old, dict) and isinstance(new, dict):
        changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        old, new = ({name: one[name] for name in changed if name in one} for one in (old, new))
    uow.audit.add(
        AuditEntry(
            at=call.services.now(),
            kind=call.principal.kind,
            name=call.principal.name,
            address=call.request.address,
            action=call.operation.name,
            target=target,
            before=_text(old),
            after=_text(new),
        )
    )


def _plain(value: Any) -> Any:
    return None if value is None else msgspec.to_builtins(value)


def _text(value: Any) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()
