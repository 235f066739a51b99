"""What all tests of recovery share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from worker.transform import joining


@pytest.fixture(autouse=True)
def _leases_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take over at once from a transform that was killed: here it is of the same process."""
    monkeypatch.setattr(joining, "TIMINGS", replace(joining.TIMINGS, lease_s=0.0))
