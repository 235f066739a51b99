"""Sets of ids to look up in the clean zone: by value where few, else by intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from worker.state.entry import Interval
from worker.transform.intervals import IntervalSet, value_set


@dataclass(frozen=True)
class KeySet:
    """Some ids of one column.

    Attributes:
        values: The ids, distinct; None where they are too many, or not known one by one.
        known: Intervals that hold all of them; None where they are derived from the values.
        max_points: Ids up to which each is an interval of its own.
    """

    values: pa.Array | None
    known: IntervalSet | None
    max_points: int

    @classmethod
    def of_values(cls, values: pa.Array, max_points: int) -> KeySet:
        """Return the set of some distinct ids without null."""
        if len(values) > max_points:
            return cls(None, value_set(values, max_points), max_points)
        return cls(values, None, max_points)

    @classmethod
    def of_chunks(
        cls,
        chunks: Sequence[pa.ChunkedArray] | None,
        intervals: Iterable[Interval | None],
        max_points: int,
    ) -> KeySet:
        """Return the set of ids that lie in some intervals.

        Args:
            chunks: The ids, perhaps repeated; None where they were not collected.
            intervals: Intervals that hold all of them.
            max_points: See the class.
        """
        values = None
        if chunks:
            arrays = [array for chunk in chunks for array in chunk.chunks]
            values = pc.unique(pa.chunked_array(arrays, chunks[0].type))
            values = values if len(values) <= max_points else None
        return cls(values, IntervalSet(intervals), max_points)

    @cached_property
    def intervals(self) -> IntervalSet:
        """Intervals that hold all of the ids, as tight as is cheap."""
        if self.known is not None:
            return self.known
        assert self.values is not None  # noqa: S101  (else `known` is given)
        return value_set(self.values, self.max_points)

    @property
    def is_empty(self) -> bool:
        return self.values is not None and len(self.values) == 0
