"""Recognise records of nothing but delimiters, quotes and blanks, which are no rows.

Spreadsheets leave them where rows were deleted. The end-of-file mark of DOS (Ctrl-Z) and the zeros
of a block that a disk or tape filled up count as blanks here.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from kpi.contract.folding import BLANKS
from kpi.csv.chunk import Chunk
from kpi.csv.record_index import RecordBounds
from kpi.csv.repetition import repeated
from kpi.kernels.arrays import Mask

END_MARKS = b"\x00\x1a"
"""Bytes behind the last row of some files."""

_FIRST_BYTES = np.zeros(256, bool)
"""Bytes that a blank record may start with, beside the delimiter."""
_FIRST_BYTES[[ord('"'), *END_MARKS, *(blank.encode()[0] for blank in BLANKS)]] = True


def is_blank_record(record: bytes, delimiter: str) -> bool:
    """Check whether a record has no values at all."""
    return _pattern(delimiter).fullmatch(record) is not None


def find_blank_records(chunk: Chunk, records: RecordBounds, delimiter: str) -> Mask:
    """Mark the records that have no values at all.

    Args:
        chunk: The chunk.
        records: Some of its records; none of them is empty.
        delimiter: One ASCII character.
    """
    first = chunk.codes[records.starts]
    found = _FIRST_BYTES[first] | (first == ord(delimiter))
    pattern, buffer, origin = _pattern(delimiter), chunk.buffer, chunk.start
    for at in np.flatnonzero(found).tolist():
        start, end = int(records.starts[at]), int(records.ends[at])
        found[at] = pattern.fullmatch(buffer, origin + start, origin + end) is not None
    return found


@lru_cache
def _pattern(delimiter: str) -> re.Pattern[bytes]:
    """Match delimiters, quotes and blanks; no part of a match is tried twice."""
    parts = [re.escape(one.encode()) for one in (delimiter, '"', *BLANKS) if len(one.encode()) > 1]
    single = b"".join(re.escape(one.encode()) for one in (delimiter, '"', *BLANKS) if one < "\x7f")
    single += re.escape(END_MARKS)
    return re.compile(repeated(b"[" + single + b"]|" + b"|".join(parts)))
