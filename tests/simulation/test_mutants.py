"""The simulation finds stores that break a rule of the protocol: it is able to fail."""

from __future__ import annotations

import pytest
from hypothesis import find

from tests.simulation.generation import histories
from tests.simulation.history import Transform
from tests.simulation.invariants import Violation
from tests.simulation.mutants import HARMLESS, MUTANTS
from tests.simulation.search import FIND, search

BATCHES = 20
BATCH_HISTORIES = 100
"""What `test_histories` runs in CI."""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_found(name: str) -> None:
    for batch in range(BATCHES):
        try:
            search(batch, MUTANTS[name], histories=BATCH_HISTORIES, phases=FIND)
        except Violation:
            return
    pytest.fail(f"no history of {BATCHES * BATCH_HISTORIES} notices {name}")


def test_hypothesis_makes_a_history_small() -> None:
    smallest = find(
        histories(), lambda history: sum(isinstance(one, Transform) for one in history.steps) > 1
    )
    assert len(smallest.steps) <= 8  # those that open the shop, and a transform


def test_a_violation_says_its_steps_and_how_to_repeat_it() -> None:
    with pytest.raises(Violation, match=r"(?s)repeat: SHOPKPI_SEED=0 .*steps:.*Put.*turns:"):
        search(0, MUTANTS["NoLedgerCheck"], histories=BATCH_HISTORIES, phases=FIND)


def test_what_breaks_no_rule_is_not_found() -> None:
    search(0, HARMLESS, histories=BATCH_HISTORIES, phases=FIND)
