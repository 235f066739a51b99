"""Clean files in use, and their row groups: opened on demand, held within a bound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import pyarrow as pa
import pyarrow.parquet as pq

from kpi.contract.arrow_types import INSTANT
from kpi.csv.header import clean_type
from kpi.kernels.uuids import UUID
from worker.clean.footer_stats import INTEGERS_KEY, column_clusters, column_ranges
from worker.clean.reader import CleanObject, decoding
from worker.clean.value_clusters import ValueCluster
from worker.errors import DamagedObject
from worker.state.entry import Interval
from worker.transform.file_cache import FileCache, may_widen
from worker.transform.intervals import IntervalSet

BATCH_ROW_GROUPS = 6
"""Row groups read together. Each was made from a block of 8 MB, so that long rows take no more
memory than short ones."""

_PHYSICAL_TYPES = {
    pa.int64(): "INT64",
    pa.int32(): "INT32",
    pa.string(): "BYTE_ARRAY",
    INSTANT: "INT64",
    UUID: "FIXED_LEN_BYTE_ARRAY",
}
"""Arrow type of a pruning column -> its Parquet physical type."""


@dataclass(frozen=True, eq=False, slots=True)
class RowGroup:
    """One row group of one clean file.

    Attributes:
        file: The file; its rank orders the row group among all versions.
        number: Its number in the file, from 0.
        first_row: Rows of the file before it.
        rows: Its rows.
        bounds: Pruning column -> interval of its values, where the footer has statistics. Instants
            are microseconds since 1970.
        clusters: Pruning column -> clusters of its values, where gaps part them.
        integers: Pruning column -> clusters of its texts as numbers, where all of them are some.
    """

    file: CleanFile
    number: int
    first_row: int
    rows: int
    bounds: dict[str, Interval]
    clusters: dict[str, list[ValueCluster]]
    integers: dict[str, list[ValueCluster]] = field(default_factory=dict)

    def intersects(self, column: str, intervals: IntervalSet) -> bool:
        """Return whether a value of a column may be in a set."""
        numbers = self.integers.get(column)
        if numbers is not None and intervals.numbers is not None:
            bounds = [Interval(low=one.low, high=one.high) for one in numbers]
            return any(map(intervals.numbers.intersects, bounds))
        return any(intervals.intersects(one) for one in self.intervals(column))

    def intervals(self, column: str) -> list[Interval | None]:
        """Return intervals that hold every value of a column; None where they are unknown."""
        clusters = self.clusters.get(column)
        if clusters is None:
            return [self.bounds.get(column)]
        return [Interval(low=cluster.low, high=cluster.high) for cluster in clusters]


class CleanFile:
    """One clean file: the rows of one part of one ledger entry. It is opened on first use.

    Attributes:
        rank: Position among the dataset's files, from the earliest version to the latest.
        upload: First row of its upload, in `History.rows`.
        source_id: Source object of the ledger entry.
        url: Where the source object was read.
        key: Key of the file below the workspace.
        sequence: Ledger sequence of the entry.
        size_bytes: Length of the file.
        rows: Rows in it.
        ascending: Whether its keys are strictly increasing; see `Part`.
    """

    __slots__ = (
        *("_cache", "_groups", "_object"),
        *("ascending", "key", "rank", "rows", "sequence", "size_bytes", "source_id"),
        *("upload", "url"),
    )

    def __init__(
        self,
        cache: FileCache,
        *,
        rank: int,
        upload: int,
        source_id: str,
        url: str,
        key: str,
        sequence: int,
        size_bytes: int,
        rows: int,
        ascending: bool,
    ) -> None:
        self.rank = rank
        self.upload = upload
        self.source_id = source_id
        self.url = url
        self.key = key
        self.sequence = sequence
        self.size_bytes = size_bytes
        self.rows = rows
        self.ascending = ascending
        self._cache = cache
        self._object: CleanObject | None = None
        self._groups: list[RowGroup] | None = None

    @property
    def dataset(self) -> str:
        return self._cache.dataset.name

    async def row_groups(self) -> list[RowGroup]:
        """Return its row groups; the same objects at each call.

        Raises:
            ConfigError: Rows were cleaned to other types than the contract's.
            SourceError: The file is missing or damaged.
        """
        if self._groups is None:
            opened = await self._opened()
            footer, schema = await opened.footer(), await opened.schema()
            # Another task may have set them during the awaits.
            if self._groups is None:
                self._cache.check_types(schema, self.url)
                columns = [name for name in self._cache.pruning_columns if name in schema.names]
                with decoding(opened.url, "a Parquet footer"):
                    _check_physical_types(opened.url, footer, schema, columns)
                    groups = _row_groups(self, footer, columns)
                rows = sum(group.rows for group in groups)
                if rows != self.rows:
                    raise DamagedObject(
                        url=opened.url,
                        expected=f"the {self.rows} rows of its ledger entry",
                        actual=f"a damaged footer with {rows}",
                    )
                self._groups = groups
        return self._groups

    async def read(self, groups: Sequence[RowGroup], columns: Sequence[str]) -> pa.Table:
        """Read columns of some row groups; one that the file does not have is all null.

        Raises:
            ConfigError: Rows were cleaned to other types than the contract's.
            SourceError: The file is missing or damaged.
        """
        opened = await self._opened()
        table = await opened.read([group.number for group in groups], columns)
        for name in columns:
            expected = clean_type(self._cache.dataset, name)
            if name not in table.schema.names:
                table = table.append_column(name, pa.nulls(table.num_rows, expected))
            elif _value_type(got := table.schema.field(name).type) != _value_type(expected):
                table = self._widened(table, name, got, expected)
            if name in self._cache.never_null and table.column(name).null_count:
                wanted = f"a value of {name} in every row"
                raise self._cache.contract_mismatch(self.url, wanted, "none in some")
        return table

    def _widened(
        self, table: pa.Table, name: str, got: pa.DataType, expected: pa.DataType
    ) -> pa.Table:
        """Give amounts that were cleaned with fewer decimal places those of the contract."""
        mismatch = self._cache.contract_mismatch(self.url, f"{name} as {expected}", got)
        if not may_widen(got, expected):
            raise mismatch
        try:
            values = table.column(name).cast(expected)
        except pa.ArrowInvalid as error:
            raise mismatch from error
        return table.set_column(table.schema.get_field_index(name), name, values)

    @property
    def held(self) -> bytes:
        """Bytes of a small file, where they are in memory; else empty."""
        return b"" if self._object is None else self._object.whole

    @property
    def bytes_read(self) -> int:
        return 0 if self._object is None else self._object.bytes_read

    async def _opened(self) -> CleanObject:
        if self._object is None:
            self._object = self._cache.open(self.key, self.sequence, self.size_bytes)
        await self._object.footer()
        self._cache.use(self._object)
        return self._object


def intervals_of(groups: Sequence[RowGroup], column: str) -> IntervalSet:
    """Return the values that a column may have in some row groups."""
    of_each = [group.integers.get(column) for group in groups]
    numbers = None
    if groups and all(of_each):
        clusters = [cluster for some in of_each for cluster in some or ()]
        numbers = IntervalSet(Interval(low=one.low, high=one.high) for one in clusters)
    return IntervalSet((one for group in groups for one in group.intervals(column)), numbers)


def key_bounds(groups: Sequence[RowGroup], column: str) -> list[Interval | None]:
    """Return the bounds of a column in each row group: as numbers where all of them have some."""
    of_each = [group.integers.get(column) for group in groups]
    known = [clusters for clusters in of_each if clusters]
    if len(known) < len(groups):
        return [group.bounds.get(column) for group in groups]
    return [Interval(low=clusters[0].low, high=clusters[-1].high) for clusters in known]


def batch_row_groups(groups: Iterable[RowGroup], max_rows: int) -> Iterator[list[RowGroup]]:
    """Batch consecutive row groups of one file.

    Yields:
        Row groups with at most `max_rows` rows, `BATCH_ROW_GROUPS` at most; or one with more rows.
    """
    batch: list[RowGroup] = []
    rows = 0
    for group in groups:
        full = len(batch) == BATCH_ROW_GROUPS or rows + group.rows > max_rows
        if batch and (full or group.file is not batch[0].file):
            yield batch
            batch, rows = [], 0
        batch.append(group)
        rows += group.rows
    if batch:
        yield batch


def _value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a plain or a dictionary-encoded column."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _check_physical_types(
    url: str, footer: pq.FileMetaData, schema: pa.Schema, columns: Sequence[str]
) -> None:
    """Check that row groups store columns as the schema says.

    Reading statistics of a column of another physical type ends the process: pyarrow 26 declares
    `statistics` without `except +`.

    Raises:
        DamagedObject: One has another physical type.
    """
    if footer.num_row_groups == 0:
        return
    group = footer.row_group(0)
    paths = [group.column(at).path_in_schema for at in range(group.num_columns)]
    for name in columns:
        at, kind = paths.index(name), schema.field(name).type
        expected = _PHYSICAL_TYPES.get(kind)
        for number in range(footer.num_row_groups):
            got = footer.row_group(number).column(at).physical_type
            if got != expected:
                raise DamagedObject(
                    url=url,
                    expected=f"{name} as {expected or 'an id or a time'}",
                    actual=f"a damaged footer with {got} for {kind}",
                )


def _row_groups(file: CleanFile, footer: pq.FileMetaData, columns: Sequence[str]) -> list[RowGroup]:
    """Build the row groups of a file from its footer."""
    bounds = {column: column_ranges(footer, column) for column in columns}
    clusters = column_clusters(footer)
    integers = column_clusters(footer, INTEGERS_KEY)
    rows = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
    first_rows = accumulate(rows, initial=0)
    return [
        RowGroup(
            file,
            number,
            first_row,
            rows[number],
            {
                column: Interval(low=found[0], high=found[1])
                for column, of_groups in bounds.items()
                if (found := of_groups[number]) is not None
            },
            {
                column: of_groups[number]
                for column, of_groups in clusters.items()
                if number in of_groups
            },
            {
                column: of_groups[number]
                for column, of_groups in integers.items()
                if number in of_groups
            },
        )
        for number, first_row in zip(range(len(rows)), first_rows, strict=False)
    ]
