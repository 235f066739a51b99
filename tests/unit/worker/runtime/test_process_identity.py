"""Whether another process of this machine still runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from worker.runtime.process_identity import PROC, identify_process, is_gone


def test_a_process_knows_whether_another_one_runs(tmp_path: Path) -> None:
    mine = identify_process()
    assert not is_gone(mine)
    machine, pid, started = mine.split("/")
    assert int(pid) == os.getpid()
    assert is_gone(f"{machine}/{pid}/{int(started) - 1}")  # its number came again
    assert is_gone(f"{machine}/{2**22 + 1}/{started}")
    assert not is_gone(f"other/{pid}/1")
    assert not is_gone("")
    assert not is_gone(identify_process(tmp_path), tmp_path)  # no /proc: nothing is known


def test_a_process_that_ended_is_gone_before_its_parent_waits() -> None:
    """Else a lease of a worker that was killed would be waited for until it expires."""
    machine = identify_process().split("/")[0]
    with subprocess.Popen(["sleep", "60"]) as child:
        stat = (PROC / str(child.pid) / "stat").read_text()
        identity = f"{machine}/{child.pid}/{stat.rpartition(')')[2].split()[19]}"
        assert not is_gone(identity)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert (PROC / str(child.pid)).exists()
        assert is_gone(identity)
