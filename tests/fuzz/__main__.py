"""``python -m tests.fuzz TARGET SECONDS``: look for inputs that break a target, for so long at most.

What is found new and useful stays in var/fuzz/TARGET; what breaks something is written to var/fuzz/crashes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

CORPUS = Path(__file__).parent / "corpus"
KEPT = Path("var/fuzz")
MAX_BYTES = 4096
MAX_MEMORY_MB = 2048

with atheris.instrument_imports(include=["csms", "autobahn", "twisted.web"]):
    from tests.fuzz.targets import TARGETS


def main(name: str, seconds: str) -> None:
    """Never returns: libFuzzer ends the process."""
    kept, crashes = KEPT / name, KEPT / "crashes"
    for directory in (kept, crashes):
        directory.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={int(seconds)}",
        f"-max_len={MAX_BYTES}",
        f"-rss_limit_mb={MAX_MEMORY_MB}",
        f"-artifact_prefix={crashes}/{name}-",
        "-timeout=20",
        "-verbosity=0",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(kept), str(CORPUS / name)], TARGETS[name])
    atheris.Fuzz()


main(*sys.argv[1:])
