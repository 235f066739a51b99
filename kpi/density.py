"""Blocks of very short lines, cut smaller: what a record costs is then bounded as its bytes are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kpi.quotes import CR, LF

MOST_LINES = 120_000
"""Lines of one chunk, about. While a reject is told with its reasons it takes up to a kilobyte,
however short it is; a block of 8 MB has more lines where they are shorter than 70 bytes."""

_STRIDE = 1009
"""One byte in so many is looked at; a prime, since lines of one length are common."""


def few_lines(block: bytes) -> Iterator[bytes]:
    """The block, in parts where it has many lines."""
    some = np.frombuffer(block, np.uint8)[::_STRIDE]
    # Lines end with one of them or with both.
    ends = max(np.count_nonzero(some == code) for code in (LF, CR))
    if ends * _STRIDE <= MOST_LINES:
        yield block
        return
    lines = max(block.count(b"\n"), block.count(b"\r"))
    size = -(-len(block) // max(-(-lines // MOST_LINES), 1))
    for at in range(0, len(block), size):
        yield block[at : at + size]
