"""Id tokens as CSV, in and out: the format is that of :mod:`csms.domain.token_csv`."""

from __future__ import annotations

import io
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta

from csms.api.operations import Call, Operation, Reply
from csms.api.parameters import Query, Text
from csms.api.problems import Problem
from csms.api.resources.auditing import note
from csms.api.resources.reading import read
from csms.api.resources.sessions import MAX_ROWS, CsvLimit
from csms.api.resources.tables import CSV
from csms.domain import token_csv
from csms.domain.people import Role
from csms.domain.repositories import UnitOfWork
from csms.domain.token_records import Stored

PATH = "/api/v1/id-tokens.csv"


class ExportQuery(Query, frozen=True):
    """Which tokens."""

    after: Text = ""
    limit: CsvLimit = MAX_ROWS


class ImportQuery(Query, frozen=True):
    """How to take the file."""

    dry_run: Annotated[bool, Meta(description="only look whether the file can be taken")] = False


class Imported(msgspec.Struct, rename="camel"):
    """What came of it, or would have come of it."""

    added: int
    replaced: int
    dry_run: bool


async def export_tokens(call: Call[ExportQuery, None]) -> Reply:
    """In the order of the tokens; a Link header says where more is."""
    after, limit = call.query.after, call.query.limit

    def look(uow: UnitOfWork) -> Reply:
        found = uow.id_tokens.page(after=after, limit=limit + 1)
        page = found[:limit]
        headers = {}
        if len(found) > limit:
            further = f"{PATH}?limit={limit}&after={quote(page[-1].token, safe='')}"
            headers["Link"] = f'<{further}>; rel="next"'
        return Reply(body=token_csv.write(page).encode(), headers=headers)

    return await read(call, "export id tokens", look)


async def import_tokens(call: Call[ImportQuery, Any]) -> Imported:
    """All of them or none."""
    dry_run, now = call.query.dry_run, call.services.now()

    def take(uow: UnitOfWork) -> Stored:
        stored = token_csv.take(uow, io.BytesIO(call.body), now=now, dry_run=dry_run)
        note(call, uow, "id-tokens", after={"added": stored.added, "replaced": stored.replaced})
        return stored

    try:
        stored = await call.services.database.transact(take, name="import id tokens")
    except token_csv.TokenCsvError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}; nothing was imported") from error
    except token_csv.DryRun as dry:
        stored = dry.stored
    return Imported(stored.added, stored.replaced, dry_run)


OPERATIONS = (
    Operation(
        name="exportIdTokens",
        method="GET",
        path=PATH,
        tag="id tokens",
        summary="Id tokens as CSV",
        role=Role.VIEWER,
        run=export_tokens,
        query=ExportQuery,
        answer=bytes,
        gives=CSV,
    ),
    Operation(
        name="importIdTokens",
        method="POST",
        path=PATH,
        tag="id tokens",
        summary="Take id tokens from CSV, all or none; those that are there already are replaced",
        role=Role.OPERATOR,
        run=import_tokens,
        query=ImportQuery,
        body=bytes,
        takes=CSV,
        answer=Imported,
    ),
)
