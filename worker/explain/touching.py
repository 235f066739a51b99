"""Find the ledger records that may decide which of some files count."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from worker.state.upload import Name
from worker.transform.history import History


def records_about(history: History, source_ids: Collection[str]) -> list[int]:
    """Return the sequences of the records that are about the names of some source objects.

    What counts of a name depends on its uploads and the rulings on them, and on nothing else.

    Args:
        history: Every record up to its head, without a checkpoint.
        source_ids: The source objects.
    """
    rows = history.rows
    urls: set[str] = set()
    for row in rows.take(["url", "dataset"], rows.rows_with("source_id", source_ids)).to_pylist():
        # By a contract of language 2 the dataset is no part of the name.
        names: set[Name] = {(row["url"], row["dataset"]), (row["url"], "")}
        urls |= {url for name in names for url in history.uploads.urls_of(name)} | {row["url"]}
    of_names = rows.take(["sequence", "source_id"], rows.rows_with("url", urls))
    found = set(np.unique(of_names.column("sequence").to_numpy()).tolist())
    sources = set(of_names.column("source_id").to_pylist())
    found |= {one.sequence for one in history.rulings if one.source_id in sources}
    return sorted(found)


def first_of(history: History, source_ids: Collection[str]) -> int:
    """Return the sequence of the first entry of some source objects; the head for none."""
    rows = history.rows
    sequences = rows.take(["sequence"], rows.rows_with("source_id", source_ids)).column(0)
    return int(min(sequences.to_pylist(), default=history.head))
