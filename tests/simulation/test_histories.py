"""Histories of workers that interleave, crash, sleep and repeat each other.

Hypothesis writes the histories of a batch from its seed, and makes a failing one small.

    SHOPKPI_SEED=7 pytest tests/simulation             batch 7 alone
    SHOPKPI_HISTORIES=100000 pytest tests/simulation   more batches (`make soak`)
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from tests.simulation.backend import Backend
from tests.simulation.generation import make_history
from tests.simulation.search import search
from tests.simulation.torn import TORN
from tests.simulation.world import run_history

BATCH_HISTORIES = settings().max_examples
"""Histories of one seed: 100 in CI."""

HISTORIES = int(os.environ.get("SHOPKPI_HISTORIES", 20 * BATCH_HISTORIES))
"""Histories in all; of every fifth batch, days take several transactions."""

SEED = os.environ.get("SHOPKPI_SEED")
BATCHES = range(HISTORIES // BATCH_HISTORIES) if SEED is None else [int(SEED)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("batch", BATCHES)
def test_every_history_ends_with_the_kpis_of_its_ledger(batch: int) -> None:
    search(batch, TORN if batch % 5 == 4 else Backend(), histories=BATCH_HISTORIES)


def test_a_seed_is_one_history() -> None:
    for seed in range(5):
        first, second = run_history(make_history(seed)), run_history(make_history(seed))
        assert first == second
        assert len(first.trace) > 20


def test_a_seed_is_the_same_history_in_another_process() -> None:
    script = (
        "from tests.simulation.generation import make_history\n"
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


def test_histories_hold_every_kind_of_fault() -> None:
    """A simulation in which nothing fails would prove nothing."""
    wanted = {
        *("validate done", "validate dead", "validate failed", "transform done"),
        *("transform dead", "audit done", "overwritten", "crash at publish", "nap at publish"),
        *("nap at commit", "crash at commit", "nap at advance", "crash at create", "cleared up"),
        *("rebuild done", "rebuild dead"),
    }
    seen: Counter[str] = Counter()
    for seed in range(2000):
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
