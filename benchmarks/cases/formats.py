"""Cases over one file of order lines by contracts of language 2: its formats, and what it feeds."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks import ours
from benchmarks.cases.engines import MEMORY_MIB, Found
from benchmarks.lines import FORMS, contract_file, lines_file
from benchmarks.measure import warm
from benchmarks.results import memory, wall
from benchmarks.rounds import Bench, Measured, Subject, measure_rounds

SHARE = 20
"""The file has a twentieth of the orders of the main sample."""

GOALS = {"cp1252": 2.0, "UTF-16": 2.0, "decimal comma": 2.0, "JSON Lines": 2.0, "Parquet": 1.0}
"""Form -> most time per row, as a multiple of plain CSV's."""

PEERS = ("duckdb", "polars")
PEERS_READ = ("CSV", "JSON Lines", "Parquet")


def formats(bench: Bench) -> Found:
    """Validate the same rows in each format, beside engines that read the same files."""
    orders = bench.orders // SHARE
    files = {form.name: lines_file(bench.scratch, form, orders) for form in FORMS}
    contracts = {form.name: contract_file(bench.scratch, form) for form in FORMS}
    warm(list(files.values()))
    subjects = [_validate(name, files[name], contracts[name]) for name in files]
    engines = {peer.title: peer.name for peer in bench.peers if peer.name in PEERS}
    for title, engine in engines.items():
        subjects += [_of_peer(f"{title}, {name}", engine, files[name]) for name in PEERS_READ]
    found = measure_rounds(bench, "formats", subjects)
    base = found["CSV"].runs
    rows = [
        wall(f"wall of {name}, of plain CSV's", found[name].runs, base, goal)
        for name, goal in GOALS.items()
    ]
    rows += [
        wall(
            f"wall of {name}, of {title}'s", found[name].runs, found[f"{title}, {name}"].runs, None
        )
        for title in engines
        for name in PEERS_READ
    ]
    rows += [
        memory(f"peak memory, {form.name}", found[form.name].runs, MEMORY_MIB) for form in FORMS
    ]
    _check_same(found)
    return rows, [one.runs for one in found.values()], "every format gave the same clean rows"


def one_file(bench: Bench) -> Found:
    """Validate a file that feeds two datasets, and one that feeds one of them."""
    orders = bench.orders // SHARE
    form = FORMS[0]
    file = lines_file(bench.scratch, form, orders)
    warm([file])
    subjects = [
        _validate("orders and lines", file, contract_file(bench.scratch, form)),
        _validate("orders alone", file, contract_file(bench.scratch, form, feeds_items=False)),
    ]
    engines = {peer.title: peer.name for peer in bench.peers if peer.name in PEERS}
    subjects += [_of_peer(title, engine, file) for title, engine in engines.items()]
    found = measure_rounds(bench, "one-file", subjects)
    both = found["orders and lines"].runs
    rows = [
        wall("wall of two datasets, of one", both, found["orders alone"].runs, 2.0),
        *(wall(f"wall, of {title}'s", both, found[title].runs, None) for title in engines),
        memory("peak memory", both, MEMORY_MIB),
    ]
    lines = ours.events(found["orders and lines"].usages[-1], "source.committed")
    fed = sorted(lines[0]["feeds"])
    return rows, [one.runs for one in found.values()], f"one receipt, which feeds {', '.join(fed)}"


def _validate(name: str, file: Path, contract: Path) -> Subject:
    return Subject(
        name=name,
        command=lambda out: ours.command("validate", file, workspace=out, contract=str(contract)),
    )


def _of_peer(name: str, engine: str, file: Path) -> Subject:
    return Subject(
        name=name,
        command=lambda out: [
            sys.executable,
            "-m",
            "benchmarks.peers.lines",
            engine,
            str(file),
            str(out),
        ],
    )


def _check_same(found: dict[str, Measured]) -> None:
    """Compare the clean rows of the formats with those of CSV.

    Raises:
        WrongResult: They differ.
    """
    for dataset in ("orders", "order_items"):
        wanted = pq.read_table(found["CSV"].out / "clean" / dataset)
        for form in FORMS[1:]:
            if not pq.read_table(found[form.name].out / "clean" / dataset).equals(wanted):
                raise ours.WrongResult(f"{form.name}: other rows of {dataset} than CSV")
