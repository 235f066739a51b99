"""The clean objects of a ledger state, and which row groups of them may hold what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from kpi.contract import Contract, Dataset
from kpi.layout import clean_type
from worker.clean import CleanObject, Workspace, column_ranges
from worker.errors import ConfigError
from worker.state import Entry
from worker.state.entry import Part

READS_AT_ONCE = 3
"""Row groups read and worked on at once: two cores busy, one waiting for its bytes."""

OPEN_AT_ONCE = 32
"""Footers read concurrently."""


@dataclass(frozen=True, eq=False)
class RowGroup:
    """One row group of one clean object; `piece` tells where it stands among all versions."""

    piece: Piece
    number: int
    rows: int

    def range(self, column: str) -> tuple[Any, Any] | None:
        """Smallest and largest value; None where the footer does not tell.

        Instants are microseconds since 1970.
        """
        return self.piece.ranges(column)[self.number]

    def overlaps(self, column: str, low: Any, high: Any) -> bool:  # noqa: ANN401  (ints or texts)
        found = self.range(column)
        return found is None or (found[0] <= high and low <= found[1])


class Piece:
    """A clean object: the rows of one part of one ledger entry.

    Attributes:
        rank: Position from the earliest version to the latest among the dataset's pieces.
        key_column: First column of the dataset's key.
    """

    def __init__(
        self, entry: Entry, part: Part, rank: int, opened: CleanObject, dataset: Dataset
    ) -> None:
        self.entry = entry
        self.key_column = dataset.key[0]
        self._dataset = dataset
        self.part = part
        self.rank = rank
        self.opened = opened
        metadata = opened.metadata
        self.row_groups = [
            RowGroup(self, number, metadata.row_group(number).num_rows)
            for number in range(metadata.num_row_groups)
        ]
        self._ranges: dict[str, list[tuple[Any, Any] | None]] = {}

    def ranges(self, column: str) -> list[tuple[Any, Any] | None]:
        if column not in self._ranges:
            self._ranges[column] = column_ranges(self.opened.metadata, column)
        return self._ranges[column]

    async def read(self, groups: Sequence[RowGroup], columns: Sequence[str]) -> pa.Table:
        """Rows with these columns; nulls in one that the contract got after they were cleaned."""
        table = await self.opened.read([group.number for group in groups], columns)
        for name in columns:
            if name not in table.schema.names:
                nulls = pa.nulls(table.num_rows, clean_type(self._dataset, name))
                table = table.append_column(name, nulls)
        return table


class Catalog:
    """All clean objects of a dataset, from the earliest version to the latest."""

    def __init__(self, dataset: Dataset, pieces: list[Piece]) -> None:
        self.dataset = dataset
        self.pieces = pieces

    @classmethod
    async def open(
        cls, dataset: Dataset, entries: Iterable[Entry], workspace: Workspace, contract: Contract
    ) -> Catalog:
        """Read the footers of the accepted entries of a dataset.

        Errors: `ConfigError` where rows were cleaned to other types than the contract's;
            `SourceError` where a clean object is missing or damaged.
        """
        ordered = sorted(
            (entry for entry in entries if entry.dataset == dataset.name),
            key=lambda entry: entry.order,
        )
        parts = [(entry, part) for entry in ordered for part in entry.parts]
        slots = asyncio.Semaphore(OPEN_AT_ONCE)

        async def opened(entry: Entry, part: Part, rank: int) -> Piece:
            async with slots:
                clean = await CleanObject.open(workspace.store, workspace.absolute(part.key))
            _check_types(dataset, clean, entry, contract)
            return Piece(entry, part, rank, clean, dataset)

        pieces = await asyncio.gather(
            *(opened(entry, part, rank) for rank, (entry, part) in enumerate(parts))
        )
        return cls(dataset, list(pieces))

    def row_groups(self) -> list[RowGroup]:
        return [group for piece in self.pieces for group in piece.row_groups]

    def overlapping(self, column: str, low: Any, high: Any) -> list[RowGroup]:  # noqa: ANN401
        """Row groups that may hold a value from `low` to `high`."""
        return [
            group
            for piece in self.pieces
            if _part_overlaps(piece.part, column, low, high)
            for group in piece.row_groups
            if group.overlaps(column, low, high)
        ]

    @property
    def bytes_read(self) -> int:
        return sum(piece.opened.bytes_read for piece in self.pieces)


def _part_overlaps(part: Part, column: str, low: Any, high: Any) -> bool:  # noqa: ANN401
    found = part.ranges.get(column)
    return found is None or bool(found.low <= high and low <= found.high)


def _check_types(dataset: Dataset, clean: CleanObject, entry: Entry, contract: Contract) -> None:
    """Only columns that the KPIs read must be alike; others may come and go."""
    schema = clean.metadata.schema.to_arrow_schema()
    for name in (*dataset.key, "order_id", "user_id", "product_id", "sale_price", "id"):
        column = dataset.columns.get(name)
        if column is None:
            continue
        got = schema.field(name).type if name in schema.names else None
        if got != column.arrow_type:
            raise ConfigError(
                f"{entry.url} was cleaned with another contract: expected {dataset.name}.{name} as "
                f"{column.arrow_type} (contract {contract.name!r}), got {got or 'no such column'}; "
                "use the contract it was validated with, or another workspace"
            )
