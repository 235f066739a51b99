"""Levels of immutable objects: a write merges the newest ones, so that there are always few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEVEL_FACTOR = 8
"""An object is merged with newer ones once they have an eighth of its rows: each row is written
some eight times for each of the few objects."""


@dataclass(frozen=True, kw_only=True)
class Levels:
    """Sizes by which objects are merged.

    Attributes:
        head: Rows of the newest object, at most, where each write writes it again.
        merged: Rows, at most, of objects that are merged.
    """

    head: int
    merged: int

    def to_merge(self, count: int, sizes: Sequence[int]) -> int:
        """Return how many of the newest objects are merged with new rows.

        Args:
            count: New rows.
            sizes: Rows of each object, from the newest to the oldest.
        """
        merged = 0
        for size in sizes:
            total = count + size
            if total > self.merged or (total > self.head and size > LEVEL_FACTOR * count):
                break
            merged, count = merged + 1, total
        return merged
