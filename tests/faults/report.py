"""The results of the full run, which the documentation draws its table from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPORT = Path(__file__).parents[2] / "docs" / "reliability.json"


def write(result: Mapping[str, Any]) -> None:
    """Put a result in the place of the last one of the same fault."""
    results = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    results[result["name"]] = dict(result)
    REPORT.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
