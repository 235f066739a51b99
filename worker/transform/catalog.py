"""The clean objects of a ledger state, and which row groups of them may hold what.

The ledger tells the ranges of each object, so that only those that may matter are opened; their
footers tell the ranges of their row groups.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.model import Dataset
from kpi.kernels.arrays import Mask
from kpi.kernels.masks import true
from worker.runtime.concurrency import each
from worker.state import Entry
from worker.state.entry import Range
from worker.transform.clean_files import Piece, RowGroup
from worker.transform.file_cache import Shelf
from worker.transform.intervals import Spans

Ranks = npt.NDArray[np.int64]

READS_AT_ONCE = 3
"""Row groups read and worked on at once: two cores busy, one waiting for its bytes."""

OPEN_AT_ONCE = 32
"""Footers read concurrently."""


class Register:
    """What the ledger tells of all clean objects of a dataset, as columns: they are as many as were
    ever committed, and take 0.3 KiB each. A `Piece` is made of those in use.

    They are added in any order; `close` puts them from the earliest version to the latest.
    """

    def __init__(self, dataset: Dataset, shelf: Shelf) -> None:
        self.dataset = dataset
        self._shelf = shelf
        # Integers, or instants as microseconds; texts, or UUIDs as such.
        self._kinds = {
            name: int if dataset.columns[name].type in ("integer", "timestamp") else str
            for name in shelf.columns
            if name in dataset.columns
        }
        self._schema = pa.schema(
            [
                *(("source_id", pa.string()), ("sequence", pa.int64()), ("url", pa.string())),
                *(("uploaded_at", pa.timestamp("us", "UTC")), ("key", pa.string())),
                *(("rows", pa.int64()), ("size_bytes", pa.int64()), ("ascending", pa.bool_())),
                *(
                    (f"{end} {name}", pa.int64() if kind is int else pa.string())
                    for name, kind in self._kinds.items()
                    for end in ("low", "high")
                ),
            ]
        )
        self._batches: list[pa.RecordBatch] = []
        self._columns: dict[str, pa.Array] = {}
        self._made: dict[int, Piece] = {}

    def add(self, entries: Iterable[Entry]) -> None:
        """Accepted entries of the dataset."""
        rows = [self._row(entry, at) for entry in entries for at in range(len(entry.parts))]
        if rows:
            self._batches.append(pa.RecordBatch.from_pylist(rows, schema=self._schema))

    def close(self) -> None:
        """There are no more."""
        told = pa.Table.from_batches(self._batches, self._schema)
        self._batches.clear()
        # The later version wins a key. Parts of one entry stay as they are: the sort is stable.
        keys = [(name, "ascending") for name in ("uploaded_at", "url", "source_id")]
        order = pc.sort_indices(told, sort_keys=keys)
        for name in told.column_names:
            self._columns[name] = told.column(name).take(order).combine_chunks()
            told = told.drop_columns([name])  # which gives its memory back

    def __len__(self) -> int:
        return len(self._columns["key"])

    def piece(self, rank: int) -> Piece:
        """The clean object of a row; the same one each time."""
        if rank not in self._made:
            names = ("source_id", "url", "key", "rows", "ascending")
            told: dict[str, Any] = {name: self._columns[name][rank].as_py() for name in names}
            self._made[rank] = Piece(self._shelf, rank=rank, **told)
        return self._made[rank]

    def column(self, name: str, ranks: Ranks) -> pa.Array:
        """What some rows tell."""
        whole = self._columns[name]
        return whole if len(ranks) == len(whole) else whole.take(pa.array(ranks))

    def ranges(self, column: str, ranks: Ranks) -> tuple[pa.Array, pa.Array]:
        """Lows and highs of a column in some clean objects; null where they are not known."""
        if column not in self._kinds:
            nothing = pa.nulls(len(ranks), pa.int64())
            return nothing, nothing
        return self.column(f"low {column}", ranks), self.column(f"high {column}", ranks)

    @property
    def bytes_read(self) -> int:
        return sum(piece.bytes_read for piece in self._made.values())

    def _row(self, entry: Entry, at: int) -> dict[str, object]:
        part = entry.parts[at]
        told: dict[str, object] = {
            "source_id": entry.source_id,
            "sequence": entry.sequence,
            "url": entry.url,
            "uploaded_at": entry.uploaded_at,
            "key": part.key,
            "rows": part.rows,
            "size_bytes": part.size_bytes,
            "ascending": part.ascending,
        }
        for name, kind in self._kinds.items():
            found = part.ranges.get(name)
            # Of another type it is of another contract: opening the object says so.
            if found is not None and isinstance(found.low, kind):
                told |= {f"low {name}": found.low, f"high {name}": found.high}
        return told


class Catalog:
    """Clean objects of a dataset, from the earliest version to the latest: all, or some of them."""

    def __init__(self, register: Register, ranks: Ranks | None = None) -> None:
        self.dataset = register.dataset
        self._register = register
        self._ranks = np.arange(len(register)) if ranks is None else ranks

    def __len__(self) -> int:
        return len(self._ranks)

    @property
    def pieces(self) -> list[Piece]:
        return [self._register.piece(rank) for rank in self._ranks.tolist()]

    @property
    def source_ids(self) -> set[str]:
        return set(self._register.column("source_id", self._ranks).to_pylist())

    @property
    def rows(self) -> int:
        return self._sum("rows")

    @property
    def size_bytes(self) -> int:
        return self._sum("size_bytes")

    @property
    def bytes_read(self) -> int:
        """Read so far, of all clean objects of the dataset."""
        return self._register.bytes_read

    def of_sources(self, source_ids: Collection[str]) -> Catalog:
        """The clean objects of some source objects."""
        wanted = pa.array(list(source_ids), pa.string())
        return self._where(true(pc.is_in(self._register.column("source_id", self._ranks), wanted)))

    def since(self, sequence: int) -> Catalog:
        """Those of source objects that were committed after a sequence."""
        return self._where(
            true(pc.greater(self._register.column("sequence", self._ranks), sequence))
        )

    def without(self, others: Catalog) -> Catalog:
        """Those that are not among others."""
        return Catalog(self._register, np.setdiff1d(self._ranks, others._ranks, assume_unique=True))

    def meeting(self, column: str, spans: Spans) -> Catalog:
        """Those that may hold a value of some spans, by what the ledger tells."""
        return self._where(spans.meet_each(*self._register.ranges(column, self._ranks)))

    async def row_groups(self) -> list[RowGroup]:
        """Their row groups, in their order. Errors: as `Piece.row_groups`."""
        of_pieces = await each(self.pieces, Piece.row_groups, OPEN_AT_ONCE)
        return [group for groups in of_pieces for group in groups]

    async def overlapping(self, column: str, spans: Spans) -> list[RowGroup]:
        """Row groups that may hold a value of some spans. Errors: as `Piece.row_groups`."""
        return [
            group
            for group in await self.meeting(column, spans).row_groups()
            if any(spans.meet(one) for one in group.spans(column))
        ]

    async def ranges(self, column: str) -> list[Range]:
        """Ranges that hold every value of a column. Errors: as `Piece.row_groups`."""
        lows, highs = self._register.ranges(column, self._ranks)
        untold = Catalog(self._register, self._ranks[~true(lows.is_valid())])
        found = [group.ranges.get(column) for group in await untold.row_groups()]
        pairs = zip(lows.drop_null().to_pylist(), highs.drop_null().to_pylist(), strict=True)
        told = [Range(low=low, high=high) for low, high in pairs]
        return [*told, *(one for one in found if one is not None)]

    def _where(self, mask: Mask) -> Catalog:
        return Catalog(self._register, self._ranks[mask])

    def _sum(self, name: str) -> int:
        return int(pc.sum(self._register.column(name, self._ranks), min_count=0).as_py())
