"""Clean objects in use: opened when they are needed, and what is held of them bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from kpi.contract import Contract, Dataset
from kpi.layout import clean_type
from worker.clean import Workspace
from worker.clean.footers import column_islands, column_ranges
from worker.clean.reading import CleanObject
from worker.errors import ConfigError
from worker.islands import Island
from worker.state.entry import Range

FOOTERS_BYTES = 2**20
"""Memory for the parsed footers of one dataset: of about 60 small objects, or 100 row groups. That
of the object in use is held whatever its size."""

SMALL_BYTES = 2**21
"""Memory for small objects of one dataset as they are stored, so that those of some weeks are read
once, however often their footers are parsed: of about 700 with some dozens of rows."""


@dataclass(frozen=True, eq=False, slots=True)
class RowGroup:
    """One row group of one clean object.

    Attributes:
        piece: The object; tells where the row group stands among all versions.
        number: Its number in the object, from 0.
        rows: Its rows.
        ranges: Column -> range, of the columns that are pruned by and that the footer tells of.
            Instants are microseconds since 1970.
        islands: Column -> where its values lie, of those that have a gap.
    """

    piece: Piece
    number: int
    rows: int
    ranges: dict[str, Range]
    islands: dict[str, list[Island]]

    def spans(self, column: str) -> list[Range | None]:
        """What holds every value of a column; None where nothing is known of it."""
        found = self.islands.get(column)
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
                self._groups = _row_groups(self, footer, columns)
        return self._groups

    async def read(self, groups: Sequence[RowGroup], columns: Sequence[str]) -> pa.Table:
        """Rows with these columns; nulls in one that the contract got after they were cleaned."""
        opened = await self._opened()
        table = await opened.read([group.number for group in groups], columns)
        for name in columns:
            if name not in table.schema.names:
                nulls = pa.nulls(table.num_rows, clean_type(self._shelf.dataset, name))
                table = table.append_column(name, nulls)
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


class _Room:
    """Room for something of the objects used last.

    Args:
        most_bytes: Its size; the object used last is held whatever its own.
        forget: Gives up what is held of one.
    """

    def __init__(self, most_bytes: int, forget: Callable[[CleanObject], None]) -> None:
        self._most_bytes = most_bytes
        self._forget = forget
        self._used: OrderedDict[CleanObject, int] = OrderedDict()
        self._held_bytes = 0

    def use(self, opened: CleanObject, held_bytes: int) -> None:
        """Hold it, and forget those unused for longest beyond the limit."""
        self._held_bytes += held_bytes - self._used.pop(opened, 0)
        self._used[opened] = held_bytes
        while self._held_bytes > self._most_bytes and len(self._used) > 1:
            oldest, its_bytes = self._used.popitem(last=False)
            self._forget(oldest)
            self._held_bytes -= its_bytes


class Shelf:
    """Where the clean objects of a dataset lie; holds the footers of those used last, and the bytes
    of the small ones."""

    def __init__(self, dataset: Dataset, workspace: Workspace, contract: Contract) -> None:
        self.dataset = dataset
        self.columns = tuple(dict.fromkeys((dataset.key[0], "order_id", "created_at")))
        self._workspace = workspace
        self._contract = contract
        self._footers = _Room(FOOTERS_BYTES, CleanObject.forget_footer)
        self._small = _Room(SMALL_BYTES, CleanObject.forget_whole)

    def find(self, key: str) -> CleanObject:
        return CleanObject(self._workspace.store, self._workspace.absolute(key))

    def use(self, opened: CleanObject) -> None:
        """Keep what is held of an object, and forget what was unused for longest."""
        self._footers.use(opened, opened.footer_bytes)
        self._small.use(opened, opened.whole_bytes)

    def check_types(self, schema: pa.Schema, url: str) -> None:
        """Only columns that the KPIs read must be alike; others may come and go."""
        dataset = self.dataset
        for name in (*dataset.key, "order_id", "user_id", "product_id", "sale_price", "id"):
            column = dataset.columns.get(name)
            if column is None:
                continue
            got = schema.field(name).type if name in schema.names else None
            if got != column.arrow_type:
                raise ConfigError(
                    f"{url} was cleaned with another contract: expected "
                    f"{dataset.name}.{name} as {column.arrow_type} (contract "
                    f"{self._contract.name!r}), got {got or 'no such column'}; use the contract it "
                    "was validated with, or another workspace"
                )


def _row_groups(piece: Piece, footer: pq.FileMetaData, columns: Sequence[str]) -> list[RowGroup]:
    found = {column: column_ranges(footer, column) for column in columns}
    apart = column_islands(footer)
    groups = []
    for number in range(footer.num_row_groups):
        ranges = {
            column: Range(low=one[0], high=one[1])
            for column, of_groups in found.items()
            if (one := of_groups[number]) is not None
        }
        islands = {
            column: of_groups[number] for column, of_groups in apart.items() if number in of_groups
        }
        rows = footer.row_group(number).num_rows
        groups.append(RowGroup(piece, number, rows, ranges, islands))
    return groups
