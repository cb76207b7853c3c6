"""What the REST routes read. Each runs in a database thread, in one transaction, and returns finished views."""

from __future__ import annotations

from collections import defaultdict

from csms.api.views import (
    ChargerView,
    Overview,
    Page,
    SessionDetail,
    SessionView,
    charger_view,
    session_detail,
    session_view,
)
from csms.domain.model import Connector
from csms.domain.repositories import UnitOfWork
from csms.domain.repositories_searches import SessionSearch


def overview(uow: UnitOfWork) -> Overview:
    """Totals."""
    return Overview(**uow.counts())


def chargers(uow: UnitOfWork, after: str, limit: int) -> Page[ChargerView]:
    """Chargers in the order of their deviceId, behind ``after``."""
    found = uow.chargers.page(after=after, limit=limit + 1)
    page = found[:limit]
    connectors: defaultdict[int, list[Connector]] = defaultdict(list)
    for connector in uow.chargers.connectors([charger.id for charger in page]):
        connectors[connector.charger_id].append(connector)
    items = [charger_view(charger, connectors[charger.id]) for charger in page]
    return Page(items=items, next=page[-1].device_id if len(found) > limit else None)


def charger(uow: UnitOfWork, device_id: str) -> ChargerView | None:
    """One charger."""
    found = uow.chargers.by_device_id(device_id)
    return None if found is None else charger_view(found, uow.chargers.connectors([found.id]))


def sessions(uow: UnitOfWork, search: SessionSearch, before: int, limit: int) -> Page[SessionView]:
    """Sessions, newest first, older than ``before``."""
    found = uow.search.sessions(search, before_id=before, limit=limit + 1)
    page = found[:limit]
    device_ids = uow.chargers.device_ids({session.charger_id for session in page})
    items = [session_view(session, device_ids) for session in page]
    return Page(items=items, next=page[-1].id if len(found) > limit else None)


def session(uow: UnitOfWork, session_id: int) -> SessionDetail | None:
    """One session with its summary and samples."""
    found = uow.sessions.get(session_id)
    if found is None:
        return None
    device_ids = uow.chargers.device_ids([found.charger_id])
    return session_detail(found, device_ids, uow.sessions.summary(session_id), uow.sessions.samples(session_id))
