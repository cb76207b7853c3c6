"""The log of changes."""

from __future__ import annotations

from csms.api.operations import Call, Operation
from csms.api.parameters import Id, Paged, Text
from csms.api.resources.reading import read
from csms.api.views import Page
from csms.api.views_people import AuditView, audit_view
from csms.domain.people import Role
from csms.domain.repositories import UnitOfWork


class AuditQuery(Paged, frozen=True):
    """Which changes. ``target`` is a path such as ``chargers/CP-1``; what is below it counts, too."""

    name: Text = ""
    target: Text = ""
    action: Text = ""
    before: Id | None = None


async def list_changes(call: Call[AuditQuery, None]) -> Page[AuditView]:
    """Newest first."""
    query = call.query

    def look(uow: UnitOfWork) -> Page[AuditView]:
        found = uow.audit.page(
            name=query.name,
            target=query.target,
            action=query.action,
            before=query.before or 0,
            limit=query.limit + 1,
        )
        page = [audit_view(entry) for entry in found[: query.limit]]
        return Page(items=page, next=page[-1].id if len(found) > query.limit else None)

    return await read(call, "list changes", look)


OPERATIONS = (
    Operation(
        name="listChanges",
        method="GET",
        path="/api/v1/audit",
        tag="people",
        summary="Who changed what and when, newest first",
        role=Role.ADMIN,
        run=list_changes,
        query=AuditQuery,
        answer=Page[AuditView],
    ),
)
