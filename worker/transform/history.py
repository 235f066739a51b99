"""The accepted uploads up to one ledger sequence, and which of them count, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.kernels.arrays import Int64s
from worker.clean import Workspace
from worker.errors import SourceError, StoreError
from worker.index.checkpoint import Checkpoint, extend_checkpoint, open_checkpoint
from worker.index.checkpoint_uploads import CheckpointUploads
from worker.index.upload_rows import upload_rows
from worker.index.upload_segments import NoRoomError, store_rows
from worker.index.upload_table import TableChunk, UploadTable
from worker.state import Entry, Ledger, Record, Ruling
from worker.state.contract_in_force import ContractInForce
from worker.state.counted import CountedUploads
from worker.state.earlier_uploads import Sequences
from worker.state.natural_order import natural_order
from worker.state.paging import records_in_pages

SPILLED_ROWS = 16_384
"""Rows in memory from which on those that nothing is asked about are moved to a file: some 6 MB."""

ORDERED_ROWS = 65_536
"""Rows whose order is worked on at once."""

Places = npt.NDArray[np.int32]
"""Place of the clean file of each row in the order of precedence; -1 where it does not count."""


@dataclass(frozen=True, kw_only=True)
class History:
    """What the ledger knows at a sequence.

    Attributes:
        head: The sequence.
        in_force: The contract, by which entries are chosen.
        rows: Rows of all accepted entries, ascending by sequence.
        places: Place of each row in the order of precedence; -1 where its upload does not count.
        uploads: Which uploads count, and since when.
        rulings: The rulings that matter for it, ascending.
        checkpoint: What was read of it instead of the ledger.
    """

    head: int
    in_force: ContractInForce
    rows: UploadTable
    places: Places
    uploads: CountedUploads
    rulings: tuple[Ruling, ...]
    checkpoint: Checkpoint


def no_dataset(_: str) -> bool:
    """Answer that later files of no dataset replace earlier ones whole."""
    return False


async def read_history(
    ledger: Ledger,
    head: int,
    workspace: Workspace,
    in_force: ContractInForce,
    *,
    since: int = 0,
    replaces_file: Callable[[str], bool] = no_dataset,
) -> History:
    """Read the ledger up to `head`.

    Args:
        ledger: The ledger.
        head: Sequence of the last record that is heeded.
        workspace: Where its checkpoint is.
        in_force: The contract at `head`.
        since: Sequence since which changes are asked for; a checkpoint is not beyond it.
        replaces_file: See `CountedUploads`.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    checkpoint = await open_checkpoint(workspace, ledger, in_force, min(since, head))
    reading = _Reading(checkpoint.uploads, replaces_file)
    async for page in records_in_pages(ledger, head, checkpoint.uploads.up_to):
        reading.add(in_force.select(page))
        reading.spill(min(since, head))
    rows = reading.all_rows()
    return History(
        head=head,
        in_force=in_force,
        rows=rows,
        places=places_of(rows, reading.uploads),
        uploads=reading.uploads,
        rulings=tuple(reading.rulings),
        checkpoint=checkpoint,
    )


class _Reading:
    """Collects records; moves their rows to a file where nothing is asked about what they changed.

    A ledger that has no checkpoint is read so in bounded memory: as if it had one.
    """

    def __init__(self, earlier: CheckpointUploads, replaces_file: Callable[[str], bool]) -> None:
        self.uploads = CountedUploads(replaces_file, earlier)
        self.rulings = [*earlier.rulings]
        self._replaces_file = replaces_file
        self._earlier = earlier
        self._tables: list[pa.Table] = []
        self._last = earlier.up_to

    def add(self, records: Sequence[Record]) -> None:
        self.uploads.add(records)
        self.rulings += (one for one in records if isinstance(one, Ruling))
        accepted = (one for one in records if isinstance(one, Entry) and one.verdict == "accepted")
        self._tables.append(upload_rows(accepted))
        self._last = max([self._last, *(one.sequence for one in records)])

    def all_rows(self) -> UploadTable:
        tables = [table for table in self._tables if len(table)]
        if not tables:
            return self._earlier.rows
        # Some tables have bounds that others have not.
        tail = pa.concat_tables(tables, promote_options="default")
        return UploadTable([*self._earlier.rows.chunks, TableChunk(tail)])

    def spill(self, since: int) -> None:
        """Move the rows to a file where they are many, and changes since them are asked for."""
        rows = sum(map(len, self._tables))
        if rows < SPILLED_ROWS or self._last > since:
            return
        every = self.all_rows()
        with suppress(NoRoomError):  # then they stay in memory
            stored = store_rows(every, len(self._earlier.rows))
            chunks = stored.chunks("a temporary file")
            self._earlier = CheckpointUploads(
                self._last,
                UploadTable([*self._earlier.rows.chunks, *chunks]),
                uncounted_of(every, self.uploads),
                last_rulings(self.rulings),
            )
            self.uploads = CountedUploads(self._replaces_file, self._earlier)
            self._tables = []


