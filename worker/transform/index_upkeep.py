"""Add the files to the key index that it does not cover yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import groupby

import numpy as np

from kpi.index.pointers import ROW_BITS, Pointers, places_of, sort_pointers
from kpi.kernels.arrays import Words
from worker.clean import Workspace
from worker.errors import SourceError, StoreError
from worker.index.key_index import IndexDamaged, KeyIndex
from worker.state import Ledger
from worker.state.secret import secret_of
from worker.transform.catalog import Catalog
from worker.transform.clean_files import CleanFile, batch_row_groups
from worker.transform.indexed_files import IndexedColumns, IndexedFiles, longest_indexed, table_name
from worker.transform.snapshot import open_index


async def extend_index(
    workspace: Workspace,
    ledger: Ledger,
    columns: IndexedColumns,
    catalogs: Sequence[Catalog],
    up_to: int,
) -> dict[str, int]:
    """Add pointers to the rows of every file that has none yet; to all where a run is damaged.

    Nothing that goes wrong here raises: the KPIs are published, and need no index.

    Args:
        workspace: Where the index is.
        ledger: Has the secret under which ids are hashed; one is drawn where there is none.
        columns: Those that have pointers.
        catalogs: The files of each dataset; with few of them there is no index.
        up_to: Their ledger sequence.

    Returns:
        `index_rebuilt` where a run was damaged; `index_incomplete` where a clean file is, or where
        the index cannot be written.
    """
    every = [one.with_uncounted() for one in catalogs]
    if all(len(one) <= one.limits.unindexed_files for one in every):
        return {}
    try:
        indexed = catalogs[0].index
        if indexed is None:
            secret = await secret_of(ledger)
            indexed = await open_index(workspace, secret, columns, catalogs)
        if indexed.failure is None:
            with suppress(IndexDamaged):
                return await _add_missing(every, indexed, indexed.index, up_to)
        index = await indexed.index.opened_again()
        notes = {} if index.manifest.up_to else {"index_rebuilt": 1}
        return notes | await _add_missing(every, indexed, index, up_to)
    except (SourceError, StoreError):
        return {"index_incomplete": 1}


async def _add_missing(
    catalogs: Sequence[Catalog], indexed: IndexedFiles, index: KeyIndex, up_to: int
) -> dict[str, int]:
    limits = catalogs[0].limits
    builder = PointerBuilder(indexed.tables, index, limits.read_rows)
    missing = places_after(catalogs, indexed, index.manifest.up_to)
    few = min(limits.unextended_files, limits.unindexed_files)
    if index.manifest.up_to and len(missing) <= few:
        return {}  # these are found by their bounds
    reached = index.manifest.up_to
    for sequence, of_source in groupby(missing, key=lambda place: place[0]):
        if builder.pointers >= limits.stride_pointers:
            index = await index.extend(builder.take(), up_to=reached)
        try:
            for _, first_row, file in of_source:
                await builder.add(sequence, first_row, file)
        except SourceError:
            # It was damaged since its transform, or an audit would have told. What follows on it
            # stays without pointers.
            builder.drop(sequence)
            await index.extend(builder.take(), up_to=reached)
            return {"index_incomplete": 1}
        reached = sequence
    await index.extend(builder.take(), up_to=up_to)
    return {}


def places_after(
    catalogs: Sequence[Catalog], indexed: IndexedFiles, sequence: int
) -> list[tuple[int, int, CleanFile]]:
    """Return the files of indexed datasets after a sequence, with theirs and their first rows."""
    datasets = {dataset for dataset, _ in indexed.tables}
    return sorted(
        (
            place
            for catalog in catalogs
            if catalog.dataset.name in datasets
            for place in catalog.places(after=sequence)
        ),
        key=lambda place: place[:2],
    )


class PointerBuilder:
    """Collects pointers to the rows of clean files."""

    def __init__(
        self, tables: Mapping[tuple[str, str], str], index: KeyIndex, read_rows: int
    ) -> None:
        self._tables = tables
        self._index = index
        self._read_rows = read_rows
        self._keys: dict[str, list[Words]] = {}
        self._places: dict[str, list[Words]] = {}
        self.pointers = 0

    async def add(self, sequence: int, first_row: int, file: CleanFile) -> None:
        """Add the rows of a file.

        Args:
            sequence: Ledger sequence of its entry.
            first_row: Rows of the entry before it.
            file: The file.
        """
        dataset = file.dataset
        columns = {
            column: table_name(dataset, column, kind)
            for (one, column), kind in self._tables.items()
            if one == dataset and file.rows <= (longest_indexed(kind) or file.rows)
        }
        if not columns:
            return
        for batch in batch_row_groups(await file.row_groups(), self._read_rows):
            table = await file.read(batch, list(columns))
            start = first_row + batch[0].first_row
            for column, name in columns.items():
                values = table.column(column)
                places = places_of(sequence, start, len(values))
                if values.null_count:
                    places = places[values.is_valid().to_numpy()]
                    values = values.drop_null()
                if not len(places):
                    continue
                self._keys.setdefault(name, []).append(self._index.words(values))
                self._places.setdefault(name, []).append(places)
                self.pointers += len(places)

    def drop(self, sequence: int) -> None:
        """Take back the rows of the entry of a sequence, which was added last."""
        for name, places in self._places.items():
            while places and int(places[-1][0]) >> ROW_BITS == sequence:
                places.pop()
                self._keys[name].pop()

    def take(self) -> dict[str, Pointers]:
        """Return what was added, and begin again."""
        tables = {
            name: sort_pointers(np.concatenate(keys), np.concatenate(self._places[name]))
            for name, keys in self._keys.items()
            if keys
        }
        self._keys, self._places, self.pointers = {}, {}, 0
        return tables
