"""Sums of days of a shop by a contract of language 2, and the totals that sums give."""

from __future__ import annotations

import numpy as np

from kpi.aggregation.calendar import Days
from kpi.aggregation.shop_totals import ShopGroups, ShopTotals
from kpi.aggregation.sums import GroupColumns, Scheme, Sums, sums_of
from kpi.kernels.arrays import Int64s


def sums_of_totals(
    scheme: Scheme, totals: ShopTotals, wanted: Days | None = None
) -> dict[int, Sums]:
    """Return totals as sums of each day.

    Args:
        scheme: Which sums.
        totals: Totals of some days.
        wanted: Some of these days; None for all.
    """
    is_wanted = np.ones(len(totals.days), bool)
    if wanted is not None:
        is_wanted = np.isin(totals.days, wanted)
    groups = {}
    for grouping in scheme.groupings:
        of = totals.groups[grouping.name]
        rows = np.flatnonzero(is_wanted[of.day])
        groups[grouping.name] = GroupColumns(
            periods=totals.days[of.day[rows]],
            names=[of.names[one] for one in of.code[rows].tolist()],
            values={name: values[rows] for name, values in of.values.items()},
        )
    values = {name: of_days[is_wanted] for name, of_days in totals.values.items()}
    return sums_of(scheme, totals.days[is_wanted], values, groups)


def totals_of_sums(scheme: Scheme, day: int, sums: Sums, customers: int) -> ShopTotals:
    """Return the sums of a day as totals."""
    groups = {}
    for grouping in scheme.groupings:
        named = scheme.named_groups(sums, grouping.name)
        groups[grouping.name] = ShopGroups(
            day=np.zeros(len(named), np.int64),
            code=np.arange(len(named)),
            names=list(named),
            values={
                one.name: _array([values[one.name] for values in named.values()])
                for one in grouping.measures
            },
        )
    return ShopTotals(
        days=np.array([day], np.int32),
        values={name: _array([value]) for name, value in scheme.named(sums).items()},
        customers=_array([customers]),
        groups=groups,
    )


def _array(values: list[int]) -> Int64s:
    return np.array(values, np.int64)
