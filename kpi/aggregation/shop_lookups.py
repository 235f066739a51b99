"""Look-ups of `via`: cells to values of references and products (rule 18)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.shop_columns import one_array, texts_of
from kpi.aggregation.shop_versions import LatestRows
from kpi.contract.shop import Shop, ShopColumn, ShopDataset, Via
from kpi.kernels.arrays import Mask, Positions
from kpi.kernels.masks import valid
from kpi.mapping.mapper import DAY


@dataclass(frozen=True, kw_only=True)
class Found:
    """Values that a look-up gives.

    Attributes:
        values: Null where there is none.
        missing: Where the row that a cell names has not come.
    """

    values: pa.Array
    missing: Mask


class Lookups:
    """Looks values up in the latest rows of references and products."""

    def __init__(self, shop: Shop, rows: Mapping[str, LatestRows]) -> None:
        self._shop = shop
        self._rows = rows
        self._tables: dict[str, pa.Table] = {}

    def resolve(
        self, dataset: ShopDataset, table: pa.Table, days: npt.NDArray[np.int32] | None
    ) -> tuple[pa.Table, dict[str, Mask]]:
        """Replace the cells of the columns that have a `via` by what it gives.

        Args:
            dataset: Whose rows.
            table: The rows.
            days: Day of each row's order, for references with `valid_from`.

        Returns:
            The rows, and for each such column where its value has not come.
        """
        missing: dict[str, Mask] = {}
        for column in dataset.columns.values():
            if not column.via or column.name not in table.schema.names:
                continue
            found = self.find(column, texts_of(table, column.name), days)
            at = table.schema.get_field_index(column.name)
            table = table.set_column(at, column.name, found.values)
            missing[column.name] = found.missing
        return table, missing

    def find(
        self, column: ShopColumn, cells: pa.Array, days: npt.NDArray[np.int32] | None
    ) -> Found:
        """Look the cells of one column up, step by step."""
        missing = np.zeros(len(cells), bool)
        values = cells
        for step in column.via:
            texts = values if pa.types.is_string(values.type) else values.cast(pa.string())
            at = self._positions(step, texts, days)
            missing |= valid(texts) & (at < 0)
            source = one_array(self._table(step.reference), step.column)
            values = source.take(pa.array(at, mask=at < 0))
        return Found(values=values, missing=missing)

    def _table(self, reference: str) -> pa.Table:
        """Latest rows of a reference; those of products with their own look-ups done."""
        if reference not in self._tables:
            table = self._rows[reference].table
            if reference == "products":
                table, _ = self.resolve(self._shop.datasets["products"], table, None)
            self._tables[reference] = table
        return self._tables[reference]

    def _positions(
        self, step: Via, texts: pa.Array, days: npt.NDArray[np.int32] | None
    ) -> Positions:
        """Find the row that each text names; -1 where there is none."""
        dataset = self._shop.all_datasets[step.reference]
        table = self._rows[step.reference].table
        parts = [texts_of(table, name) for name in dataset.key if name != dataset.valid_from]
        keys = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, " ")
        if dataset.valid_from is None or days is None:
            if dataset.valid_from is not None:
                newest = _newest(keys, one_array(table, DAY))
                at = pc.index_in(texts, value_set=keys.take(pa.array(newest)))
                numbers = at.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
                return np.where(numbers >= 0, np.append(newest, -1)[numbers], -1)
            at = pc.index_in(texts, value_set=keys).fill_null(-1)
            return np.where(valid(texts), at.to_numpy(zero_copy_only=False), -1).astype(np.int64)
        return _in_force(keys, one_array(table, DAY), texts, days)


def _newest(keys: pa.Array, from_day: pa.Array) -> Positions:
    """Find the row of each key with the greatest first day."""
    order = np.argsort(from_day.to_numpy(zero_copy_only=False), kind="stable")[::-1]
    encoded = pc.dictionary_encode(keys).indices.to_numpy(zero_copy_only=False)
    _, first = np.unique(encoded[order], return_index=True)
    return order[first].astype(np.int64)


def _in_force(
    keys: pa.Array, from_day: pa.Array, texts: pa.Array, days: npt.NDArray[np.int32]
) -> Positions:
    """Find the last row of each text's key that begins on its day or before."""
    distinct = pc.unique(keys)
    code = pc.index_in(keys, value_set=distinct).to_numpy(zero_copy_only=False).astype(np.int64)
    wanted = pc.index_in(texts, value_set=distinct).fill_null(-1)
    wanted_code = np.where(valid(texts), wanted.to_numpy(zero_copy_only=False), -1)
    # Days of any calendar fit 23 bits beside the number of a key.
    low, width = -(2**22), 2**23
    first = from_day.to_numpy(zero_copy_only=False).astype(np.int64)
    places = code * width + first - low
    order = np.argsort(places, kind="stable")
    at = np.searchsorted(places[order], wanted_code * width + days - low, side="right") - 1
    found = np.where(at >= 0, order[np.maximum(at, 0)] if len(order) else -1, -1)
    same = (found >= 0) & (np.append(code, -2)[found] == wanted_code) & (wanted_code >= 0)
    return np.where(same, found, -1)
