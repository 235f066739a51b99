"""What a case found: runs, and rows of the issue's table with their goals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from benchmarks.measure import Usage

MIB = 2**20

Unit = Literal["ratio", "s", "MiB", "%", "/s", ""]


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Runs of one subject within a case, in the order of the rounds.

    Attributes:
        name: What ran.
        wall_s: Wall seconds of each.
        cpu_s: CPU seconds of each.
        peak_bytes: Peak resident set of each; 0 where it was not watched.
    """

    name: str
    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...]
    peak_bytes: tuple[int, ...]

    @property
    def best_s(self) -> float:
        return min(self.wall_s)

    @property
    def median_s(self) -> float:
        return median(self.wall_s)

    @property
    def median_cpu_s(self) -> float:
        return median(self.cpu_s)

    @property
    def peak_mib(self) -> float:
        """The largest of all runs: memory has to suffice every time."""
        return max(self.peak_bytes) / MIB

    @classmethod
    def of(cls, name: str, usages: Sequence[Usage]) -> Runs:
        return cls(
            name=name,
            wall_s=tuple(usage.wall_s for usage in usages),
            cpu_s=tuple(usage.cpu_s for usage in usages),
            peak_bytes=tuple(usage.peak_bytes for usage in usages),
        )


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table of results.

    Attributes:
        what: What is compared.
        ours: Our figure, as text.
        other: What it is held against, as text.
        best: From the best run of each: this decides, since noise only ever adds time.
        median: From the median runs.
        limit: The goal: `best` may not exceed it. None for a figure without a goal.
        unit: Of `best`, `median` and `limit`.
    """

    what: str
    ours: str
    best: float
    unit: Unit = "ratio"
    other: str = ""
    median: float | None = None
    limit: float | None = None

    @property
    def met(self) -> bool | None:
        return None if self.limit is None else self.best <= self.limit


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a case found.

    Attributes:
        case: As in `--cases`.
        title: For people.
        orders: The orders of `--orders`.
        measured_at: When it ended, ISO 8601, UTC.
        commit: The commit of the work tree, with `+` where it had changes.
        load: Load average (1 minute) before it began: on a busy machine walls tell little.
        rows: Lines of the table.
        runs: Every subject's runs.
        proof: How it was seen that the same job was done.
        failed: Why there are no results; empty where there are.
    """

    case: str
    title: str
    orders: int
    measured_at: str
    commit: str
    load: float
    rows: list[Row] = field(default_factory=list)
    runs: list[Runs] = field(default_factory=list)
    proof: str = ""
    failed: str = ""


def wall(what: str, ours: Runs, other: Runs, limit: float | None) -> Row:
    """Our wall time as a ratio of another's."""
    return Row(
        what=what,
        ours=f"{ours.best_s:.2f} s",
        other=f"{other.best_s:.2f} s",
        best=ours.best_s / other.best_s,
        median=ours.median_s / other.median_s,
        limit=limit,
    )


def memory(what: str, ours: Runs, limit_mib: float | None) -> Row:
    """Our peak memory, of the worst run."""
    return Row(
        what=what, ours=f"{ours.peak_mib:.0f} MiB", best=ours.peak_mib, unit="MiB", limit=limit_mib
    )


def seconds(what: str, ours: Runs, limit_s: float | None) -> Row:
    """Our wall time by itself."""
    return Row(
        what=what,
        ours=f"{ours.best_s:.2f} s",
        best=ours.best_s,
        median=ours.median_s,
        unit="s",
        limit=limit_s,
    )


def save(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Keep outcomes for the next report."""
    path.write_text(json.dumps([asdict(one) for one in outcomes], indent=1) + "\n")


def load(path: Path) -> list[Outcome]:
    """Outcomes kept by `save`; none where there is no file."""
    if not path.exists():
        return []
    return [_outcome(one) for one in json.loads(path.read_text())]


def _outcome(fields: dict[str, Any]) -> Outcome:
    rows = [Row(**row) for row in fields.pop("rows")]
    runs = [
        Runs(
            name=one["name"],
            wall_s=tuple(one["wall_s"]),
            cpu_s=tuple(one["cpu_s"]),
            peak_bytes=tuple(one["peak_bytes"]),
        )
        for one in fields.pop("runs")
    ]
    return Outcome(rows=rows, runs=runs, **fields)
