"""How the cases run this project's own command, and what it said."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import kpis
from benchmarks.data import Sample
from benchmarks.kpis import Kpis
from benchmarks.measure import Usage


class WrongResult(Exception):
    """A run came to its end, but not to what the sample is known to give."""


def command(verb: str, *inputs: Path | str, workspace: Path | str, **options: str) -> list[str]:
    """Build a command line of `shopkpi` that reports JSON lines.

    Args:
        verb: `run`, `validate` or `transform`.
        inputs: Its arguments.
        workspace: Its `--workspace`.
        options: Its other options, without the dashes.
    """
    named = {"workspace": str(workspace), "format": "json", **options}
    parts = [part for name, value in named.items() for part in (f"--{name}", value)]
    return [sys.executable, "-m", "benchmarks.without_pandas", verb, *map(str, inputs), *parts]


def events(usage: Usage, name: str) -> list[dict[str, Any]]:
    """Return the lines of one kind that a run printed."""
    lines = map(json.loads, usage.output.splitlines())
    return [line for line in lines if line["event"] == name]


def published(usage: Usage) -> dict[str, Any]:
    """Return the one `kpis.published` line of a run.

    Raises:
        WrongResult: There is none, or more than one.
    """
    found = events(usage, "kpis.published")
    if len(found) != 1:
        raise WrongResult(f"expected one transform, got {len(found)}")
    return found[0]


def found_kpis(workspace: Path) -> Kpis:
    """Read the KPIs in the SQLite state of a workspace."""
    return kpis.of_sqlite(workspace / "shopkpi.db")


def check_rows(usage: Usage, given: Sample) -> None:
    """Hold the ledger entries of a run against what the sample is known to hold.

    Raises:
        WrongResult: A source object was refused, or rows were read, rejected or left waiting in
            another number than the sample says.
    """
    read: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for line in events(usage, "source.committed"):
        read[line["dataset"]] += line["rows_read"]
        rejected[line["dataset"]] += line["rows_rejected"]
    refused = events(usage, "source.refused")
    if refused:
        raise WrongResult(f"{refused[0]['url']} was refused: {refused[0]['reason']}")
    if (+read, +rejected) != (+given.rows, +given.dirty):
        raise WrongResult(
            f"expected rows {dict(+given.rows)}, rejects {dict(+given.dirty)}; "
            f"got rows {dict(+read)}, rejects {dict(+rejected)}"
        )
