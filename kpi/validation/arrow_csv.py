"""A chunk read by `pyarrow.csv`, in blocks that fit the cache where that pays."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from kpi.csv.chunk import Chunk
from kpi.csv.header import Layout
from kpi.csv.scan import positions_of, whole_of
from kpi.kernels.arrays import Positions

BLOCK_BYTES = 2**21
"""Bytes that `pyarrow.csv` finds the fields of at once: each column then goes over them again, as
long as they are in the cache."""

_CACHED = 2**18
"""Bytes looked at twice before the next, so that the second look finds them in the cache."""

_LOOKED_BACK = 64
"""Quoted fields with line ends that are passed over to find where a record ends in a block."""


def read_csv(
    chunk: Chunk,
    names: list[str],
    types: dict[str, pa.DataType],
    layout: Layout,
    invalid_row_handler: Callable[[pacsv.InvalidRow], Literal["skip", "error"]] | None,
    *,
    is_utf8: bool,
) -> pa.Table:
    """The records of a chunk, a block at a time.

    Args:
        chunk: The chunk.
        names: Of the columns, in the order of the header.
        types: Column -> what its values are read as.
        layout: Of the source object.
        invalid_row_handler: Told of each record of wrong width.
        is_utf8: Whether that is known of all texts, so that none is checked.

    Errors: `pa.ArrowInvalid` where a value is not of its column's type.
    """
    contract = layout.contract
    data = chunk.data
    if not data:
        return pa.table({name: pa.array([], kind) for name, kind in types.items()})
    block_bytes = _block_bytes(chunk, layout)
    if bytes(data[:3]) == codecs.BOM_UTF8:
        # The converter passes over a byte order mark; here it is part of a value.
        data = memoryview(b"\n" + data)
        block_bytes = len(data) + 1
    return pacsv.read_csv(
        pa.BufferReader(data),
        read_options=pacsv.ReadOptions(
            column_names=names,
            use_threads=False,
            block_size=block_bytes,
        ),
        parse_options=pacsv.ParseOptions(
            delimiter=contract.delimiter,
            quote_char=False if chunk.plain else '"',
            newlines_in_values=not chunk.plain,
            invalid_row_handler=invalid_row_handler,
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            null_values=list(contract.null_values),
            strings_can_be_null=True,
            check_utf8=not is_utf8,
        ),
    )


def _block_bytes(chunk: Chunk, layout: Layout) -> int:
    """How much of a chunk is parsed at once."""
    size, quotes = len(chunk.data), chunk.few_quotes
    if layout.has_texts or quotes is None or not chunk.paired:
        # Joining texts costs more than the cache spares.
        return size + 1
    for start in range(0, size - BLOCK_BYTES, BLOCK_BYTES):
        # A record may begin in one block and end in the next, not in a later one.
        if not _record_ends(chunk, quotes, start, start + BLOCK_BYTES):
            return size + 1
    return BLOCK_BYTES


def _record_ends(chunk: Chunk, quotes: Positions, start: int, end: int) -> bool:
    """Whether a record surely ends with a line feed in a part of a chunk."""
    whole, first = whole_of(chunk.data)
    for _ in range(_LOOKED_BACK):
        stop = max(whole.rfind(b"\n", first + start, first + end) - first, -1)
        before = int(np.searchsorted(quotes, stop))
        if stop < 0 or before % 2 == 0:
            return stop >= 0
        end = int(quotes[before - 1])  # which opens the field that it stands in
    return False


def may_have_hexadecimal(chunk: Chunk, top: int) -> bool:
    """Whether 0x stands in it: the CSV converter reads 0x1F as an integer, which no shop means.

    Args:
        chunk: The chunk.
        top: Its highest byte: statuses, numbers and times hardly have letters behind w.
    """
    (whole, first), size = whole_of(chunk.data), len(chunk.data)
    # One byte is searched for much faster than two, and exports rarely have an x at all.
    stop = first + size
    pieces = ((start, min(start + _CACHED, stop)) for start in range(first, stop, _CACHED))
    letters = (b"x", b"X") if top >= ord("x") else (b"X",)
    if not any(whole.find(code, *piece) >= 0 for piece in pieces for code in letters):
        return False
    codes = np.frombuffer(chunk.data, np.uint8)
    places = np.concatenate([positions_of(chunk.data, code) for code in b"xX"])
    return bool((codes[places[places > 0] - 1] == ord("0")).any())
