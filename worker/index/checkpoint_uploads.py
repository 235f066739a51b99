"""The uploads of a checkpoint, as `worker.state.counted` asks for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from kpi.kernels.arrays import Int64s, Mask
from worker.index.upload_rows import UPLOAD_COLUMNS, read_uploads
from worker.index.upload_table import UploadTable
from worker.state.earlier_uploads import Sequences, items_among
from worker.state.records import Ruling
from worker.state.upload import Name, Upload


class CheckpointUploads:
    """Accepted entries up to a ledger sequence; see `worker.state.earlier_uploads`.

    Attributes:
        up_to: The sequence.
        rows: Their rows.
        uncounted: Sequences of the entries that do not count, ascending.
        rulings: The last ruling on each source object that has one.
    """

    def __init__(
        self, up_to: int, rows: UploadTable, uncounted: Sequences, rulings: Sequence[Ruling]
    ) -> None:
        self.up_to = up_to
        self.rows = rows
        self.uncounted = uncounted
        self.rulings = rulings

    def counts(self, sequences: Sequences) -> Mask:
        found = np.ones(len(sequences), bool)
        found[items_among(sequences, self.uncounted)] = False
        found[int(np.searchsorted(sequences, self.up_to, "right")) :] = False
        return found

    def counted(self) -> list[Upload]:
        rows = np.flatnonzero(self.rows.is_first)
        uploads = read_uploads(self.rows.take(UPLOAD_COLUMNS, rows))
        counts = self.counts(np.array([one.sequence for one in uploads], np.int64))
        return [upload for upload, one in zip(uploads, counts.tolist(), strict=True) if one]

    def moved(self) -> list[Upload]:
        return self._of_rows(self.rows.rows_with_text("moved_from"))

    def of_files(self, files: Collection[Name]) -> list[Upload]:
        found = self._of_rows(self.rows.rows_with("url", {url for url, _ in files}))
        return [upload for upload in found if upload.file in files]

    def of_sources(self, source_ids: Collection[str]) -> list[Upload]:
        return self._of_rows(self.rows.rows_with("source_id", source_ids))

    def of_contents(self, contents: Collection[str]) -> list[Upload]:
        return self._of_rows(self.rows.rows_with("content", contents))

    def _of_rows(self, rows: Int64s) -> list[Upload]:
        """Return the uploads whose first rows are among some."""
        firsts = rows[self.rows.is_first[rows]]
        return read_uploads(self.rows.take(UPLOAD_COLUMNS, firsts))
