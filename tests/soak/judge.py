"""The verdict: what workers have made of the files, held against DuckDB and the writers' books."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.soak.files import Version, read_versions
from tests.support import oracle
from worker.state import Entry
from worker.state.sqlite.store import SqliteState

GROUP = {"category_kpis": "category", "product_kpis": "product_id"}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was compared, and every difference.

    Attributes:
        versions: Versions of files that were written.
        committed: Entries of the ledger.
        rows: Rows in the versions that were committed.
        kpi_rows: KPI rows compared.
        differences: What is wrong, one sentence each.
    """

    versions: int
    committed: int
    rows: int
    kpi_rows: int
    differences: tuple[str, ...]


async def judge(uploads: Path, truths: Path, work: Path) -> Verdict:
    """Compare ledger and KPI tables with what the writers wrote."""
    state = await SqliteState.open(work / "shopkpi.db")
    try:
        entries = await state.entries()
        sequences = [record.sequence for record in await state.records()]
        tables = {
            table: [
                {name: value for name, value in row.items() if name != "as_of"}
                async for row in state.rows(table)
            ]
            for table in ("order_kpis", "category_kpis", "product_kpis")
        }
    finally:
        await state.close()
    versions = read_versions(truths)
    known = {_identity(uploads, version): version for version in versions}
    differences = _ledger_differences(entries, known, versions, uploads)
    if sequences != list(range(1, len(sequences) + 1)):
        differences.append("the ledger's sequence has gaps")
    counted = [known[one.url, one.version] for one in entries if (one.url, one.version) in known]
    expected = oracle.kpis(_files(counted, truths))
    for table, rows in expected.items():
        differences += _row_differences(table, tables[table], rows)
    return Verdict(
        versions=len(versions),
        committed=len(entries),
        rows=sum(version.rows for version in counted),
        kpi_rows=sum(map(len, expected.values())),
        differences=tuple(differences),
    )


def _identity(uploads: Path, version: Version) -> tuple[str, str]:
    """URL and version as the ledger has them."""
    url = f"file://{(uploads / version.key).as_posix()}"
    return url, f"mtime:{version.mtime_ns}:{version.size_bytes}"


def _ledger_differences(
    entries: list[Entry],
    known: Mapping[tuple[str, str], Version],
    versions: list[Version],
    uploads: Path,
) -> list[str]:
    wrong: list[str] = []
    committed = {(entry.url, entry.version) for entry in entries}
    if len(committed) != len(entries):
        wrong.append(f"{len(entries) - len(committed)} files were committed twice")
    for entry in entries:
        version = known.get((entry.url, entry.version))
        if version is None:
            wrong.append(f"{entry.url} {entry.version}: nobody has written it")
        elif (entry.rows_read, entry.rows_clean) != (version.rows, version.clean):
            wrong.append(
                f"{entry.url}: expected {version.rows} rows, {version.clean} of them clean, got "
                f"{entry.rows_read} and {entry.rows_clean}"
            )
        if entry.rows_read != entry.rows_clean + entry.rows_rejected:
            wrong.append(f"{entry.url}: rows got lost")
    # An earlier version may have been replaced before any worker saw it; the last one counts.
    last = {version.key: version for version in versions}
    wrong += [
        f"{key}: never committed"
        for key, version in last.items()
        if _identity(uploads, version) not in committed
    ]
    return wrong


def _files(counted: list[Version], truths: Path) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = defaultdict(list)
    # Times count to the microsecond, then the name decides.
    for version in sorted(counted, key=lambda one: (one.mtime_ns // 1000, one.key)):
        if version.truth is not None:
            files[version.dataset].append(truths / version.truth)
    return files


def _row_differences(
    table: str, found: Sequence[Mapping[str, object]], wanted: Sequence[Mapping[str, object]]
) -> list[str]:
    def by_key(
        rows: Sequence[Mapping[str, object]],
    ) -> dict[tuple[object, object], Mapping[str, object]]:
        return {(row["order_date"], row.get(GROUP.get(table, ""))): row for row in rows}

    there, right = by_key(found), by_key(wanted)
    return [
        f"{table} {key}: expected {right.get(key)}, got {there.get(key)}"
        for key in sorted(there.keys() | right.keys(), key=str)
        if there.get(key) != right.get(key)
    ]
