"""Write the data files of one snapshot of one table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import pyarrow as pa

from worker.clean import Workspace
from worker.iceberg.data_files import write_data_file
from worker.iceberg.spans import Place, Rewrite, Span, Stretch, plan_rewrites
from worker.iceberg.tables import NewFile, Stamp
from worker.objects.location import Location
from worker.runtime.concurrency import each
from worker.transform.clean_files import CleanFile, RowGroup, batch_row_groups
from worker.transform.current_rows import CurrentDataset
from worker.transform.limits import TransformLimits

CONCURRENT_FILES = 2
"""Data files written at once."""


class SnapshotWriter:
    """Writes the data files of one snapshot.

    Args:
        workspace: Where clean zone and tables are.
        dataset: The dataset, opened with the sequence that the table is of.
        schema: Columns of the table, with field ids.
        location: Folder of the table.
        stamp: What the snapshot will say.
        limits: What may be held in memory at once.
        span_rows: Rows of a data file, about.
    """

    def __init__(
        self,
        workspace: Workspace,
        dataset: CurrentDataset,
        schema: pa.Schema,
        location: Location,
        stamp: Stamp,
        limits: TransformLimits,
        span_rows: int,
    ) -> None:
        self._workspace = workspace
        self._limits = limits
        self._span_rows = span_rows
        self._dataset = dataset
        self._schema = schema
        self._location = location
        self._stamp = stamp
        self._first_rows: dict[CleanFile, int] = {}

    async def write(self, existing: Mapping[Span, int], since: int) -> list[NewFile]:
        """Write what differs from the data files that there are.

        Args:
            existing: Span -> rows of the data files that there are.
            since: Sequence that they are of; 0 to write all rows.
        """
        dataset = self._dataset
        groups = await self._changed_groups(since)
        stretches = [Stretch(self._span(one), one.rows) for one in groups]
        plan = plan_rewrites(dict(existing), stretches, self._span_rows)
        of_file = [await self._groups_in(one.span) for one in plan]
        await dataset.resolve([group for some in of_file for group in some])
        return await each(
            list(zip(plan, of_file, strict=True)), lambda one: self._write(*one), CONCURRENT_FILES
        )

    async def _changed_groups(self, since: int) -> Sequence[RowGroup]:
        if not since:
            return await self._dataset.live.row_groups()
        return await self._dataset.changed_groups()

    async def _groups_in(self, span: Span) -> list[RowGroup]:
        """Return the row groups that count in a span, in order of their places."""
        live = self._dataset.live
        files = live.since(span.start.sequence - 1).before(span.end.sequence + 1)
        groups = [one for one in await files.row_groups() if self._span(one).start in span]
        return sorted(groups, key=lambda one: self._span(one).start)

    def _span(self, group: RowGroup) -> Span:
        """Return the places of the rows of a row group."""
        file = group.file
        if file not in self._first_rows:
            self._first_rows[file] = self._dataset.live.first_row(file)
        first = self._first_rows[file] + group.first_row
        return Span(Place(file.sequence, first), Place(file.sequence, first + group.rows))

    async def _write(self, rewrite: Rewrite, groups: Sequence[RowGroup]) -> NewFile:
        name = rewrite.span.name(self._stamp.sequence, self._stamp.ledger)
        key = f"{self._location.key}/data/{name}"
        written = await write_data_file(
            self._workspace.store, key, self._schema, self._rows(groups)
        )
        return NewFile(
            url=f"{self._location.url}/data/{name}", written=written, replaced=rewrite.replaced
        )

    async def _rows(self, groups: Sequence[RowGroup]) -> AsyncIterator[pa.Table]:
        for batch in batch_row_groups(groups, self._limits.read_rows):
            yield await self._dataset.read(batch)
