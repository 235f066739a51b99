"""The key index over the clean files of a snapshot: which columns it has, what it covers."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from kpi.contract.model import Contract
from kpi.index.pointers import split_places
from kpi.kernels.arrays import Int64s, Positions
from worker.errors import SourceError
from worker.index.key_index import KeyIndex

RANGED_ROWS = 16_384
"""Rows of a file from which on integer ids have no pointers: shops number ascendingly, so that the
bounds of row groups find them with no index."""


IndexedColumns = dict[tuple[str, str], str]
"""(Dataset, column) -> type, of the columns that have pointers."""


@dataclass(frozen=True)
class Held:
    """Rows that may have some keys: ledger sequence and row number of each, ascending."""

    sequences: Int64s
    rows: Positions


class IndexedFiles:
    """A key index, and what it has of the files of a contract.

    Once a run of it cannot be read, it has nothing: the files are found by their bounds.

    Attributes:
        index: Its runs.
        tables: (Dataset, column) -> type of the column, of each table.
        failure: Why a run could not be read; None where all could.
    """

    def __init__(self, index: KeyIndex, tables: IndexedColumns) -> None:
        self.index = index
        self.tables = tables
        self.failure: SourceError | None = None

    def has(self, dataset: str, column: str) -> bool:
        """Return whether a column of a dataset has pointers."""
        return self.failure is None and (dataset, column) in self.tables

    async def find(self, dataset: str, column: str, values: pa.Array) -> Held | None:
        """Find the rows of covered files that may have some distinct ids; None on a failure."""
        name = table_name(dataset, column, self.tables[dataset, column])
        try:
            return Held(*split_places(await self.index.find(name, values)))
        except SourceError as error:
            self.failure = error
            return None


def longest_indexed(kind: str) -> int | None:
    """Return the rows of a file up to which a column of a type has pointers; None for any."""
    return RANGED_ROWS if kind == "integer" else None


def table_name(dataset: str, column: str, kind: str) -> str:
    """Name the pointers of a column; another type makes other words of the same ids."""
    return f"{dataset}.{column}:{kind}"


def indexed_columns(contract: Contract) -> IndexedColumns:
    """Return the columns that have pointers by a contract of language 1."""
    items = contract.datasets["order_items"]
    wanted = [
        ("orders", "order_id"),
        *(("order_items", column) for column in ("order_id", items.key[0], "product_id")),
    ]
    return {
        (dataset, column): contract.datasets[dataset].columns[column].type
        for dataset, column in wanted
        if column in contract.datasets[dataset].columns
    }
