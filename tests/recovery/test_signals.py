"""Runs that are stopped or killed at random moments, and run again.

Fargate Spot sends SIGTERM two minutes before it takes a task away, an orchestrator ten seconds or
thirty; after that comes SIGKILL.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from worker.sample import SampleSpec, write_sample

ROOT = Path(__file__).parents[2]
STOPS = 5


def start(home: Path, workspace: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "worker", "run", "shop", "--workspace", workspace]
    return subprocess.Popen(
        [*command, "--format", "json"],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def tables(home: Path, workspace: str) -> list[str]:
    command = [sys.executable, "-m", "worker", "query", "--workspace", workspace]
    printed = [
        subprocess.run(
            [*command, "--format", "csv", table],
            cwd=home,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for table in ("orders", "category")
    ]
    # But for the second in which a day was published.
    return [re.sub(r"\d{4}-\d\d-\d\dT[\d:]+\+00:00", "", text) for text in printed]


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_stopped_at_any_moment_is_run_again(tmp_path: Path, which: signal.Signals) -> None:
    write_sample(tmp_path / "shop", SampleSpec(orders=20_000, days=20, files=2))
    alone = start(tmp_path, "alone")
    assert alone.stdout is not None
    alone.stdout.readline()
    started_s = time.monotonic()
    alone.communicate(timeout=120)
    assert alone.returncode == 0
    work_s = time.monotonic() - started_s

    chance = random.Random(f"{which.name}")
    stopped = 0
    for _ in range(STOPS):
        run = start(tmp_path, "again")
        assert run.stdout is not None
        run.stdout.readline()  # it has begun to work
        time.sleep(chance.uniform(0, work_s))
        run.send_signal(which)
        sent_s = time.monotonic()
        _, err = run.communicate(timeout=30)
        assert time.monotonic() - sent_s < 10
        if run.returncode == 0:
            continue  # it was done
        stopped += 1
        # Of a signal that comes when its work is done, and it is about to exit, it may die.
        if which is signal.SIGTERM and run.returncode != -signal.SIGTERM:
            assert run.returncode == 1
            (line,) = err.decode().splitlines()
            assert "stopped by SIGTERM; what was committed stays, the rest can be run" in line
    assert stopped
    last = start(tmp_path, "again")
    last.communicate(timeout=120)
    assert last.returncode == 0
    found = tables(tmp_path, "again")
    assert found == tables(tmp_path, "alone")
    assert min(table.count("\n") for table in found) > 20
