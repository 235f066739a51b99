"""Add up values by group, in memory that grows with the groups that occur.

A group is a day and a category. There are days times categories of them, of which a shop with a
category for each product has few. A code numbers them all, whether they occur or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s

DENSE_MAX_GROUPS = 1 << 19
"""Possible groups up to which an array has an element for each: 4 MiB."""

MERGE_MIN_GROUPS = 1 << 20
"""Groups that may be added before equal ones are merged."""


@dataclass(frozen=True)
class GroupSums:
    """Sums of some groups.

    Attributes:
        codes: Their codes, ascending; None where every possible group has its element.
        sums: Sum of each.
    """

    codes: Int64s | None
    sums: Int64s

    def at(self, codes: Int64s) -> Int64s:
        """Return the sums of groups by their codes, ascending; 0 for one that does not occur."""
        if self.codes is None:
            return self.sums[codes]
        if len(self.codes) == 0:
            return np.zeros(len(codes), np.int64)
        places = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return np.where(self.codes[places] == codes, self.sums[places], 0)

    def non_zero(self) -> Int64s:
        """Return the codes of the groups whose sum is not zero, ascending."""
        found = np.flatnonzero(self.sums)
        return found if self.codes is None else self.codes[found]


def sum_groups(codes: npt.NDArray[np.integer], values: Int64s, possible: int) -> GroupSums:
    """Sum values by group.

    Args:
        codes: Group of each value.
        values: Integers.
        possible: Number of possible groups.

    Raises:
        KpiError: A sum does not fit 64 bits.
    """
    if possible <= DENSE_MAX_GROUPS:
        return GroupSums(None, fixed_point.sums(codes, values, possible))
    found = fixed_point.distinct(codes)
    places = np.searchsorted(found, codes)
    return GroupSums(found.astype(np.int64), fixed_point.sums(places, values, len(found)))


def count_groups(codes: npt.NDArray[np.integer], possible: int) -> GroupSums:
    """Count how often each group occurs among `codes`."""
    if possible <= DENSE_MAX_GROUPS:
        return GroupSums(None, np.bincount(codes, minlength=possible).astype(np.int64))
    ordered = np.sort(codes)
    starts = np.flatnonzero(fixed_point.run_starts(ordered))
    return GroupSums(ordered[starts].astype(np.int64), np.diff(starts, append=len(ordered)))


@dataclass
class GroupTotals:
    """Sums of groups over several parts of the data, each `GroupSums` of as many possible groups.

    Attributes:
        possible: Number of possible groups.
    """

    possible: int
    _parts: list[GroupSums] = field(default_factory=list)
    _merged_groups: int = 0

    def add(self, part: GroupSums) -> None:
        """Add the sums of one part.

        Raises:
            KpiError: A sum does not fit 64 bits.
        """
        self._parts.append(part)
        held = sum(len(one.sums) for one in self._parts)
        if part.codes is None or held > 2 * self._merged_groups + MERGE_MIN_GROUPS:
            self._parts = [_merge(self._parts)]
            self._merged_groups = len(self._parts[0].sums)

    def total(self) -> GroupSums:
        """Return the sums over all parts.

        Raises:
            KpiError: A sum does not fit 64 bits.
        """
        if not self._parts:
            return sum_groups(np.zeros(0, np.int64), np.zeros(0, np.int64), self.possible)
        self._parts = [_merge(self._parts)]
        return self._parts[0]


def _merge(parts: list[GroupSums]) -> GroupSums:
    total = parts[0]
    if total.codes is None:
        for part in parts[1:]:
            total = GroupSums(None, fixed_point.add(total.sums, part.sums))
        return total
    codes = np.concatenate([part.codes for part in parts if part.codes is not None])
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    starts = fixed_point.run_starts(codes)
    values = np.concatenate([part.sums for part in parts])[order]
    places = np.cumsum(starts) - 1
    return GroupSums(codes[starts], fixed_point.sums(places, values, int(starts.sum())))
