"""Where a huge source object can be cut: byte ranges of whole records."""

from __future__ import annotations

from kpi.contract.model import Contract
from kpi.csv.grammar import QUOTE
from kpi.csv.splitter import RecordSplitter
from worker.objects.source import Source
from worker.validate.byte_ranges import Span
from worker.validate.stream import MAGIC, SourceStream

SPLIT_BYTES = 2**30
"""Bytes of a range unless asked otherwise."""


async def plan(source: Source, contract: Contract, split_bytes: int = SPLIT_BYTES) -> list[Span]:
    """Ranges of about `split_bytes` that begin and end between records.

    A compressed object is one range: only its beginning can be inflated without the rest.
    """
    size = source.info.size_bytes
    head = await source.store.read(source.info, 0, min(size, 8))
    if any(head.startswith(magic) for magic in MAGIC):
        return [(0, size)]
    edges = [0]
    for target in range(split_bytes, size, split_bytes):
        if target <= edges[-1]:
            continue
        edge = await _edge_near(source, contract, target)
        if edge is None:
            edge = await _edge_from(source, contract, edges[-1], target)
        if edges[-1] < edge < size:
            edges.append(edge)
    return list(zip(edges, [*edges[1:], size], strict=True)) if size else []


async def _edge_near(source: Source, contract: Contract, target: int) -> int | None:
    """The first record end at or behind `target`, if what lies around it tells.

    Where no quote stands within the longest record before it, no quoted field can reach it: every
    line end is a record end (`kpi.csv.splitter` ends a malformed record at its first line end).
    """
    start = max(0, target - contract.max_record_bytes - 1)
    end = min(source.info.size_bytes, target + contract.max_record_bytes)
    at = start
    window = 2**23
    while at < end:
        block = await source.store.read(source.info, at, min(at + window, end))
        if QUOTE in block:
            return None
        found = block.find(b"\n", max(target - 1 - at, 0))
        if found >= 0:
            return at + found + 1
        at += len(block)
    return None


async def _edge_from(source: Source, contract: Contract, start: int, target: int) -> int:
    """The first record end behind `target` that taking apart the stream from `start` finds."""
    splitter = RecordSplitter(
        delimiter=contract.delimiter, max_record_bytes=contract.max_record_bytes, offset=start
    )
    async with SourceStream(source.store, source.info, start=start, max_inflation=1) as stream:
        async for block in stream.blocks():
            chunk = splitter.push(block.data, again=block.again)
            if chunk is not None and chunk.offset + len(chunk.data) >= target:
                return chunk.offset + len(chunk.data)
    return source.info.size_bytes
