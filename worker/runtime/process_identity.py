"""Name a process so that others of its machine can tell whether it still runs."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")
"""Linux's file system of processes; where it is missing, nothing is known of any process."""

_START_TIME = 22 - 3
"""Field of /proc/PID/stat with the start time, after those with the number and the name (proc(5));
the number of a process comes again."""

_ENDED = frozenset("ZXx")
"""States of a process that runs no more: a zombie has ended, and waits for its parent (proc(5))."""


def identify_process(proc: Path = PROC) -> str:
    """Name this process: `<machine and pid namespace>/<pid>/<start time>`."""
    pid = os.getpid()
    return f"{_machine(proc)}/{pid}/{_started(pid, proc)}"


def is_gone(identity: str, proc: Path = PROC) -> bool:
    """Return whether a process surely runs no more; False for one of another machine."""
    machine, _, process = identity.partition("/")
    pid, _, started = process.partition("/")
    if not machine or machine != _machine(proc) or not pid.isdecimal():
        return False
    return _started(int(pid), proc) != started


def _machine(proc: Path) -> str:
    """Name this start of the machine and this namespace of pids; empty where unknown."""
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}.{(proc / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(pid: int, proc: Path) -> str:
    """Return when a process was started, in ticks since the machine was; empty where it ended."""
    try:
        text = (proc / str(pid) / "stat").read_text()
    except OSError:
        return ""
    # The name, in parentheses, may have blanks and parentheses.
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in _ENDED else fields[_START_TIME]
