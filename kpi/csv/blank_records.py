"""Recognise records of nothing but delimiters, quotes and blanks, which are no rows.

Spreadsheets leave them where rows were deleted. The end-of-file mark of DOS (Ctrl-Z) and the zeros
of a block that a disk or tape filled up count as blanks here.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.folding import BLANKS
from kpi.csv.chunk import Chunk
from kpi.csv.record_index import RecordBounds
from kpi.csv.repetition import repeated
from kpi.kernels.arrays import Bytes, Mask, Positions

END_MARKS = b"\x00\x1a"
"""Bytes behind the last row of some files."""

_FIRST_BYTES = np.zeros(256, bool)
"""Bytes that a blank record may start with, beside the delimiter."""
_FIRST_BYTES[[ord('"'), *END_MARKS, *(blank.encode()[0] for blank in BLANKS)]] = True


def is_blank_record(record: bytes, delimiter: str) -> bool:
    """Check whether a record has no values at all."""
    return _pattern(f'{delimiter}"').fullmatch(record) is not None


def find_blank_records(
    chunk: Chunk, records: RecordBounds, delimiter: str, *, quote: str = '"'
) -> Mask:
    """Mark the records that have no values at all.

    Args:
        chunk: The chunk.
        records: Some of its records; none of them is empty.
        delimiter: One ASCII character.
        quote: The quote, which is no value by itself; empty where fields have none.
    """
    first = chunk.codes[records.starts]
    found = _FIRST_BYTES[first] | (first == ord(delimiter))
    pattern, buffer, origin = _pattern(delimiter + quote), chunk.buffer, chunk.start
    for at in np.flatnonzero(found).tolist():
        start, end = int(records.starts[at]), int(records.ends[at])
        found[at] = pattern.fullmatch(buffer, origin + start, origin + end) is not None
    return found


def find_blank_cells(cells: pa.Array) -> Mask:
    """Mark the cells that show nothing, and those that are null.

    Args:
        cells: Texts, or bytes that may be none.
    """
    if not len(cells):
        return np.zeros(0, bool)
    # A binary array as texts without a check: only bytes of ASCII are cut off.
    texts = cells.cast(pa.binary()).view(pa.string())
    filled, first = _first_bytes(texts)
    blank = np.ones(len(cells), bool)
    blank[filled] = _FIRST_BYTES[first]
    some = filled[_FIRST_BYTES[first]]
    if not len(some):
        return blank
    texts = pc.ascii_trim_whitespace(texts.take(pa.array(some)))
    filled, first = _first_bytes(texts)
    blank[some[filled]] = False
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset :][: len(texts) + 1]
    pattern = _pattern("")
    for at in filled[_FIRST_BYTES[first]].tolist():
        blank[some[at]] = pattern.fullmatch(data, offsets[at], offsets[at + 1]) is not None
    return blank


def _first_bytes(texts: pa.Array) -> tuple[Positions, Bytes]:
    """Find the texts that are not empty, and the first byte of each."""
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset :][: len(texts) + 1]
    filled = np.flatnonzero(offsets[1:] > offsets[:-1])
    return filled, np.frombuffer(data or b"", np.uint8)[offsets[filled]]


@lru_cache
def _pattern(others: str) -> re.Pattern[bytes]:
    """Match blanks and some other characters; no part of a match is tried twice."""
    parts = [re.escape(one.encode()) for one in (*others, *BLANKS) if len(one.encode()) > 1]
    single = b"".join(re.escape(one.encode()) for one in (*others, *BLANKS) if one < "\x7f")
    single += re.escape(END_MARKS)
    return re.compile(repeated(b"[" + single + b"]|" + b"|".join(parts)))
