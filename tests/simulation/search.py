"""Search a batch of histories for one that breaks a promise; Hypothesis makes it small."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import Phase, given, seed, settings

from tests.simulation.backend import Backend
from tests.simulation.generation import histories as any_history
from tests.simulation.generation import make_history
from tests.simulation.history import History
from tests.simulation.invariants import Violation
from tests.simulation.torn import befallen_between
from tests.simulation.world import run_history

FIND = (Phase.generate,)
FIND_AND_SHRINK = (Phase.generate, Phase.shrink)

SEEDED_HISTORIES = 5
"""Histories of each batch that are drawn plainly. Most of Hypothesis's are close to one another:
these notice most mutants within a dozen, and take twice the time."""


def search(
    batch: int,
    backend: Backend,
    *,
    histories: int,
    phases: Iterable[Phase] = FIND_AND_SHRINK,
) -> None:
    """Run the histories of a batch: a few that are drawn plainly, then those of Hypothesis.

    Args:
        batch: Seed of the histories.
        backend: Stores of each world.
        histories: Histories of the batch.
        phases: Whether a failing history of Hypothesis is made small.

    Raises:
        Violation: A history breaks a promise. The message has its steps and its turns.
    """

    @seed(batch)
    @settings(max_examples=histories - SEEDED_HISTORIES, phases=tuple(phases))
    @given(any_history())
    def run(history: History) -> None:
        check(batch, history, backend)

    run_seeded(batch, backend)
    run()


def run_seeded(batch: int, backend: Backend) -> None:
    """Run the histories of a batch that are drawn plainly.

    Raises:
        Violation: As `search`.
    """
    first = batch * SEEDED_HISTORIES
    for number in range(first, first + SEEDED_HISTORIES):
        check(batch, make_history(number), backend)


def check(batch: int, history: History, backend: Backend) -> None:
    """Run one history of a batch.

    Raises:
        Violation: As `search`.
    """
    history = befallen_between(history) if backend.torn else history
    outcome = run_history(history, backend)
    if outcome.violation is not None:
        raise Violation(report(batch, history, outcome.violation, outcome.trace))


def report(batch: int, history: History, violation: str, trace: Iterable[str]) -> str:
    """Say what broke, after which steps and turns, and how to repeat it."""
    steps = "\n".join(f"  {step}" for step in history.steps)
    turns = "\n".join(f"  {turn}" for turn in trace)
    return (
        f"{violation}\n"
        f"repeat: SHOPKPI_SEED={batch} pytest tests/simulation/test_histories.py\n"
        f"steps:\n{steps}\n  schedule={history.schedule}, calm={history.calm}\nturns:\n{turns}"
    )
