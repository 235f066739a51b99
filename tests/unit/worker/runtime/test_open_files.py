"""A limit of open files that is too low is raised, or refused in words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT, shopkpi

PRINTED = (
    "import resource\n"
    "from worker.runtime.open_files import ensure_open_files\n"
    "ensure_open_files()\n"
    "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
)


def limited(limits: str, *words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A Python process that a shell starts with limits of open files."""
    shell = ["sh", "-c", f'{limits}; exec "$@"', "sh", sys.executable, *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        shell, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("ulimit -Sn 100; ulimit -Hn 4096", "1024 4096"),
        ("ulimit -Sn 2000; ulimit -Hn 4096", "2000 4096"),
        ("ulimit -Sn 100; ulimit -Hn 200", "200 200"),
        ("ulimit -Sn 20; ulimit -Hn 64", "64 64"),
    ],
)
def test_low_limit_is_raised_as_far_as_allowed(limits: str, expected: str) -> None:
    done = limited(limits, "-c", PRINTED)
    assert done.stdout.strip() == expected, done.stderr


@pytest.mark.parametrize("limit", [10, 20, 63])
def test_command_with_too_few_files_says_what_to_do(tmp_path: Path, limit: int) -> None:
    assert shopkpi(tmp_path, "sample", "shop", "--orders", "20").code == 0
    run = ("-m", "worker", "run", "shop", "--format", "table")
    done = limited(f"ulimit -n {limit}", *run, cwd=tmp_path)
    assert done.returncode == 2
    message = f"expected a limit of at least 64 open files, got {limit}; raise it: ulimit -n 1024"
    assert done.stderr == f"shopkpi: {message}\n"


@pytest.mark.slow
def test_command_runs_with_the_fewest_files(tmp_path: Path) -> None:
    words = ("sample", "shop", "--orders", "2000", "--files", "6")
    assert shopkpi(tmp_path, *words).code == 0
    done = limited("ulimit -n 64", "-m", "worker", "run", "shop", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
