"""Bring what makes later transforms cheap up to date, once the days are published."""

from __future__ import annotations

from collections.abc import Sequence

from worker.index.stored_intake import keep_intake
from worker.transform.catalog import Catalog
from worker.transform.history import History, keep_history
from worker.transform.index_upkeep import extend_index
from worker.transform.indexed_files import IndexedColumns
from worker.transform.pack_upkeep import extend_packs
from worker.transform.task import TransformTask


async def keep_up(
    task: TransformTask, history: History, columns: IndexedColumns, catalogs: Sequence[Catalog]
) -> dict[str, int]:
    """Extend key index, checkpoint, intake and packs; no failure of theirs fails the transform.

    Args:
        task: What was brought up to date.
        history: What the ledger knows.
        columns: Those that have pointers.
        catalogs: The files of each dataset.

    Returns:
        Notes of a report.
    """
    workspace, ledger = task.workspace, task.state
    notes = await extend_index(workspace, ledger, columns, catalogs, history.head)
    await keep_history(history, workspace, ledger, task.limits.tail_records)
    tail_records = task.limits.tail_records
    await keep_intake(workspace, ledger, history.head, tail_records=tail_records)
    return notes | await extend_packs(workspace, ledger, catalogs, history.head)
