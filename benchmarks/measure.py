"""Runs a command as a child process: wall time, CPU time and peak memory of its process tree."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_EVERY_S = 0.02

ROOT = Path(__file__).resolve().parents[1]


class CommandFailed(Exception):
    """A measured command exited with another code than 0; the message ends with what it said."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one run of a command took.

    Attributes:
        wall_s: From before the fork until the child was reaped.
        cpu_s: User and system seconds of the child and all of its descendants.
        peak_bytes: Largest resident set of the process tree. Pages that processes share count once
            for each, mapped files count as far as they are resident.
        started_s: `time.perf_counter` before the fork.
        output: Standard output.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    started_s: float = 0.0
    output: str = ""


def measure(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    sample: bool = True,
) -> Usage:
    """Run a command to its end, in the repository's folder.

    Args:
        command: Program and arguments.
        log: Gets standard error; standard output goes beside it, with the suffix `.out`.
        environment: Variables set for it beside `child_environment`.
        sample: Watch the tree of processes. Without it `peak_bytes` is 0, and descendants that
            nobody waited for are not counted: for commands of milliseconds, which watching slows.

    Raises:
        CommandFailed: Its exit code is not 0.
    """
    output = log.with_suffix(".out")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as errors, output.open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=child_environment() | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
        )
        watch = _Watch(process.pid) if sample else None
        try:
            # `wait4` and not `Popen.wait`: only it tells what this child used.
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        finally:
            wall_s = time.perf_counter() - started
            seen = watch.stop() if watch else _Seen()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = log.read_text("utf-8", "replace")[-2000:]
        raise CommandFailed(f"{' '.join(command)}: exit code {process.returncode}\n{said}")
    return Usage(
        wall_s=wall_s,
        # A JVM whose parent exits first is in nobody's rusage, but the samples saw it.
        cpu_s=max(used.ru_utime + used.ru_stime, seen.cpu_s),
        # Not `ru_maxrss`: before exec the child was this process, so it begins with our own peak.
        peak_bytes=seen.peak_bytes,
        started_s=started,
        output=output.read_text("utf-8", "replace"),
    )


def child_environment() -> dict[str, str]:
    """Copy this process's environment, without what would change where a child works."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "SHOPKPI_"))
    }
    return kept | {"PYTHONPATH": str(ROOT)}


@dataclass(kw_only=True)
class _Seen:
    peak_bytes: int = 0
    cpu_s: float = 0.0


class _Watch:
    """Samples a process and its descendants in a thread until stopped."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._done = threading.Event()
        self._peak_bytes = 0
        self._cpu_s: dict[int, float] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watch")
        self._watching = self._thread.submit(self._run)

    def stop(self) -> _Seen:
        self._done.set()
        self._thread.shutdown()
        self._watching.result()  # raises what the thread raised: half a watch is none
        return _Seen(peak_bytes=self._peak_bytes, cpu_s=sum(self._cpu_s.values()))

    def _run(self) -> None:
        while not self._done.wait(SAMPLE_EVERY_S):
            try:
                processes = [self._root, *self._root.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            resident = 0
            for process in processes:
                try:
                    with process.oneshot():
                        resident += process.memory_info().rss
                        times = process.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                self._cpu_s[process.pid] = times.user + times.system
                self._peak_bytes = max(self._peak_bytes, _high_water_bytes(process.pid))
            self._peak_bytes = max(self._peak_bytes, resident)


def _high_water_bytes(pid: int) -> int:
    """Return the largest resident set of a process, between samples too; 0 except on Linux."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
    except OSError:
        return 0
    _, found, rest = status.partition("VmHWM:")
    return int(rest.split(maxsplit=1)[0]) * 1024 if found else 0


def warm(paths: Sequence[Path]) -> None:
    """Read files once, so that every run finds them in the page cache."""
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass
