"""Clean objects in use: opened when they are needed, and what is held of them bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from kpi.contract.arrow_types import INSTANT
from kpi.csv.header import clean_type
from kpi.kernels.uuids import UUID
from worker.clean.footer_stats import column_clusters, column_ranges
from worker.clean.reader import CleanObject, decoding
from worker.clean.value_clusters import ValueCluster
from worker.errors import DamagedObject
from worker.state.entry import Range
from worker.transform.file_cache import Shelf

ROWS_AT_ONCE = 200_000
"""Rows worked on at once: with fewer, threads wait for each other between short steps."""

GROUPS_AT_ONCE = 6
"""Row groups of them: each comes of a block of 8 MB, so that long rows take no more memory."""


_STORED = {
    pa.int64(): "INT64",
    pa.string(): "BYTE_ARRAY",
    INSTANT: "INT64",
    UUID: "FIXED_LEN_BYTE_ARRAY",
}
"""Type of a column that is pruned by -> how Parquet stores it."""


@dataclass(frozen=True, eq=False, slots=True)
class RowGroup:
    """One row group of one clean object.

    Attributes:
        piece: The object; tells where the row group stands among all versions.
        number: Its number in the object, from 0.
        rows: Its rows.
        ranges: Column -> range, of the columns that are pruned by and that the footer tells of.
            Instants are microseconds since 1970.
        clusters: Column -> clusters of its values, for columns that have a gap.
    """

    piece: Piece
    number: int
    rows: int
    ranges: dict[str, Range]
    clusters: dict[str, list[ValueCluster]]

    def spans(self, column: str) -> list[Range | None]:
        """What holds every value of a column; None where nothing is known of it."""
        found = self.clusters.get(column)
        if found is None:
            return [self.ranges.get(column)]
        return [Range(low=island.low, high=island.high) for island in found]


class Piece:
    """A clean object: the rows of one part of one ledger entry. It is opened when it is needed.

    Attributes:
        rank: Position from the earliest version to the latest among the dataset's pieces.
        source_id: Of the ledger entry.
        url: Where its source object was read.
        key: Of the clean object, below the workspace.
        rows: Rows in it.
        ascending: Whether no key stands twice in it; see `Part`.
    """

    __slots__ = (
        *("_groups", "_object", "_shelf"),
        *("ascending", "key", "rank", "rows", "source_id", "url"),
    )

    def __init__(
        self,
        shelf: Shelf,
        *,
        rank: int,
        source_id: str,
        url: str,
        key: str,
        rows: int,
        ascending: bool,
    ) -> None:
        self.rank = rank
        self.source_id = source_id
        self.url = url
        self.key = key
        self.rows = rows
        self.ascending = ascending
        self._shelf = shelf
        self._object: CleanObject | None = None
        self._groups: list[RowGroup] | None = None

    async def row_groups(self) -> list[RowGroup]:
        """Its row groups; the same objects each time.

        Errors: `ConfigError` where rows were cleaned to other types than the contract's;
            `SourceError` where the clean object is missing or damaged.
        """
        if self._groups is None:
            opened = await self._opened()
            footer, schema = await opened.footer(), await opened.schema()
            # Another task may have done it meanwhile.
            if self._groups is None:
                self._shelf.check_types(schema, self.url)
                columns = [name for name in self._shelf.columns if name in schema.names]
                with decoding(opened.url, "a Parquet footer"):
                    _check_stored(opened.url, footer, schema, columns)
                    groups = _row_groups(self, footer, columns)
                found = sum(group.rows for group in groups)
                if found != self.rows:
                    raise DamagedObject(
                        url=opened.url,
                        expected=f"the {self.rows} rows that are in the ledger",
                        actual=f"a damaged footer with {found}",
                    )
                self._groups = groups
        return self._groups

    async def read(self, groups: Sequence[RowGroup], columns: Sequence[str]) -> pa.Table:
        """Rows with these columns; nulls in one that the contract got after they were cleaned.

        Errors: as `row_groups`.
        """
        opened = await self._opened()
        table = await opened.read([group.number for group in groups], columns)
        for name in columns:
            kind = clean_type(self._shelf.dataset, name)
            if name not in table.schema.names:
                table = table.append_column(name, pa.nulls(table.num_rows, kind))
            elif _values(got := table.schema.field(name).type) != _values(kind):
                raise self._shelf.other_contract(self.url, f"{name} as {kind}", got)
            if name in self._shelf.never_null and table.column(name).null_count:
                wanted = f"a value of {name} in every row"
                raise self._shelf.other_contract(self.url, wanted, "none in some")
        return table

    @property
    def bytes_read(self) -> int:
        return 0 if self._object is None else self._object.bytes_read

    async def _opened(self) -> CleanObject:
        if self._object is None:
            self._object = self._shelf.find(self.key)
        await self._object.footer()
        self._shelf.use(self._object)
        return self._object


def neighbours(groups: Iterable[RowGroup], most: int) -> Iterator[list[RowGroup]]:
    """Row groups of one piece that follow each other, to be worked on together: up to `most` rows
    and `GROUPS_AT_ONCE`, or one row group of more."""
    batch: list[RowGroup] = []
    rows = 0
    for group in groups:
        full = len(batch) == GROUPS_AT_ONCE or rows + group.rows > most
        if batch and (full or group.piece is not batch[0].piece):
            yield batch
            batch, rows = [], 0
        batch.append(group)
        rows += group.rows
    if batch:
        yield batch


def _values(kind: pa.DataType) -> pa.DataType:
    """Type of the values, be they in a dictionary or not."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _check_stored(
    url: str, footer: pq.FileMetaData, schema: pa.Schema, columns: Sequence[str]
) -> None:
    """That row groups store columns as the schema says: if they did not, to ask for a column's
    smallest value would end the process (pyarrow 26 declares `statistics` without `except +`).

    Errors: `SourceError`.
    """
    if footer.num_row_groups == 0:
        return
    group = footer.row_group(0)
    paths = [group.column(at).path_in_schema for at in range(group.num_columns)]
    for name in columns:
        at, kind = paths.index(name), schema.field(name).type
        for number in range(footer.num_row_groups):
            got = footer.row_group(number).column(at).physical_type
            if got != _STORED.get(kind):
                raise DamagedObject(
                    url=url,
                    expected=f"{name} as {_STORED.get(kind, 'an id or a time')}",
                    actual=f"a damaged footer with {got} for {kind}",
                )


def _row_groups(piece: Piece, footer: pq.FileMetaData, columns: Sequence[str]) -> list[RowGroup]:
    found = {column: column_ranges(footer, column) for column in columns}
    clustered = column_clusters(footer)
    groups = []
    for number in range(footer.num_row_groups):
        ranges = {
            column: Range(low=one[0], high=one[1])
            for column, of_groups in found.items()
            if (one := of_groups[number]) is not None
        }
        clusters = {
            column: of_groups[number]
            for column, of_groups in clustered.items()
            if number in of_groups
        }
        rows = footer.row_group(number).num_rows
        groups.append(RowGroup(piece, number, rows, ranges, clusters))
    return groups
