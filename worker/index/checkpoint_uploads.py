"""The uploads of a checkpoint, as `worker.state.counted` asks for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.kernels.arrays import Int64s
from kpi.kernels.masks import booleans
from worker.index.upload_rows import read_uploads
from worker.state.earlier_uploads import Sequences
from worker.state.records import Ruling
from worker.state.upload import Name, Upload


class CheckpointUploads:
    """Accepted entries up to a ledger sequence; see `worker.state.earlier_uploads`.

    Attributes:
        up_to: The sequence.
        rows: Rows of `worker.index.upload_rows`, ascending by sequence.
        counted: Sequences of the entries that count, ascending.
        rulings: The last ruling on each source object that has one.
    """

    def __init__(
        self, up_to: int, rows: pa.Table, counted: Sequences, rulings: Sequence[Ruling]
    ) -> None:
        self.up_to = up_to
        self.rows = rows
        self.counted = counted
        self.rulings = rulings
        # One row for each upload; mostly these are all.
        has_parts = pc.any(pc.not_equal(rows.column("part"), 0)).as_py()
        self._firsts = rows.filter(pc.equal(rows.column("part"), 0)) if has_parts else rows

    @property
    def sequences(self) -> Int64s:
        """Sequences of all entries, ascending."""
        found: Int64s = self._firsts.column("sequence").to_numpy()
        return found

    def moved(self) -> list[Upload]:
        return self._where(pc.not_equal(self._firsts.column("moved_from"), ""))

    def of_files(self, files: Collection[Name]) -> list[Upload]:
        urls = self._firsts.column("url")
        found = self._where(pc.is_in(urls, pa.array({url for url, _ in files}, urls.type)))
        return [upload for upload in found if upload.file in files]

    def of_sources(self, source_ids: Collection[str]) -> list[Upload]:
        ids = self._firsts.column("source_id")
        return self._where(pc.is_in(ids, pa.array(source_ids, ids.type)))

    def of_sequences(self, sequences: Collection[int]) -> list[Upload]:
        wanted = np.fromiter(sequences, np.int64, len(sequences))
        return self._where(booleans(np.isin(self.sequences, wanted)))

    def of_contents(self, contents: Collection[str]) -> list[Upload]:
        column = self._firsts.column("content")
        return self._where(pc.is_in(column, pa.array(contents, column.type)))

    def _where(self, mask: pa.Array | pa.ChunkedArray) -> list[Upload]:
        return read_uploads(self._firsts.filter(mask))
