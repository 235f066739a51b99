"""The product on some files and a contract of language 2, for comparison with the recount."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kpi.aggregation.tables import KPI_TABLES, KpiTable
from kpi.contract.loading import parse_contract
from tests.language.files import FIRST_SECOND, File
from tests.language.recounted import recount
from tests.support.shops import Pipeline
from worker.objects.location import locate
from worker.state import Entry
from worker.state.kpi_rows import stored_row
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits
from worker.validate.discovery import find_inputs
from worker.validate.stream import DEFAULT_BLOCK_SIZES, BlockSizes
from worker.validate.validate_source import validate


@dataclass(frozen=True)
class Outcome:
    """What the product published.

    Attributes:
        orders: Day -> row of order_kpis, without keys and `as_of`.
        categories: (day, category) -> row of category_kpis, likewise.
        entries: Ledger entries by name of file, the last upload of each.
        waiting: Rows that wait.
        rows: Table -> rows, as stored.
        notes: Of all transforms.
    """

    orders: dict[str, dict[str, Any]]
    categories: dict[tuple[str, str], dict[str, Any]]
    entries: dict[str, Entry]
    waiting: int
    rows: dict[str, list[dict[str, Any]]]
    notes: dict[str, int]


def write(folder: Path, file: File, encoding: str) -> None:
    path = folder / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.text.encode(encoding))
    time_ns = (FIRST_SECOND + file.second) * 10**9
    os.utime(path, ns=(time_ns, time_ns))


def run(
    home: Path,
    contract: str,
    files: Sequence[File],
    *,
    one_by_one: bool = False,
    block_sizes: BlockSizes = DEFAULT_BLOCK_SIZES,
    encoding: str = "utf-8",
    limits: TransformLimits = DEFAULT_LIMITS,
) -> Outcome:
    """Validate files, later versions of a name in turn, and publish.

    Args:
        home: Folder of the workspace, and of the files.
        contract: TOML.
        files: In any order; their seconds say which came first.
        one_by_one: Whether to transform after each file, and not once.
        block_sizes: How files are read.
        encoding: How files are written.
        limits: What a transform holds in memory.
    """

    async def work() -> Outcome:
        parsed = parse_contract(contract, source="test")
        entries: dict[str, Entry] = {}
        notes = Counter[str]()
        async with Pipeline(home / "ws", parsed, block_sizes) as pipeline:
            for file in files:
                write(home / "in", file, encoding)
                inputs = await find_inputs(
                    [(pipeline._store, locate(str(home / "in" / file.name)))], parsed
                )
                (source,) = inputs.sources
                entries[file.name], _ = await validate(source, pipeline.context())
                if one_by_one:
                    notes.update((await pipeline.transform(limits=limits)).notes)
            outcome = await publish(pipeline, entries, limits)
            return replace(outcome, notes=dict(notes + Counter(outcome.notes)))

    return asyncio.run(work())


async def publish(
    pipeline: Pipeline, entries: dict[str, Entry], limits: TransformLimits = DEFAULT_LIMITS
) -> Outcome:
    """Transform what was validated, and read the rows."""
    report = await pipeline.transform(limits=limits)
    rows = await pipeline.all_rows()
    every = {
        name: [{k: v for k, v in row.items() if k != "as_of"} for row in of]
        for name, of in rows.items()
    }
    return Outcome(
        rows=every,
        orders={str(row.pop("order_date")): row for row in rows["order_kpis"]},
        categories={
            (str(row.pop("order_date")), str(row.pop("category"))): row
            for row in rows["category_kpis"]
        },
        entries=entries,
        waiting=sum(report.waiting.values()),
        notes=report.notes,
    )


def _place(table: KpiTable) -> Callable[[Mapping[str, Any]], tuple[str, str]]:
    return lambda row: (row["order_date"], str(row.get(table.group_key or "")))


def check(home: Path, contract: str, files: Sequence[File], **options: Any) -> Outcome:
    """Run product and recount, and compare all rows and receipts."""
    outcome = run(home, contract, files, **options)
    expected = recount(contract, files, options.get("encoding", "utf-8"))
    for name, rows in expected.rows.items():
        table = KPI_TABLES[name]
        again = [stored_row(table, row) for row in rows]
        published = sorted(outcome.rows[name], key=_place(table))
        for one, other in zip(published, sorted(again, key=_place(table)), strict=True):
            assert one == other, name
    last = {file.name: file for file in sorted(files, key=lambda file: file.second)}
    for name in last:
        entry = outcome.entries[name]
        assert (entry.verdict == "refused") == (name in expected.refused), entry.reason
        for dataset, counts in entry.feeds.items():
            found = expected.counts[name, dataset]
            assert (counts.clean, counts.rejected, counts.passed_over) == (
                found.clean,
                found.rejected,
                found.passed_over,
            ), (name, dataset)
    return outcome
