"""Blocks of very short lines, cut smaller: what a record costs is then bounded as its bytes are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from kpi.csv.grammar import CR, LF

MOST_LINES = 120_000
"""Lines of one chunk, where they are alike. While a reject is told with its reasons it takes up to
a kilobyte, however short it is. A block of 8 MB has more where they are shorter than 70 bytes."""

_STRIDE = 1009
"""One byte in so many is looked at; a prime, since lines of one length are common."""

_LEAST_GROWTH = 4
"""No part is shorter than a fourth of the record that it goes on with: that is read anew with each
part, and would be read too often otherwise."""


def few_lines(block: bytes, unfinished: Callable[[], int]) -> Iterator[bytes]:
    """The block, in parts where it has many lines.

    Args:
        block: Some bytes of a stream.
        unfinished: Tells how long the record is so far that the next part goes on with.
    """
    some = np.frombuffer(block, np.uint8)[::_STRIDE]
    # Lines end with one of them or with both.
    ends = max(np.count_nonzero(some == code) for code in (LF, CR))
    if ends * _STRIDE <= MOST_LINES:
        yield block
        return
    lines = max(block.count(b"\n"), block.count(b"\r"))
    size = -(-len(block) // max(-(-lines // MOST_LINES), 1))
    at = 0
    while at < len(block):
        end = at + max(size, unfinished() // _LEAST_GROWTH)
        yield block[at:end]
        at = end
