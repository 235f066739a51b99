"""Hold the amounts of a row against what a day's sums of 64 bits can take."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from kpi.contract.reject_reasons import Reason
from kpi.contract.shop import ShopDataset
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Mask
from kpi.kernels.masks import valid
from kpi.mapping.columns import PLACES
from kpi.validation.rules import MAX_LINE_UNITS, MAX_QUANTITY, Problem

AMOUNT = "an amount of at most 10000000000000, times its quantity too"
QUANTITY = f"a quantity of at most {MAX_QUANTITY}"


def too_large(dataset: ShopDataset, values: Mapping[str, pa.Array], checked: Mask) -> list[Problem]:
    """Find rows with a quantity or an amount that would cost every other row of the day."""
    problems: list[Problem] = []
    units: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
    for name, column in dataset.columns.items():
        if column.stored_kind not in ("money", "quantity"):
            continue
        array = values[name]
        units[name] = np.where(valid(array), np.abs(fixed_point.unscaled(array)), 0).astype(float)
        is_money = column.stored_kind == "money"
        limit = MAX_LINE_UNITS if is_money else MAX_QUANTITY * 10 ** PLACES["quantity"]
        _add(problems, name, AMOUNT if is_money else QUANTITY, (units[name] > limit) & checked)
    for name in ("unit_price", "unit_discount"):
        if name in units and "quantity" in units:
            whole = units[name] * units["quantity"] / 10 ** PLACES["quantity"]
            _add(problems, name, AMOUNT, (whole > MAX_LINE_UNITS) & checked)
    return problems


def _add(problems: list[Problem], column: str, expected: str, rows: Mask) -> None:
    if rows.any():
        problems.append(Problem(Reason.OUT_OF_RANGE, column, expected, rows))
