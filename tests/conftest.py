"""pytest is only the runner: it owns the run's servers, and nothing else."""

from __future__ import annotations

import os

import hypothesis
import pytest

from tests.examples import examples
from tests.servers import shared

# A busy machine is no bug: what is too slow shows in benchmarks, not in properties.
hypothesis.settings.register_profile("csms", deadline=None, max_examples=examples(100))
hypothesis.settings.load_profile("csms")


def pytest_configure(config: pytest.Config) -> None:
    """The controller owns the run; pytest-xdist's workers find its directory in their environment."""
    if not hasattr(config, "workerinput"):
        shared.own_run()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Workers are gone by now: stop the servers that any of them started."""
    if not hasattr(config, "workerinput"):
        shared.end_run(os.getpid())
