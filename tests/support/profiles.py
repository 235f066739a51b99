"""Hypothesis profiles, and the one place that says how many examples a test tries."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = {"dev": 25, "ci": 100, "explore": 1000}
"""Profile -> examples of a test of factor 1: `make check`, `make test`, `make fuzz`."""

# One example may be a whole file, and the machine may be busy: its time proves nothing.
TOO_LARGE = [HealthCheck.too_slow, HealthCheck.data_too_large]


def load_profile() -> None:
    """Load the profile that `HYPOTHESIS_PROFILE` names; `ci` by default.

    `explore` draws new examples on each run. The other profiles repeat their examples.
    """
    for name, count in EXAMPLES.items():
        explores = name == "explore"
        settings.register_profile(
            name,
            max_examples=count,
            deadline=None,
            derandomize=not explores,
            print_blob=explores,
            suppress_health_check=TOO_LARGE,
        )
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def examples(factor: float) -> settings:
    """Scale the number of examples of the loaded profile for one test."""
    return settings(max_examples=max(1, round(settings().max_examples * factor)))
