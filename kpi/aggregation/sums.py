"""Sums that are brought up to date by difference: what some orders add, now and before.

Each order adds to one period of a *grain*: to its day, or to whatever else a grain makes of it.
Sums of a period are exact integers, so adding what orders add now, and taking away what they added
before, gives the sums that all orders add now. Distinct customers are no sum: of each customer the
number of orders is one, and a customer is counted while it is not zero.

Which sums there are is data, a *scheme*: measures of a period, and of the groups of each grouping,
as of its categories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import Days
from kpi.kernels.arrays import Int64s
from kpi.kernels.fixed_point import INT64_MAX
from kpi.kernels.keys import INTEGER_CHECK, Keys

Customer = tuple[int, int]
"""Both halves of the key of a customer; see `storable_keys`."""

Values = tuple[int, ...]
"""Sums of a period or group, in the order of the measures of the scheme; none for nothing."""

ORDERS = "orders"
"""Measure of periods and groups: their orders."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One of the sums of a period, or of a group.

    Attributes:
        name: Its name.
        kind: A *count* is never negative; a *part* of another count is never more than that one;
            an *amount* may be negative.
        of: Measure without which it is 0, or of which it is a part; empty for none.
    """

    name: str
    kind: Literal["count", "part", "amount"] = "count"
    of: str = ""

    def is_sound(self, value: int, values: Mapping[str, int]) -> bool:
        """Return whether orders can have a value, beside those of the other measures."""
        if abs(value) > INT64_MAX or (value < 0 and self.kind != "amount"):
            return False
        if not self.of:
            return True
        whole = values[self.of]
        return value <= whole if self.kind == "part" else value == 0 or whole > 0


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Groups that what orders add is told apart by, as categories.

    Attributes:
        name: Its name.
        measures: Of each group; without the first one there is no group.
        totals: Measure of a group -> measure of a period that all groups together make.
    """

    name: str
    measures: Sequence[Measure]
    totals: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """Which sums are kept of a period.

    Attributes:
        measures: Of the period.
        groupings: Its groupings.
        known: Measure that counts the orders whose customer is known.
    """

    measures: Sequence[Measure]
    groupings: Sequence[Grouping] = ()
    known: str = ORDERS

    def named(self, sums: Sums) -> dict[str, int]:
        """Return the sums of a period by measure."""
        return _named(self.measures, sums.values)

    def named_groups(self, sums: Sums, grouping: str) -> dict[str, dict[str, int]]:
        """Return the sums of each group by measure, ascending by the group's name."""
        (measures,) = (one.measures for one in self.groupings if one.name == grouping)
        groups = sums.groups.get(grouping, {})
        return {name: _named(measures, groups[name]) for name in sorted(groups)}

    def fits(self, sums: Sums) -> bool:
        """Return whether sums are those of this scheme."""
        of_groups = {one.name: len(one.measures) for one in self.groupings}
        return (
            len(sums.values) == len(self.measures)
            and sums.groups.keys() == of_groups.keys()
            and all(
                len(values) == of_groups[name]
                for name, groups in sums.groups.items()
                for values in groups.values()
            )
        )

    def is_sound(self, sums: Sums, customers: int) -> bool:
        """Return whether orders can have some sums, and a number of customers."""
        values = self.named(sums)
        known = values[self.known]
        return (
            all(one.is_sound(values[one.name], values) for one in self.measures)
            and min(known, 1) <= customers <= known
            and all(self._is_sound(one, sums, values) for one in self.groupings)
        )

    def _is_sound(self, grouping: Grouping, sums: Sums, of_period: Mapping[str, int]) -> bool:
        totals = dict.fromkeys(grouping.totals, 0)
        for values in self.named_groups(sums, grouping.name).values():
            if values[ORDERS] > of_period[ORDERS] or not all(
                one.is_sound(values[one.name], values) for one in grouping.measures
            ):
                return False
            for name in totals:
                totals[name] += values[name]
        return all(totals[name] == of_period[total] for name, total in grouping.totals.items())


