"""Find rows that take back newer rows of other files.

An export that is uploaded once more, with one row changed, brings all its other rows too: those
that other files have corrected since its earlier upload are as they were before. So does its copy
under another name. That may be meant, and counts; an event reports it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kpi.kernels.arrays import Mask
from kpi.kernels.keys import keys_of
from kpi.kernels.masks import booleans
from worker.index.upload_rows import microseconds
from worker.state.upload import Upload
from worker.transform.catalog import Catalog
from worker.transform.history import History
from worker.transform.key_sets import KeySet
from worker.transform.snapshot import Snapshot

Hashes = npt.NDArray[np.uint64]

COMPARED_KEYS = 100_000
"""Keys of one upload that are compared value by value; any more are not counted."""


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """Rows of an upload that are as in an earlier upload of its name or bytes, but not between.

    Attributes:
        source_id: The upload.
        url: Where it was read.
        rows: Number of such rows.
        urls: The files between that have them otherwise, ascending.
    """

    source_id: str
    url: str
    rows: int
    urls: tuple[str, ...]


def count_rolled_back(rollbacks: Iterable[Rollback]) -> dict[str, int]:
    """Count the rows of rollbacks as a note of a report; none where there are none."""
    rows = sum(one.rows for one in rollbacks)
    return {"rolled_back_rows": rows} if rows else {}


async def find_rollbacks(snapshot: Snapshot, after: int) -> list[Rollback]:
    """Find the rollbacks of uploads that were committed after a sequence.

    Only names with an earlier upload and copies are looked at, and of other files only those
    between both.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    found: list[Rollback] = []
    for upload, earlier in snapshot.uploads.with_predecessor(after):
        catalog = snapshot.catalog(upload.dataset)
        if catalog.dataset.version is not None:
            continue  # upload time is not what decides
        others = catalog.of_uploads(counted_between(snapshot.history, earlier, upload))
        if len(others):
            every = catalog.with_uncounted()
            before, now = (every.of_sources([one.source_id]) for one in (earlier, upload))
            rollback = await _compare(upload, before, now, others)
            found += [rollback] if rollback.rows else []
    return found


def counted_between(history: History, earlier: Upload, later: Upload) -> Mask:
    """Return which rows are of uploads that count, of another name, and between two by time."""
    times = history.rows.numbers("uploaded_at")
    first, last = (microseconds(one.uploaded_at) for one in (earlier, later))
    between: Mask = (history.places >= 0) & (times > first) & (times <= last)
    between[history.rows.rows_with("url", history.uploads.urls_of(later.file))] = False
    return between


async def _compare(upload: Upload, before: Catalog, now: Catalog, others: Catalog) -> Rollback:
    """Compare rows of two uploads of one name with those of the files between."""
    shared = np.intersect1d(await hashes_of(before), await hashes_of(now), assume_unique=True)
    ids = await ids_of(now, others)
    wanted = np.intersect1d(shared, await hashes_of(others, ids), assume_unique=True)
    wanted = wanted[:COMPARED_KEYS]
    old, new = await last_rows(before, wanted, ids), await last_rows(now, wanted, ids)
    taken_back: dict[int, str] = {}
    for file in others.files:
        one = others.of_sources([file.source_id])
        for key, row in (await last_rows(one, wanted, ids)).items():
            # Of the files between, the last one has the row that counted.
            taken_back.pop(key, None)
            if new[key] == old[key] != row:
                taken_back[key] = file.url
    return Rollback(
        source_id=upload.source_id,
        url=upload.name,
        rows=len(taken_back),
        urls=tuple(sorted(set(taken_back.values()))),
    )


async def ids_of(catalog: Catalog, among: Catalog) -> KeySet:
    """Return the ids of some files, for a look-up among others."""
    return await among.ids_of(catalog.dataset.key[0], await catalog.row_groups())


async def hashes_of(catalog: Catalog, ids: KeySet | None = None) -> Hashes:
    """Return the hashes of the keys in some files, ascending, each once."""
    key = catalog.dataset.key
    groups = (
        await catalog.row_groups() if ids is None else await catalog.row_groups_holding(key[0], ids)
    )
    hashes = [np.zeros(0, np.uint64)]
    for group in groups:
        table = await group.file.read([group], key)
        hashes.append(keys_of([table.column(name) for name in key]).high)
    return np.unique(np.concatenate(hashes))


async def last_rows(catalog: Catalog, wanted: Hashes, ids: KeySet) -> dict[int, dict[str, object]]:
    """Return the last row of each wanted key."""
    dataset = catalog.dataset
    found: dict[int, dict[str, object]] = {}
    for group in await catalog.row_groups_holding(dataset.key[0], ids):
        table = await group.file.read([group], list(dataset.columns))
        hashes = keys_of([table.column(name) for name in dataset.key]).high
        hit = np.isin(hashes, wanted)
        if hit.any():
            rows = table.filter(booleans(hit)).to_pylist()
            found |= zip(hashes[hit].tolist(), rows, strict=True)
    return found
