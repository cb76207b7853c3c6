"""The comparison of a ledger with what is in the database and what a browser saw.

- **lost**: an answered message without its row in the message log, word for word; a session, a meter reading, a
  summary, an hour's rollup, a notification or a final status that is missing or wrong.
- **doubled**: a second row of the same attempt, a second session, reading, summary or notification of the same thing.
- **out of order**: of one charger, a message whose first row was written before that of an earlier message; a
  start or stop that a browser was told before the one that came first.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.ledger import Ledger, Session, number_of

ORDER_COLUMN = "written_order"
ORDER_STATEMENTS = (
    f"create sequence {ORDER_COLUMN}",
    f"alter table charger_data add column {ORDER_COLUMN} bigint not null default nextval('{ORDER_COLUMN}')",
)
"""Let PostgreSQL itself count the rows of the message log, in the order in which they are written."""
NOT_LOGGED = frozenset({"Heartbeat"})
Query = Callable[[str], list[tuple[Any, ...]]]

_CHARGERS = "select id, device_id from chargers"
_LOG = "select d.charger_id, d.unique_id, d.raw from charger_data d where d.unique_id <> '' order by d.{order}"
_SESSIONS = """
    select charger_id, id, transaction_id, state, meter_start_wh, meter_stop_wh, energy_wh, flags from charging_sessions
"""
_READINGS = "select charger_id, session_id, value from meter_values where measurand = 'Energy.Active.Import.Register'"
_SUMMARIES = "select charger_id, session_id, energy_wh from session_summaries"
_HOURS = """
    select charger_id, sum(sessions_started), sum(sessions_ended), sum(energy_wh) from hourly_use group by charger_id
"""
_STATUSES = "select charger_id, status from connectors where connector_id = 1"
_CONNECTED = "select id, connected from chargers"
_WORDS = {
    "charger.connected": "connection",
    "charger.disconnected": "connection",
    "charger.status.changed": "status",
}
"""Notifications that each replace the one before."""
_TOLD = ("charging.started", "charging.stopped")


@dataclass(slots=True)
class Findings:
    """What does not agree; each with the words that a person needs to look for it."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Everything agrees."""
        return not (self.lost or self.doubled or self.disordered)

    def lines(self) -> list[str]:
        """All of them, a few of each kind."""
        kinds = {"lost": self.lost, "doubled": self.doubled, "out of order": self.disordered}
        return [f"{kind}: {line}" for kind, lines in kinds.items() for line in lines[:8]]


@dataclass(slots=True)
class Expected:
    """What a fault's chargers did beside the load; the load itself is in the ledger."""

    orphans: Counter[str] = field(default_factory=Counter)
    """Sessions without a start, by deviceId."""
    browser_reset: bool = False
    """Whether the browser was told that events are missing."""
    readings: Counter[tuple[str, float]] = field(default_factory=Counter)
    """(deviceId, Wh) of readings that belong to no session."""


