"""The simulation finds stores that break a rule of the protocol: it is able to fail."""

from __future__ import annotations

import pytest

from tests.simulation.history import make_history
from tests.simulation.mutants import HARMLESS, MUTANTS
from tests.simulation.shrink import shrink
from tests.simulation.world import run_history

HISTORIES = 2000
"""What `test_histories` runs each time."""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_found(name: str) -> None:
    backend = MUTANTS[name]
    for seed in range(HISTORIES):
        if run_history(make_history(seed), backend).violation is not None:
            return
    pytest.fail(f"no history of {HISTORIES} notices {name}")


def test_a_counterexample_is_made_small_and_fails_each_time() -> None:
    backend = MUTANTS["DeletesNothing"]
    histories = (make_history(seed) for seed in range(HISTORIES))
    failing = next(one for one in histories if run_history(one, backend).violation is not None)
    smallest = shrink(failing, lambda one: run_history(one, backend).violation is not None)
    assert len(smallest.steps) <= 8
    assert run_history(smallest, backend) == run_history(smallest, backend)
    assert run_history(smallest, backend).violation is not None
    assert run_history(smallest).violation is None


def test_what_breaks_no_rule_is_not_found() -> None:
    for seed in range(100):
        assert run_history(make_history(seed), HARMLESS).violation is None
