"""How many items orders promise: the column `num_of_item`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.kernels.fixed_point import INT32_MAX

PROMISE = "num_of_item"
"""Column of orders."""

Promises = npt.NDArray[np.int32]
"""Items that orders promise; -1 for one that does not say."""

_UNKNOWN = -1


def promises(orders: pa.Table) -> Promises:
    """Read what orders promise.

    A promise of more than 2,147,483,647 items is damage and counts as that many, so that the sum of
    a day fits 64 bits: it must not hold the KPIs of its day back.

    Args:
        orders: Orders, with the column `num_of_item` where the contract has one.
    """
    if PROMISE not in orders.column_names:
        return np.full(len(orders), _UNKNOWN, np.int32)
    capped = pc.min_element_wise(orders.column(PROMISE), INT32_MAX, skip_nulls=False)
    known = pc.max_element_wise(capped, _UNKNOWN, skip_nulls=False)
    return known.fill_null(_UNKNOWN).to_numpy().astype(np.int32)
