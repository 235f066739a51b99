"""Fuzzing: any bytes as files, contracts and settings, any text as names and values."""

from __future__ import annotations

import os

from hypothesis import settings

EXPLORE_TIMES = 10
"""Examples of a test under `HYPOTHESIS_PROFILE=explore` for each one in CI."""


def examples(count: int) -> settings:
    """How many examples a test takes; an exploration takes many more, and new ones each time."""
    explores = os.environ.get("HYPOTHESIS_PROFILE", "ci") != "ci"
    return settings(max_examples=count * EXPLORE_TIMES if explores else count)
