"""The accepted uploads up to one ledger sequence, and which of them count, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kpi.kernels.arrays import Int64s
from worker.clean import Workspace
from worker.errors import SourceError, StoreError
from worker.index.checkpoint import Checkpoint, extend_checkpoint, joined, open_checkpoint
from worker.index.upload_rows import upload_rows
from worker.state import Entry, Ledger, Ruling
from worker.state.contract_in_force import ContractInForce
from worker.state.counted import CountedUploads
from worker.state.earlier_uploads import Sequences
from worker.state.natural_order import natural_order
from worker.state.paging import records_in_pages

CHUNKS = 8
"""Pages of the ledger from which on their rows are joined: look-ups in many chunks are slow."""


@dataclass(frozen=True, kw_only=True)
class History:
    """What the ledger knows at a sequence.

    Attributes:
        head: The sequence.
        in_force: The contract, by which entries are chosen.
        rows: Rows of all accepted entries, of `worker.index.upload_rows`, ascending by sequence.
        places: Place of each row in the order of precedence; -1 where its upload does not count.
        uploads: Which uploads count, and since when.
        rulings: The rulings that matter for it, ascending.
        checkpoint: What was read of it instead of the ledger.
    """

    head: int
    in_force: ContractInForce
    rows: pa.Table
    places: Int64s
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
    earlier = checkpoint.uploads
    uploads = CountedUploads(replaces_file, earlier)
    tables = [earlier.rows]
    rulings = [*earlier.rulings]
    async for page in records_in_pages(ledger, head, earlier.up_to):
        records = in_force.select(page)
        uploads.add(records)
        rulings += (one for one in records if isinstance(one, Ruling))
        tables.append(
            upload_rows(
                one for one in records if isinstance(one, Entry) and one.verdict == "accepted"
            )
        )
    rows = joined(tables)
    if len(tables) > CHUNKS:
        rows = rows.combine_chunks()
    return History(
        head=head,
        in_force=in_force,
        rows=rows,
        places=places_of(rows, uploads.counted()),
        uploads=uploads,
        rulings=tuple(rulings),
        checkpoint=checkpoint,
    )


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
            counted=history.uploads.counted(),
            rulings=history.rulings,
            up_to=history.head,
        )
    except (SourceError, StoreError):
        return False  # the next transform tries again
    return True


def places_at(history: History, sequence: int) -> Int64s:
    """Return what `History.places` was at a sequence, not before that of its checkpoint."""
    return places_of(history.rows, history.uploads.counted(sequence))


def places_of(rows: pa.Table, counted_sequences: Sequences) -> Int64s:
    """Return the place of each row in the order of precedence; -1 where its upload does not count.

    Args:
        rows: Rows of `worker.index.upload_rows`.
        counted_sequences: Sequences of the uploads that count.
    """
    sequences = rows.column("sequence").to_numpy()
    times = rows.column("uploaded_at").to_numpy()
    counted = np.flatnonzero(np.isin(sequences, counted_sequences))
    ordered = counted[np.argsort(times[counted], kind="stable")]
    for start, end in _ties(times[ordered], sequences[ordered]):
        ordered[start:end] = _in_natural_order(rows, ordered[start:end])
    places = np.full(len(rows), -1, np.int64)
    places[ordered] = np.arange(len(ordered))
    return places


def _ties(times: Int64s, sequences: Int64s) -> list[tuple[int, int]]:
    """Return the stretches of equal times that have several uploads."""
    if not len(times):
        return []
    starts = np.flatnonzero(np.diff(times, prepend=times[:1] - 1))
    ends = np.append(starts[1:], len(times))
    changes = np.flatnonzero(np.diff(sequences)) + 1  # another upload than the row before
    inside = np.searchsorted(changes, ends) - np.searchsorted(changes, starts, side="right") > 0
    return list(zip(starts[inside].tolist(), ends[inside].tolist(), strict=True))


def _in_natural_order(rows: pa.Table, at: Int64s) -> Int64s:
    """Order rows of equal times by the names of their uploads; parts of one stay in order."""
    taken = rows.select(["url", "source_id"]).take(pa.array(at))
    names = zip(*(column.to_pylist() for column in taken.columns), strict=True)
    keys = [(natural_order(url), url, source_id) for url, source_id in names]
    return at[sorted(range(len(keys)), key=keys.__getitem__)]
