"""Decide whether files fit the contract by their folders and headers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing

from kpi.contract.model import Contract
from kpi.csv.header import Layout, read_layout
from worker.errors import SourceError
from worker.objects.source import Source
from worker.runtime.concurrency import each
from worker.validate.stream import BlockSizes, SourceStream
from worker.validate.verdict import Unreadable

FILES_LOOKED_AT = 200
"""Files whose headers are read; a folder may have thousands of one layout."""

FILES_OF_A_FOLDER = 20
CONCURRENT_LOOKS = 8

HEADER_BYTES = 2**16
"""Longest header looked at; a file with a longer one does not fit."""


def first_of_folders(sources: Sequence[Source]) -> list[Source]:
    """Choose the first files of each folder."""
    of_folder: Counter[str] = Counter()
    chosen: list[Source] = []
    for source in sources:
        folder = source.info.key.rpartition("/")[0]
        of_folder[folder] += 1
        if of_folder[folder] <= FILES_OF_A_FOLDER and len(chosen) < FILES_LOOKED_AT:
            chosen.append(source)
    return chosen


async def fit_contract(sources: Sequence[Source], contract: Contract) -> bool:
    """Return whether the first files of each folder have the columns of the folder's dataset.

    Args:
        sources: Files, wherever they are; none fits where there are none.
        contract: A contract of language 1.
    """
    misfits: list[Source] = []

    async def look(source: Source) -> None:
        if not misfits and not await _fits(source, contract):
            misfits.append(source)

    await each(first_of_folders(sources), look, CONCURRENT_LOOKS)
    return bool(sources) and not misfits


async def _fits(source: Source, contract: Contract) -> bool:
    dataset = contract.dataset_of(source.info.key)
    if dataset is None:
        return False
    sizes = BlockSizes(block_bytes=HEADER_BYTES, overlap_bytes=0)
    stream = SourceStream(
        source.store, source.info, max_inflation=contract.max_inflation, block_sizes=sizes
    )
    try:
        async with stream, aclosing(stream.blocks()) as blocks:
            block = await anext(blocks, None)
    except (SourceError, Unreadable):
        return False
    record, *_ = (b"" if block is None else bytes(block.new)).splitlines() or [b""]
    return isinstance(read_layout(record, contract, contract.datasets[dataset]), Layout)
