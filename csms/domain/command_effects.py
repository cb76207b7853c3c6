"""What commands change, by version and action: the seam between a command's life and the functional blocks.

A function here is synchronous, runs in the transaction that stores what happened, and raises for nothing that a charger
or a caller can send.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from csms.domain.commands import CommandCall

Effect = Callable[[CommandCall], None]

RESULTS: Mapping[tuple[str, str], Effect] = {}
"""By version ("1.6") and action: called once with the charger's CALLRESULT."""
REQUESTS: Mapping[tuple[str, str], Effect] = {}
"""Called once when the command is stored, where something must be noted then; ``response`` is empty."""
