"""Days that a shop's orders and refunds may be on, whatever version of a row is the latest.

A transform that slept may publish any state since it began. Each day that such a state may have
rows on needs a guard at the ledger's head, even where no row is left on it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import NO_DAYS, Days
from kpi.aggregation.shop_columns import one_array
from kpi.contract.shop import AS_WRITTEN, Shop
from kpi.kernels.instants import MICROSECONDS_PER_DAY
from kpi.kernels.time_zones import to_local
from kpi.mapping.mapper import DATED, DAY, dated_column
from worker.clean import Workspace
from worker.clean.reader import CleanObject
from worker.runtime.concurrency import each
from worker.state import Entry

CONCURRENT_READS = 4


async def days_of_versions(entries: Iterable[Entry], workspace: Workspace, shop: Shop) -> Days:
    """Return the days of every version of every order and refund in some uploads, ascending.

    Args:
        entries: The uploads, those that do not count included.
        workspace: Where their clean rows are.
        shop: The contract that made them.

    Raises:
        SourceError: A clean file cannot be read.
    """
    columns = _columns_of_days(shop)
    parts = [
        (part.key, columns[part.dataset])
        for entry in entries
        for part in entry.parts
        if part.dataset in columns
    ]

    async def read(part: tuple[str, str]) -> Days:
        key, column = part
        file = CleanObject(workspace.store, workspace.stored(key))
        groups = range((await file.footer()).num_row_groups)
        values = pc.unique(one_array(await file.read(list(groups), [column]), column)).drop_null()
        return _days(values, shop)

    return np.unique(np.concatenate([NO_DAYS, *await each(parts, read, CONCURRENT_READS)]))


def _columns_of_days(shop: Shop) -> dict[str, str]:
    """Return the columns that days are taken from, by dataset or reference."""
    found = {}
    for name, dataset in shop.datasets.items():
        if name not in DATED:
            continue
        if dated_column(dataset) is not None:
            found[name] = DAY
        column = dataset.columns.get(DATED[name])
        while column is not None and column.via:
            step = column.via[-1]
            column = shop.all_datasets[step.reference].columns[step.column]
            if not column.via:
                found[step.reference] = step.column
    return found


def _days(values: pa.Array, shop: Shop) -> Days:
    """Convert days, or instants of times that are looked up."""
    if pa.types.is_int32(values.type):
        return np.asarray(values.to_numpy(zero_copy_only=False), np.int32)
    instants = values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    if shop.day != AS_WRITTEN:
        instants = to_local(instants, shop.day)
    return np.asarray(instants // MICROSECONDS_PER_DAY, np.int32)
