"""Rank and select over the line feeds of a chunk, without a list of them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from kpi.csv.chunk import Chunk
from kpi.csv.grammar import LF
from kpi.csv.scan import SCAN_BLOCK_BYTES, find_common_byte
from kpi.kernels.arrays import Positions, Words

COUNT_BLOCK_BYTES = 1024
"""Bytes with one count of line feeds."""

_WORD_BYTES = 8

_LIST_FACTOR = 2
"""Queries per count block above which a list of all line feeds is faster."""

_EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
_SIXTEEN_BIT_ONES = np.uint64(0x0001000100010001)


class NewlineIndex:
    """Count and find the line feeds of a chunk (rank and select: Jacobson, 1989).

    Keeps one count per block of 1024 bytes and rescans a block for a query. It is built in a third
    of the time that a list of all line feeds takes.

    Attributes:
        has_carriage_returns: Whether the chunk has a carriage return.
    """

    def __init__(
        self,
        chunk: Chunk,
        *,
        count_block_bytes: int = COUNT_BLOCK_BYTES,
        scan_block_bytes: int = SCAN_BLOCK_BYTES,
        list_factor: int = _LIST_FACTOR,
    ) -> None:
        """Count the line feeds of each block.

        Args:
            chunk: The bytes.
            count_block_bytes: A multiple of 8, at most 2,040: a byte holds a word column's sum.
            scan_block_bytes: A multiple of `count_block_bytes`.
            list_factor: See `_LIST_FACTOR`; 0 always lists.
        """
        self._codes = chunk.codes
        self._block_bytes = count_block_bytes
        self._list_factor = list_factor
        size = chunk.size
        blocks = -(-size // count_block_bytes)
        sums = np.zeros(blocks, np.uint64)
        found = np.zeros(min(scan_block_bytes, blocks * count_block_bytes), bool)
        words = found.view(np.uint64).reshape(-1, count_block_bytes // _WORD_BYTES)
        self.has_carriage_returns = False
        for start in range(0, size, scan_block_bytes):
            end = min(start + scan_block_bytes, size)
            np.equal(self._codes[start:end], LF, out=found[: end - start])
            found[end - start :] = False
            here = slice(start // count_block_bytes, -(-end // count_block_bytes))
            np.add.reduce(words[: here.stop - here.start], axis=1, out=sums[here])
            self.has_carriage_returns = self.has_carriage_returns or (
                chunk.buffer.find(b"\r", chunk.start + start, chunk.start + end) >= 0
            )
        self._before = np.zeros(blocks + 1, np.int64)
        np.cumsum(_sum_of_bytes(sums), out=self._before[1:])

    def __len__(self) -> int:
        """Return the number of line feeds."""
        return int(self._before[-1])

    def rank(self, places: Positions) -> Positions:
        """Count the line feeds before each byte offset."""
        if self._is_list_faster(places):
            return np.searchsorted(self._all, places)
        block, within = np.divmod(places, self._block_bytes)
        earlier = self._is_line_feed(block) & (np.arange(self._block_bytes) < within[:, None])
        return self._before[block] + earlier.sum(axis=1)

    def select(self, numbers: Positions) -> Positions:
        """Find the offset of each line feed given by its number from 0."""
        if self._is_list_faster(numbers):
            return self._all[numbers]
        holding = np.searchsorted(self._before, numbers, side="right") - 1
        # Both ends of a record are mostly in one block, which is scanned once.
        blocks, which = np.unique(holding, return_inverse=True)
        places = np.flatnonzero(self._is_line_feed(blocks))
        listed = np.cumsum(np.diff(self._before)[blocks])
        at = listed[which] - self._before[holding + 1] + numbers
        return holding * self._block_bytes + places[at] % self._block_bytes

    def _is_list_faster(self, queries: Positions) -> bool:
        return self._list_factor * len(queries) > len(self._before)

    @cached_property
    def _all(self) -> Positions:
        return find_common_byte(self._codes, LF)

    def _is_line_feed(self, blocks: Positions) -> npt.NDArray[np.bool_]:
        """Compare the bytes of some blocks; one row per block, padded with False."""
        block_bytes = self._block_bytes
        whole = len(self._codes) // block_bytes
        found = np.zeros((len(blocks), block_bytes), bool)
        inside = blocks < whole
        found[inside] = (
            self._codes[: whole * block_bytes].reshape(-1, block_bytes)[blocks[inside]] == LF
        )
        rest = self._codes[whole * block_bytes :]
        found[~inside, : len(rest)] = rest == LF
        return found


def _sum_of_bytes(words: Words) -> Words:
    """Add up the eight bytes of each word.

    bytes   h g f e d c b a
    + >> 8  . h+g . f+e . d+c . b+a        four sums of 16 bits
    * 1s    h+g+f+e+d+c+b+a . . . . . .    a product adds all four in the highest 16 bits
    """
    pairs = (words & _EVEN_BYTES) + ((words >> np.uint64(8)) & _EVEN_BYTES)
    return (pairs * _SIXTEEN_BIT_ONES) >> np.uint64(48)
