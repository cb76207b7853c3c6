"""How long what grows is kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Days of each kind; 0: for ever. Sessions, their summaries and hourly use are always kept."""

    meter_values_days: int = 0
    message_log_days: int = 0
    records_days: int = 0
    """Commands, events of transactions, what came of reservations, jobs and certificate requests, unknown tokens,
    deviations."""
    audit_days: int = 0
    security_events_days: int = 0