async def keep_history(
    history: History, workspace: Workspace, ledger: Ledger, tail_records: int
) -> bool:
    """Write a checkpoint where many records follow on the last one; nothing that fails matters.

    Returns:
        Whether it was written.
    """
    if history.head - history.checkpoint.uploads.up_to < tail_records:
        return False
    try:
        await extend_checkpoint(
            history.checkpoint,
            workspace,
            ledger,
            history.in_force,
            rows=history.rows,
            uncounted=_sequences_of(history.rows, np.flatnonzero(history.places < 0)),
            rulings=last_rulings(history.rulings),
            up_to=history.head,
        )
    except (SourceError, StoreError):
        return False  # the next transform tries again
    return True


def uncounted_of(rows: UploadTable, uploads: CountedUploads) -> Sequences:
    """Return the sequences of the uploads that do not count, ascending."""
    counts = uploads.counts(rows.numbers("sequence"))
    return _sequences_of(rows, np.flatnonzero(~counts))


def _sequences_of(rows: UploadTable, at: Int64s) -> Sequences:
    return np.unique(rows.take(["sequence"], at).column("sequence").to_numpy())


def last_rulings(rulings: Iterable[Ruling]) -> list[Ruling]:
    """Return the last of some ascending rulings on each source object."""
    return list({one.source_id: one for one in rulings}.values())


def places_at(history: History, sequence: int) -> Places:
    """Return what `History.places` was at a sequence, not before that of its checkpoint."""
    return places_of(history.rows, history.uploads, sequence)


def places_of(rows: UploadTable, uploads: CountedUploads, up_to: int | None = None) -> Places:
    """Return the place of each row in the order of precedence; -1 where its upload does not count.

    Args:
        rows: Rows of all accepted entries.
        uploads: Which of them count.
        up_to: Sequence of the last record that is heeded; None for all.
    """
    counts = uploads.counts(rows.numbers("sequence"), up_to)
    times = rows.numbers("uploaded_at")
    order = np.argsort(times, kind="stable")
    for start, end in _ties(times, order):
        order[start:end] = _in_natural_order(rows, order[start:end])
    del times  # each of these arrays has 16 MB with 2 million rows
    places = np.empty(len(rows), np.int32)
    for start in range(0, len(order), ORDERED_ROWS):
        some = order[start : start + ORDERED_ROWS]
        places[some] = np.arange(start, start + len(some), dtype=np.int32)
    places[~counts] = -1
    return places


def _ties(times: Int64s, order: Int64s) -> list[tuple[int, int]]:
    """Return the stretches of several equal times in their order."""
    is_tied = np.zeros(len(order) + 1, bool)  # between a row and the one before it
    for start in range(0, len(order), ORDERED_ROWS):
        some = times[order[start : start + ORDERED_ROWS + 1]]
        is_tied[start + 1 : start + len(some)] = some[1:] == some[:-1]
    starts = np.flatnonzero(~is_tied[:-1] & is_tied[1:])
    ends = np.flatnonzero(is_tied[:-1] & ~is_tied[1:]) + 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _in_natural_order(rows: UploadTable, at: Int64s) -> Int64s:
    """Order rows of equal times by the names of their uploads; parts of one stay in order."""
    firsts = at[rows.is_first[at]]
    if len(firsts) < 2:
        return at
    taken = rows.take(["url", "source_id"], at)
    names = zip(*(column.to_pylist() for column in taken.columns), strict=True)
    keys = [(natural_order(url), url, source_id) for url, source_id in names]
    return at[sorted(range(len(keys)), key=keys.__getitem__)]
