"""Several commands measured in turn, so that whatever drifts on the machine hits all of them."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import Usage, measure
from benchmarks.peers import Peer
from benchmarks.results import Runs


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every case works with.

    Attributes:
        scratch: Folder for data, results of runs and logs.
        orders: Orders of the main sample; the issue's goals are stated for 4 million.
        repeats: Runs of each subject.
        peers: Engines to compare with.
    """

    scratch: Path
    orders: int
    repeats: int
    peers: tuple[Peer, ...]

    def folder(self, case: str) -> Path:
        """Return a case's own folder for results of runs."""
        return self.scratch / "work" / case


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Something to be measured.

    Attributes:
        name: What it is called in results.
        command: Given a folder that does not exist yet, does whatever needs no measuring and
            returns the command to measure.
        check: Raises where a run did not do its job; it gets the usage and the folder.
        environment: Variables for the command.
        sample: See `measure`.
    """

    name: str
    command: Callable[[Path], list[str]]
    check: Callable[[Usage, Path], None] = lambda _usage, _out: None
    environment: dict[str, str] = field(default_factory=dict)
    sample: bool = True


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All runs of one subject; `out` is the folder of the last one."""

    runs: Runs
    usages: tuple[Usage, ...]
    out: Path


def measure_rounds(
    bench: Bench, case: str, subjects: Sequence[Subject], *, repeats: int | None = None
) -> dict[str, Measured]:
    """Run every subject `repeats` times, interleaved; each round begins with another one.

    Raises:
        CommandFailed: As `measure`.
        WrongResult: From a subject's check.
    """
    usages: dict[str, list[Usage]] = {subject.name: [] for subject in subjects}
    # Only letters and digits: Spark takes the brackets of "local[2]" for a pattern.
    slugs = {one.name: re.sub(r"\W+", "_", one.name) for one in subjects}
    outs = {name: bench.folder(case) / slug for name, slug in slugs.items()}
    for number in range(repeats or bench.repeats):
        turn = number % len(subjects)
        for subject in (*subjects[turn:], *subjects[:turn]):
            out = outs[subject.name]
            shutil.rmtree(out, ignore_errors=True)
            out.parent.mkdir(parents=True, exist_ok=True)
            command = subject.command(out)
            # What runs before have written shall not be written back while this one is timed.
            os.sync()
            usage = measure(
                command,
                log=bench.scratch / "logs" / case / f"{out.name}.log",
                environment=subject.environment,
                sample=subject.sample,
            )
            subject.check(usage, out)
            usages[subject.name].append(usage)
            print(
                f"  {subject.name}: {usage.wall_s:.2f} s wall, {usage.cpu_s:.2f} s CPU, "
                f"{usage.peak_bytes / 2**20:.0f} MiB",
                file=sys.stderr,
                flush=True,
            )
    return {
        name: Measured(runs=Runs.of(name, found), usages=tuple(found), out=outs[name])
        for name, found in usages.items()
    }