class Audit:
    """Of one run. ``notifications``: those that a browser saw, in their order."""

    def __init__(
        self,
        ledger: Ledger,
        expected: Expected,
        query: Query,
        order_column: str,
        notifications: Iterable[Mapping[str, Any]],
    ) -> None:
        self.findings = Findings()
        self._ledger = ledger
        self._expected = expected
        self._query = query
        self._order_column = order_column
        self._notifications = list(notifications)
        devices = ledger.devices
        self._devices: dict[int, str] = {key: name for key, name in query(_CHARGERS) if name in devices}

    def run(self) -> Findings:
        """Compare everything."""
        self._log()
        found = self._sessions()
        self._readings(found)
        self._summaries(found)
        self._hours()
        self._statuses()
        self._told(found)
        self._believed()
        return self.findings

    def _mine(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of the run's chargers, with deviceId for the charger's key."""
        rows = self._query(statement)
        return [(self._devices[row[0]], *row[1:]) for row in rows if row[0] in self._devices]

    def _log(self) -> None:
        rows = self._mine(_LOG.format(order=self._order_column))
        raw = {(device, unique_id): text for device, unique_id, text in rows}
        counts = Counter(rows)  # a command's id has two: the command and the charger's answer
        for attempt in self._ledger.attempts:
            key = attempt.device_id, attempt.unique_id
            if attempt.action not in NOT_LOGGED and attempt.answered_at and raw.get(key) != attempt.frame:
                self.findings.lost.append(f"{attempt.device_id} {attempt.frame}: the log has {raw.get(key)}")
        for key, count in counts.items():
            if count > 1:
                self.findings.doubled.append(f"{key} has {count} rows in the log")
        newest: dict[str, int] = defaultdict(int)
        seen: set[tuple[str, int]] = set()
        for device, unique_id, *_ in rows:
            number = number_of(unique_id)
            if (device, number) not in seen and number:
                seen.add((device, number))
                if number < newest[device]:
                    self.findings.disordered.append(f"{device}: message {number} after {newest[device]}")
                newest[device] = max(newest[device], number)

    def _sessions(self) -> dict[int, Session]:
        """Compare sessions; those that were found, by their key."""
        expected = {(one.device_id, one.start_wh): one for one in self._ledger.sessions if one.stop_wh is not None}
        orphans: Counter[str] = Counter()
        seen: Counter[tuple[str, int]] = Counter()
        found: dict[int, Session] = {}
        for device, key, transaction_id, state, start_wh, stop_wh, energy_wh, flags in self._mine(_SESSIONS):
            if "orphan" in flags:
                orphans[device] += 1
                continue
            session = expected.get((device, int(start_wh or 0)))
            if session is None:
                if not any(one.device_id == device and one.start_wh == start_wh for one in self._ledger.sessions):
                    self.findings.doubled.append(f"{device}: session {key} from {start_wh} Wh is nobody's")
                continue
            seen[device, session.start_wh] += 1
            found[key] = session
            said = (session.transaction_id, "ended", session.stop_wh, (session.stop_wh or 0) - session.start_wh)
            if (transaction_id, state, stop_wh, energy_wh) != said:
                have = (transaction_id, state, stop_wh, energy_wh)
                self.findings.lost.append(f"{device}: session {key} is {have}, should be {said}")
        self._compare("session", expected, seen)
        self._compare("orphan", self._expected.orphans, orphans)
        return found

    def _readings(self, found: Mapping[int, Session]) -> None:
        expected = Counter((one.device_id, float(wh)) for one in self._ledger.sessions for wh in one.readings_wh)
        rows = self._mine(_READINGS)
        have = Counter((device, value) for device, _, value in rows)
        self._compare("reading", expected + self._expected.readings, have)
        for device, session_id, value in rows:
            session = found.get(session_id)
            if session is not None and value not in session.readings_wh:
                self.findings.lost.append(f"{device}: reading {value} belongs to another session than {session_id}")
            if session_id == 0 and (device, value) in expected:
                self.findings.lost.append(f"{device}: reading {value} belongs to no session")

    def _summaries(self, found: Mapping[int, Session]) -> None:
        rows = {key: energy_wh for _, key, energy_wh in self._mine(_SUMMARIES)}
        for key, session in found.items():
            if rows.get(key) != (session.stop_wh or 0) - session.start_wh:
                self.findings.lost.append(f"{session.device_id}: the summary of session {key} says {rows.get(key)}")

    def _hours(self) -> None:
        expected: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        for one in self._ledger.sessions:
            if one.stop_wh is not None:
                sums = expected[one.device_id]
                sums[0] += 1
                sums[1] += 1
                sums[2] += one.stop_wh - one.start_wh
        for device, *have in self._mine(_HOURS):
            if device not in expected:
                continue
            want = expected.pop(device)
            pairs = list(zip((float(one) for one in have), want, strict=True))
            if any(one > other + 0.01 for one, other in pairs):
                self.findings.doubled.append(f"{device}: the rollup has {have}, should be {want}")
            elif any(one < other - 0.01 for one, other in pairs):
                self.findings.lost.append(f"{device}: the rollup has {have}, should be {want}")
        self.findings.lost += [f"{device}: no rollup" for device in expected]

    def _statuses(self) -> None:
        have = dict(self._mine(_STATUSES))
        for device, status in self._ledger.statuses.items():
            if have.get(device) != status:
                self.findings.lost.append(f"{device}: the connector is {have.get(device)}, should be {status}")

    def _told(self, found: Mapping[int, Session]) -> None:
        """Every session's start and stop came to the browser, once, start before stop, sessions in their order."""
        told: dict[str, list[tuple[int, int]]] = defaultdict(list)
        counts: Counter[tuple[int, str]] = Counter()
        for one in self._notifications:
            if one["type"] in _TOLD and one["data"].get("sessionId") in found:
                session_id = one["data"]["sessionId"]
                counts[session_id, one["type"]] += 1
                told[one["deviceId"]].append((found[session_id].start_wh, _TOLD.index(one["type"])))
        expected = {(key, kind): 1 for key in found for kind in _TOLD}
        if self._expected.browser_reset:
            # It was told to load everything anew: what it has not seen it finds there.
            expected = dict.fromkeys(counts, 1)
        self._compare("notification", expected, counts)
        for device, events in told.items():
            for earlier, later in itertools.pairwise(events):
                if later < earlier:
                    self.findings.disordered.append(f"{device}: the browser was told {later} after {earlier}")

    def _believed(self) -> None:
        """What a browser takes a charger for in the end is what it is: the last word it was told was the last."""
        if self._expected.browser_reset:
            return
        last = {(one["deviceId"], _WORDS[one["type"]]): one for one in self._notifications if one["type"] in _WORDS}
        for device, connected in self._mine(_CONNECTED):
            told = last.get((device, "connection"))
            if told is not None and (told["type"] == "charger.connected") != bool(connected):
                self.findings.disordered.append(f"{device}: the browser was told {told['type']} last")
        for device, status in self._mine(_STATUSES):
            told = last.get((device, "status"))
            if told is not None and told["data"].get("connectorId") == 1 and told["data"].get("status") != status:
                self.findings.disordered.append(f"{device}: the browser was told {told['data']} last, it is {status}")

    def _compare(self, what: str, expected: Mapping[Any, Any], have: Counter[Any]) -> None:
        wanted = expected if isinstance(expected, Counter) else Counter(dict.fromkeys(expected, 1))
        for key in sorted(wanted.keys() | have.keys(), key=str):
            if have[key] < wanted[key]:
                self.findings.lost.append(f"{what} {key}: {have[key]} instead of {wanted[key]}")
            elif have[key] > wanted[key]:
                self.findings.doubled.append(f"{what} {key}: {have[key]} instead of {wanted[key]}")
