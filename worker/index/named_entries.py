"""Find the entries of files by the ends of their URLs, without reading the whole ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.kernels.masks import true
from worker.clean import Workspace
from worker.index.checkpoint import open_checkpoint
from worker.index.upload_table import UploadTable
from worker.state import Entry, Ledger
from worker.state.contract_in_force import ContractInForce
from worker.state.paging import PAGE_ENTRIES, records_in_pages


async def entries_named(
    workspace: Workspace,
    ledger: Ledger,
    in_force: ContractInForce,
    head: int,
    names: Collection[str],
) -> AsyncIterator[list[Entry]]:
    """Yield the accepted entries whose URLs end with a name, and maybe others, in pages, ascending.

    Args:
        workspace: Where the checkpoint of the ledger is.
        ledger: The ledger.
        in_force: The contract at `head`.
        head: Sequence of the last record that is heeded.
        names: Whole last segments of URLs, as `orders/1.csv`.

    Raises:
        StoreError: A store fails after retries.
    """
    uploads = (await open_checkpoint(workspace, ledger, in_force, head)).uploads
    sequences = _sequences_named(uploads.rows, names)
    for start in range(0, len(sequences), PAGE_ENTRIES):
        yield await ledger.entries_at(sequences[start : start + PAGE_ENTRIES])
    async for page in records_in_pages(ledger, head, uploads.up_to):
        yield [one for one in page if isinstance(one, Entry)]


def _sequences_named(rows: UploadTable, names: Collection[str]) -> list[int]:
    """Return the sequences of uploads whose URLs end with a name, ascending."""
    by_segments: dict[int, list[str]] = defaultdict(list)
    for name in names:
        by_segments[name.count("/") + 1].append(name)
    found = [np.zeros(0, np.int64)]
    for _, (urls, sequences) in rows.scan("url", "sequence"):
        is_named = np.zeros(len(urls), bool)
        for segments, of_length in by_segments.items():
            pattern = rf"/(?P<end>(?:[^/]*/){{{segments - 1}}}[^/]*)$"
            ends = pc.struct_field(pc.extract_regex(urls, pattern), "end")
            is_named |= true(pc.is_in(ends, pa.array(of_length, ends.type)))
        found.append(sequences.to_numpy()[is_named])
    return np.unique(np.concatenate(found)).tolist()
