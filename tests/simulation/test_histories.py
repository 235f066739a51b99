"""Thousands of histories of workers that interleave, die, sleep and repeat each other.

    SHOPKPI_SEED=7 pytest tests/simulation             that one, with its turns if it fails
    SHOPKPI_HISTORIES=100000 pytest tests/simulation   more of them (`make soak`)

Both: so many from that seed on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.history import History, make_history
from tests.simulation.shrink import shrink
from tests.simulation.torn import TORN, befallen_between
from tests.simulation.world import Backend, Outcome, run_history

SEED = os.environ.get("SHOPKPI_SEED")
FIRST = int(SEED or 0)
HISTORIES = int(os.environ.get("SHOPKPI_HISTORIES", "1" if SEED else "2000"))
SHARDS = 8
"""Tests that share the histories, so that several processes may run them."""

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_history_ends_with_the_kpis_of_its_ledger(shard: int) -> None:
    for seed in range(FIRST + shard, FIRST + HISTORIES, SHARDS):
        hold(seed, make_history(seed), Backend())


@pytest.mark.parametrize("shard", range(SHARDS))
def test_so_does_every_history_of_days_that_take_several_transactions(shard: int) -> None:
    for seed in range(FIRST + shard, FIRST + -(-HISTORIES // 5), SHARDS):
        hold(seed, befallen_between(make_history(seed)), TORN)


def hold(seed: int, history: History, backend: Backend) -> None:
    outcome = run_history(history, backend)
    if outcome.violation is not None:
        pytest.fail(report(seed, history, backend, outcome), pytrace=False)


def report(seed: int, history: History, backend: Backend, outcome: Outcome) -> str:
    """What broke, how to see it again, and the smallest history that breaks."""
    smallest = shrink(history, lambda one: run_history(one, backend).violation is not None)
    found = run_history(smallest, backend)
    steps = "\n".join(f"  {step}" for step in smallest.steps)
    turns = "\n".join(f"  {turn}" for turn in found.trace)
    return (
        f"{outcome.violation}\n"
        f"replay: SHOPKPI_SEED={seed} pytest {Path(__file__).relative_to(ROOT)}\n"
        f"smallest history: {found.violation}\n{steps}\n"
        f"  schedule={smallest.schedule}, calm={smallest.calm}\nits turns:\n{turns}"
    )


def test_a_seed_is_one_history() -> None:
    for seed in range(5):
        first, second = run_history(make_history(seed)), run_history(make_history(seed))
        assert first == second
        assert len(first.trace) > 20


def test_a_seed_is_the_same_history_in_another_process() -> None:
    script = (
        "from tests.simulation.history import make_history\n"
        "from tests.simulation.world import run_history\n"
        "import sys\n"
        "for seed in range(5):\n"
        "    sys.stdout.write('\\n'.join(run_history(make_history(seed)).trace) + '\\n')\n"
    )
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        wanted = [turn for seed in range(5) for turn in run_history(make_history(seed)).trace]
        assert done.stdout.splitlines() == wanted


def test_histories_hold_what_they_are_to_try() -> None:
    """A simulation in which nothing goes wrong would prove nothing."""
    wanted = {
        *("validate done", "validate dead", "validate failed", "transform done"),
        *("transform dead", "audit done", "overwritten", "crash at publish", "nap at publish"),
        *("nap at commit", "crash at commit", "nap at advance", "crash at create", "cleared up"),
    }
    seen: Counter[str] = Counter()
    # The rarest is in one of some hundred; this is near one.
    for seed in range(350, 2000):
        outcome = run_history(make_history(seed))
        for ended in outcome.ended:
            name, how = ended.split(" ", 1)
            seen[f"{name.split('-')[1]} {how.split(':')[0]}"] += 1
            seen["overwritten"] += "no longer the version" in how
        for turn in outcome.trace:
            words = turn.split()
            if words[-1] in {"crash", "nap", "error"}:
                seen[f"{words[-1]} at {words[1]}"] += 1
            seen["created"] += words[1] == "create"
            seen["cleared up"] += words[1] == "delete"
        if wanted <= {what for what, times in seen.items() if times}:
            return
    missing = {what for what in wanted if not seen[what]}
    pytest.fail(f"no history has: {missing}; they have {seen}")
