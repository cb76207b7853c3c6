"""What chargers measured."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from csms.api.operations import JSON, Call, Operation, Reply, Run
from csms.api.parameters import DEFAULT_LIMIT, END, Limit, Query, Since, Text, Until
from csms.api.resources.changing import in_utc
from csms.api.resources.chargers import charger_of
from csms.api.resources.reading import read
from csms.api.resources.sessions import MAX_ROWS, CsvLimit, session_of
from csms.api.resources.tables import CSV, csv_of
from csms.api.views import MeterValueView, Page, meter_value_view
from csms.domain.people import Role
from csms.domain.repositories import UnitOfWork
from csms.domain.repositories_searches import FoundSample, SampleSearch

Cursor = Annotated[str, Meta(pattern=r"^(-?[0-9]{1,16}\.-?[0-9]{1,19})?" + END, description="what `next` said")]
SearchOf = Callable[[Call[Any, None], UnitOfWork], SampleSearch]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SampleFilter(Query, frozen=True):
    """Which meter values."""

    measurand: Text = ""
    since: Since | None = None
    until: Until | None = None
    after: Cursor = ""


class SampleQuery(SampleFilter, frozen=True):
    """A page of meter values."""

    limit: Limit = DEFAULT_LIMIT


class SampleExport(SampleFilter, frozen=True):
    """Meter values for a spreadsheet."""

    limit: CsvLimit = MAX_ROWS


async def of_charger(call: Call[SampleQuery, None]) -> Page[MeterValueView]:
    """A charger's, oldest first."""
    return await _found(call, _charger_search)


async def of_session(call: Call[SampleQuery, None]) -> Page[MeterValueView]:
    """A session's, oldest first."""
    return await _found(call, _session_search)


async def export_of_charger(call: Call[SampleExport, None]) -> Reply:
    """A charger's as CSV."""
    return _csv(await _found(call, _charger_search))


async def export_of_session(call: Call[SampleExport, None]) -> Reply:
    """A session's as CSV."""
    return _csv(await _found(call, _session_search))


async def _found(call: Call[Any, None], search_of: SearchOf) -> Page[MeterValueView]:
    after = _moment(call.query.after) if call.query.after else None
    limit = call.query.limit

    def look(uow: UnitOfWork) -> Page[MeterValueView]:
        found = uow.search.samples(search_of(call, uow), after=after, limit=limit + 1)
        page = found[:limit]
        last = _cursor(page[-1]) if len(found) > limit else None
        return Page(items=[meter_value_view(one.sample) for one in page], next=last)

    return await read(call, "list meter values", look)


def _charger_search(call: Call[Any, None], uow: UnitOfWork) -> SampleSearch:
    return _search(call.query, charger_of(call, uow).id, 0)


def _session_search(call: Call[Any, None], uow: UnitOfWork) -> SampleSearch:
    session = session_of(call, uow)
    return _search(call.query, session.charger_id, session.id)


def _search(query: SampleFilter, charger_id: int, session_id: int) -> SampleSearch:
    return SampleSearch(
        charger_id=charger_id,
        session_id=session_id,
        measurand=query.measurand,
        since=None if query.since is None else in_utc(query.since),
        until=None if query.until is None else in_utc(query.until),
    )


def _csv(page: Page[MeterValueView]) -> Reply:
    return Reply(body=csv_of(MeterValueView, (msgspec.to_builtins(item) for item in page.items)))


def _cursor(found: FoundSample) -> str:
    return f"{(found.sample.sampled_at - _EPOCH) // timedelta(microseconds=1)}.{found.series_key}"


def _moment(cursor: str) -> tuple[datetime, int]:
    microseconds, _, series_key = cursor.partition(".")
    return _EPOCH + timedelta(microseconds=int(microseconds)), int(series_key)


def _operation(name: str, path: str, summary: str, run: Run, *, export: bool) -> Operation:
    return Operation(
        name=name,
        method="GET",
        path=path + (".csv" if export else ""),
        tag="meter values",
        summary=summary + (" as CSV" if export else ""),
        role=Role.VIEWER,
        run=run,
        query=SampleExport if export else SampleQuery,
        answer=bytes if export else Page[MeterValueView],
        gives=CSV if export else JSON,
    )


_OF_CHARGER = ("/api/v1/chargers/{deviceId}/meter-values", "What a charger measured, oldest first")
_OF_SESSION = ("/api/v1/sessions/{sessionId:id}/meter-values", "What was measured in a session, oldest first")

OPERATIONS = (
    _operation("listMeterValuesOfCharger", *_OF_CHARGER, of_charger, export=False),
    _operation("exportMeterValuesOfCharger", *_OF_CHARGER, export_of_charger, export=True),
    _operation("listMeterValuesOfSession", *_OF_SESSION, of_session, export=False),
    _operation("exportMeterValuesOfSession", *_OF_SESSION, export_of_session, export=True),
)
