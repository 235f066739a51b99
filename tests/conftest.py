"""Fixtures and Hypothesis profiles for all tests.

Examples are the same on every run; `HYPOTHESIS_PROFILE=explore` looks for new ones.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.recovery.summary import pytest_terminal_summary
from tests.support.commands import Shopkpi
from tests.support.commands import shopkpi as run

__all__ = ["pytest_terminal_summary"]

# Examples are made of whole files, and two cores may be busy: time says nothing about a test.
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile(
    "explore", deadline=None, max_examples=2000, print_blob=True, suppress_health_check=SLOW
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def shopkpi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shopkpi:
    """The command line in an empty folder, without starting an interpreter each time."""
    monkeypatch.chdir(tmp_path)
    return partial(run, tmp_path)
