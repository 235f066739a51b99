"""Decide which uploads are retracted."""

from __future__ import annotations

from collections.abc import Iterable

from worker.state.records import Record, Ruling


def retracted_sources(records: Iterable[Record]) -> set[str]:
    """Return the uploads whose last ruling is a retraction.

    Args:
        records: Ledger records, ascending by sequence; entries are passed over.
    """
    retracted: set[str] = set()
    for record in records:
        if isinstance(record, Ruling):
            if record.kind == "retraction":
                retracted.add(record.source_id)
            else:
                retracted.discard(record.source_id)
    return retracted
