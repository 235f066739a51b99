"""Recognise records of nothing but delimiters, quotes and blanks, which are no rows.

Spreadsheets leave them where rows were deleted.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from kpi.contract.folding import BLANKS
from kpi.csv.chunk import Chunk
from kpi.csv.record_index import RecordBounds
from kpi.kernels.arrays import Mask

_FIRST_BYTES = np.zeros(256, bool)
"""Bytes that a blank record may start with, beside the delimiter."""
_FIRST_BYTES[[ord('"'), *(blank.encode()[0] for blank in BLANKS)]] = True


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
    return re.compile(b"(?:[" + single + b"]|" + b"|".join(parts) + b")*+")
