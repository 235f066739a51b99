"""Split blocks that have very many lines, so that the cost of a block's records is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from kpi.csv.grammar import CR, LF

MAX_CHUNK_LINES = 120_000
"""Lines of one chunk, where lines are alike. A reject takes up to 1 KB with its reasons, however
short its record. Blocks of 8 MiB have more lines than this where lines are shorter than 70 bytes.
"""

_SAMPLE_STRIDE_BYTES = 1009
"""Distance between the bytes that estimate the number of lines; a prime, since lines of one length
are common."""

_MIN_GROWTH_DIVISOR = 4
"""A part is at least a fourth of the unfinished record before it. Each part scans that record
again, so shorter parts would cost quadratic time."""


def limit_lines(block: bytes, unfinished_bytes: Callable[[], int]) -> Iterator[bytes]:
    """Split a block into parts of at most about `MAX_CHUNK_LINES` lines.

    Args:
        block: Consecutive bytes of a stream.
        unfinished_bytes: Returns the length, so far, of the record that the next part continues.
    """
    sample = np.frombuffer(block, np.uint8)[::_SAMPLE_STRIDE_BYTES]
    # Lines end with CR, LF or both.
    ends = max(np.count_nonzero(sample == code) for code in (LF, CR))
    if ends * _SAMPLE_STRIDE_BYTES <= MAX_CHUNK_LINES:
        yield block
        return
    lines = max(block.count(b"\n"), block.count(b"\r"))
    size = -(-len(block) // max(-(-lines // MAX_CHUNK_LINES), 1))
    at = 0
    while at < len(block):
        end = at + max(size, unfinished_bytes() // _MIN_GROWTH_DIVISOR)
        yield block[at:end]
        at = end
