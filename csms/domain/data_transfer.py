"""Vendors' own messages (1.6 section 4.3, 2.x P02). csms knows no vendor's yet, and says so."""

from __future__ import annotations

from csms.domain.handling import Call, Handled


def data_transfer(call: Call) -> Handled:
    """The message is in the log; its vendor is unknown to us."""
    return call.done({"status": "UnknownVendorId"})
