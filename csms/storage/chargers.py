"""Chargers, their connectors, and the variables that they reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Select, delete, select

from csms.domain.model import Charger, Connector, Registration, ReportedVariable
from csms.storage.keys import digest
from csms.storage.sql import Clauses, Sql, replace
from csms.storage.tables import chargers, connectors, reported_variables
from csms.storage.tracking import Shape, Tracked

MAX_DEVICE_ID_CHARACTERS = 255

_charger = Shape(
    Charger,
    chargers,
    stored={"next_passwords": lambda passwords: " ".join(f"{name}={stored}" for name, stored in passwords.items())},
    loaded={
        "next_passwords": lambda text: dict(item.split("=", 1) for item in text.split()),
        "registration": Registration,
    },
)
_connector = Shape(Connector, connectors)


def _variable_key(variable: ReportedVariable) -> int:
    return digest(
        variable.component,
        variable.component_instance,
        variable.evse_id,
        variable.connector_id,
        variable.variable,
        variable.variable_instance,
        variable.attribute,
    )


_variable = Shape(ReportedVariable, reported_variables, derived={"variable_key": _variable_key})
# Only reports say what a variable is like; when its value is read or set, that stays.
_STAYS = ("mutability", "data_type", "unit")
_NEWEST_WINS = replace(
    _variable.columns,
    ("charger_id", "variable_key"),
    "excluded.reported_at >= reported_variables.reported_at",
    **{name: f"COALESCE(NULLIF(excluded.{name}, ''), reported_variables.{name})" for name in _STAYS},
)

_Place = tuple[int, int, int]


def _by_id(clauses: Clauses) -> Select[Any]:
    # All in the same order, so that two transactions never wait for each other in a circle.
    query = _charger.query().where(clauses.any_of(chargers.c.id, "ids")).order_by(chargers.c.id)
    return clauses.locked(query)


def _connectors_of(clauses: Clauses) -> Select[Any]:
    return _connector.query().where(clauses.any_of(connectors.c.charger_id, "chargers"))


class SqlChargers:
    """Implements :class:`csms.domain.repositories.Chargers`.

    A charger that is read in order to be changed is locked: gateways, workers and the sweep after a dead gateway all
    change the same rows.
    """

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._by_device_id: dict[str, Charger | None] = {}
        self._missing: set[int] = set()
        self._places: dict[_Place, Connector] = {}
        self._complete: set[int] = set()
        self._chargers = Tracked(sql, _charger, partial(_index_charger, self._by_device_id, self._missing))
        self._connectors = Tracked(sql, _connector, partial(_index_connector, self._places))
        self._reports: dict[tuple[int, int], ReportedVariable] = {}

    def get(self, charger_id: int) -> Charger | None:
        charger = self._chargers.get(charger_id)
        if charger is None and charger_id not in self._missing:
            self.load([charger_id], [])
            charger = self._chargers.get(charger_id)
        return charger

    def by_device_id(self, device_id: str) -> Charger | None:
        if device_id not in self._by_device_id:
            found = self._chargers.fetch(self._sql.locked(_charger.query().where(chargers.c.device_id == device_id)))
            self._by_device_id[device_id] = found[0] if found else None
        return self._by_device_id[device_id]

    def by_device_ids(self, device_ids: Iterable[str]) -> Mapping[str, Charger]:
        wanted = set(device_ids)
        unknown = wanted - self._by_device_id.keys()
        if unknown:
            query = _charger.query().where(self._sql.any_of(chargers.c.device_id, unknown)).order_by(chargers.c.id)
            self._by_device_id.update(dict.fromkeys(unknown))
            self._chargers.fetch(self._sql.locked(query))
        found = ((device_id, self._by_device_id[device_id]) for device_id in wanted)
        return {device_id: charger for device_id, charger in found if charger is not None}

    def by_certificate_name(self, name: str) -> Charger | None:
        self.flush()
        query = self._sql.locked(_charger.query().where(chargers.c.certificate_name == name))
        found = self._chargers.fetch(query) if name else []
        return found[0] if found else None

    def device_ids(self, charger_ids: Iterable[int]) -> Mapping[int, str]:
        wanted = set(charger_ids)
        known = {charger.id: charger.device_id for charger in map(self._chargers.get, wanted) if charger is not None}
        unknown = wanted - known.keys() - self._missing
        if unknown:
            query = select(chargers.c.id, chargers.c.device_id).where(self._sql.any_of(chargers.c.id, unknown))
            known.update((row[0], row[1]) for row in self._sql.rows(query))
        return known

    def add(self, charger: Charger) -> Charger:
        existing = self.by_device_id(charger.device_id)
        if existing is not None:
            return existing
        if not 0 < len(charger.device_id) <= MAX_DEVICE_ID_CHARACTERS:
            raise ValueError(f"a device id has 1 to {MAX_DEVICE_ID_CHARACTERS} characters")
        self._complete.add(self._chargers.add(charger).id)
        return charger

    def remove(self, device_id: str) -> bool:
        charger = self.by_device_id(device_id)
        if charger is None:
            return False
        self.flush()
        self._sql.change(delete(chargers).where(chargers.c.id == charger.id))
        self._chargers.forget(charger.id)
        for place, connector in list(self._places.items()):
            if place[0] == charger.id:
                self._connectors.forget(connector.id)
                del self._places[place]
        self._missing.add(charger.id)
        self._by_device_id[device_id] = None
        return True

    def page(self, *, after: str = "", limit: int = 100) -> Sequence[Charger]:
        self.flush()
        query = _charger.query().where(chargers.c.device_id > after).order_by(chargers.c.device_id).limit(limit)
        return self._chargers.fetch(query)

    def connector(self, charger_id: int, evse_id: int, connector_id: int) -> Connector:
        self._load_connectors([charger_id])
        known = self._places.get((charger_id, evse_id, connector_id))
        if known is not None:
            return known
        return self._connectors.add(Connector(charger_id=charger_id, evse_id=evse_id, connector_id=connector_id))

    def connectors(self, charger_ids: Iterable[int]) -> Sequence[Connector]:
        wanted = set(charger_ids)
        self._load_connectors(wanted)
        return [connector for place, connector in sorted(self._places.items()) if place[0] in wanted]

    def connected(self, charger_ids: Iterable[int]) -> frozenset[int]:
        self.flush()
        wanted = self._sql.any_of(chargers.c.id, charger_ids)
        return frozenset(row[0] for row in self._sql.rows(select(chargers.c.id).where(wanted, chargers.c.connected)))

    def connected_through(self, gateway: str) -> Sequence[Charger]:
        self.flush()
        query = _charger.query().where(chargers.c.gateway == gateway, chargers.c.connected).order_by(chargers.c.id)
        return self._chargers.fetch(self._sql.locked(query))

    def report(self, variables: Iterable[ReportedVariable]) -> None:
        for variable in variables:
            key = (variable.charger_id, _variable_key(variable))
            earlier = self._reports.get(key)
            if earlier is None or variable.reported_at >= earlier.reported_at:
                self._reports[key] = variable if earlier is None else _completed(variable, earlier)

    def load(self, charger_ids: Iterable[int], with_connectors_of: Iterable[int]) -> None:
        """Fetch these, in at most two queries."""
        wanted = {i for i in charger_ids if self._chargers.get(i) is None and i not in self._missing}
        if wanted:
            self._chargers.fetch(self._sql.made(_by_id), ids=wanted)
            self._missing.update(i for i in wanted if self._chargers.get(i) is None)
        self._load_connectors(with_connectors_of)

    def flush(self) -> None:
        """Write what is new and what changed."""
        self._chargers.flush()
        self._connectors.flush()
        if self._reports:
            rows = [_variable.row(variable) for variable in self._reports.values()]
            self._reports.clear()
            self._sql.insert(reported_variables, _variable.columns, rows, _NEWEST_WINS)

    def _load_connectors(self, charger_ids: Iterable[int]) -> None:
        wanted = set(charger_ids) - self._complete
        if wanted:
            self._connectors.fetch(self._sql.made(_connectors_of), chargers=wanted)
            self._complete |= wanted


def _index_charger(by_device_id: dict[str, Charger | None], missing: set[int], charger: Charger) -> None:
    by_device_id[charger.device_id] = charger
    missing.discard(charger.id)


def _index_connector(places: dict[_Place, Connector], connector: Connector) -> None:
    places[connector.charger_id, connector.evse_id, connector.connector_id] = connector


def _completed(variable: ReportedVariable, earlier: ReportedVariable) -> ReportedVariable:
    known = {name: getattr(variable, name) or getattr(earlier, name) for name in _STAYS}
    return dataclasses.replace(variable, **known)