@dataclass(frozen=True)
class Sums:
    """Sums of a period.

    Attributes:
        values: By measure; empty where all are 0.
        groups: Grouping -> group -> its sums; none of it is zero.
    """

    values: Values = ()
    groups: Mapping[str, Mapping[str, Values]] = field(default_factory=dict)

    def plus(self, other: Sums, sign: int) -> Sums:
        """Add other sums, or take them away with the sign -1."""
        groups = dict(self.groups)
        for grouping, others in other.groups.items():
            mine = dict(groups.get(grouping, {}))
            for name, values in others.items():
                total = _plus(mine.get(name, ()), values, sign)
                if any(total):
                    mine[name] = total
                else:
                    mine.pop(name, None)
            groups[grouping] = mine
        return Sums(_plus(self.values, other.values, sign), groups)

    @property
    def is_zero(self) -> bool:
        """Whether nothing is left."""
        return not any(self.values) and not any(self.groups.values())


NO_SUMS = Sums()


@dataclass
class Added:
    """What some orders add to the periods of a grain.

    Attributes:
        sums: Period -> sums.
        customers: Period -> customer -> number of orders.
    """

    sums: dict[int, Sums] = field(default_factory=dict)
    customers: dict[int, Counter[Customer]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Grain:
    """To which period an order adds.

    Attributes:
        name: Names it where sums are kept.
        periods: Makes the period of each order, of its columns and its day.
        columns: Columns of orders that `periods` needs.
    """

    name: str
    periods: Callable[[pa.Table, Days], Days]
    columns: Sequence[str] = ()


DAY = Grain(name="day", periods=lambda _, days: days)
"""The grain of the KPI tables."""


@dataclass(frozen=True, kw_only=True)
class GroupColumns:
    """Sums of groups of some periods, one element each.

    Attributes:
        periods: Period of each.
        names: Its name.
        values: Measure -> its sums.
    """

    periods: Days
    names: Sequence[str]
    values: Mapping[str, Int64s]


def sums_of(
    scheme: Scheme,
    periods: Days,
    values: Mapping[str, Int64s],
    groups: Mapping[str, GroupColumns],
) -> dict[int, Sums]:
    """Make sums of columns.

    Args:
        scheme: Which sums.
        periods: Distinct periods.
        values: Measure -> its sums, an element for each period.
        groups: Grouping -> those of its groups, of which all periods are among `periods`.
    """
    of_groups: dict[int, dict[str, dict[str, Values]]] = {
        period: {one.name: {} for one in scheme.groupings} for period in periods.tolist()
    }
    for one in scheme.groupings:
        columns = groups[one.name]
        rows = zip(
            columns.periods.tolist(),
            columns.names,
            _rows(one.measures, columns.values),
            strict=True,
        )
        for period, name, row in rows:
            if any(row):
                of_groups[period][one.name][name] = row
    return {
        period: Sums(row, of_groups[period])
        for period, row in zip(periods.tolist(), _rows(scheme.measures, values), strict=True)
    }


def storable_keys(keys: Keys) -> Keys:
    """Return keys of customers as any process makes them, both halves of each.

    The second half of an integer is the integer again, also of a text that is a whole number: there
    it is a word of this process. Whoever looks one up tells customers apart by the second half.
    """
    if keys.low is None:
        return Keys(keys.high, keys.high)
    return Keys(keys.high, np.where(keys.low == INTEGER_CHECK, keys.high, keys.low))


def customers_of_periods(periods: Days, keys: Keys) -> dict[int, Counter[Customer]]:
    """Count the orders of each customer in each period.

    Args:
        periods: Period of each order.
        keys: Its customer.
    """
    found: dict[int, Counter[Customer]] = {}
    every = storable_keys(keys)
    low = every.high if every.low is None else every.low
    for period, high, other in zip(
        periods.tolist(), every.high.tolist(), low.tolist(), strict=True
    ):
        found.setdefault(period, Counter())[high, other] += 1
    return found


def _named(measures: Iterable[Measure], values: Values) -> dict[str, int]:
    names = [one.name for one in measures]
    return dict(zip(names, values or (0,) * len(names), strict=True))


def _plus(left: Values, right: Values, sign: int) -> Values:
    if not left:
        return tuple(sign * one for one in right)
    if not right:
        return left
    return tuple(one + sign * other for one, other in zip(left, right, strict=True))


def _rows(measures: Sequence[Measure], columns: Mapping[str, Int64s]) -> list[Values]:
    return list(zip(*(columns[one.name].tolist() for one in measures), strict=True))
