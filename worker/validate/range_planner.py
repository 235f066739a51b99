"""Plan where a huge source object can be cut: byte ranges of whole records."""

from __future__ import annotations

from kpi.contract.model import Contract
from kpi.csv.grammar import QUOTE
from kpi.csv.splitter import RecordSplitter
from worker.objects.source import Source
from worker.validate.byte_range import ByteRange
from worker.validate.codecs import find_codec
from worker.validate.stream import DEFAULT_BLOCK_SIZES, BlockSizes, SourceStream

SPLIT_BYTES = 2**30
"""Default length of a range."""

SEARCH_BYTES = 8 * 2**20
"""Bytes of one read while a line end is searched."""


async def plan_ranges(
    source: Source,
    contract: Contract,
    split_bytes: int = SPLIT_BYTES,
    block_sizes: BlockSizes = DEFAULT_BLOCK_SIZES,
) -> list[ByteRange]:
    """Cut an object between records into ranges of about `split_bytes`.

    A compressed object is one range: it can be decompressed only from its beginning. By a contract
    of language 2 an object is one range too: a row may depend on those above it.

    Raises:
        SourceError: The object cannot be read.
    """
    size = source.info.size_bytes
    if contract.shop is not None:
        return [ByteRange(0, size)] if size else []
    head = await source.store.read(source.info, 0, min(size, 8))
    if find_codec(head) is not None:
        return [ByteRange(0, size)]
    edges = [0]
    for target in range(split_bytes, size, split_bytes):
        if target <= edges[-1]:
            continue
        edge = await _find_edge_near(source, contract, target)
        if edge is None:
            start = edges[-1]
            edge = await _find_edge_from(source, contract, start, target, block_sizes)
        if edges[-1] < edge < size:
            edges.append(edge)
    ends = [*edges[1:], size]
    return [ByteRange(*one) for one in zip(edges, ends, strict=True)] if size else []


async def _find_edge_near(source: Source, contract: Contract, target: int) -> int | None:
    """Find the first record end at or behind `target` from the bytes around it.

    Where no quote precedes `target` within the longest record, no quoted field can reach it. Every
    line end is a record end then, as the splitter ends a malformed record at its first line end.

    Returns:
        The edge; None where a quote is near, or no line end.
    """
    start = max(0, target - contract.max_record_bytes - 1)
    end = min(source.info.size_bytes, target + contract.max_record_bytes)
    at = start
    while at < end:
        block = await source.store.read(source.info, at, min(at + SEARCH_BYTES, end))
        if QUOTE in block:
            return None
        found = block.find(b"\n", max(target - 1 - at, 0))
        if found >= 0:
            return at + found + 1
        at += len(block)
    return None


async def _find_edge_from(
    source: Source, contract: Contract, start: int, target: int, block_sizes: BlockSizes
) -> int:
    """Find the first record end at or behind `target` by splitting the stream from `start`."""
    splitter = RecordSplitter(
        delimiter=contract.delimiter, max_record_bytes=contract.max_record_bytes, offset=start
    )
    async with SourceStream(
        source.store,
        source.info,
        byte_range=ByteRange(start, source.info.size_bytes),
        max_inflation=1,
        block_sizes=block_sizes,
    ) as stream:
        async for block in stream.blocks():
            for chunk in splitter.split(block.data, overlap=block.overlap):
                if chunk.offset + chunk.size >= target:
                    return chunk.offset + chunk.size
    return source.info.size_bytes
