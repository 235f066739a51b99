"""Look-ups of `via`: cells to values of references and products (rule 18)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.shop_columns import column_of, encoded, one_array, texts_of
from kpi.aggregation.tables import UNKNOWN_CATEGORY
from kpi.contract.shop import Shop, ShopColumn, ShopDataset
from kpi.kernels.arrays import Mask, Positions
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.keys import keys_of
from kpi.kernels.masks import valid
from kpi.mapping.clean_rows import DAY

RowDays = npt.NDArray[np.int32]
"""Day of the order of each row, since 1970-01-01."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Values that a look-up gives.

    Attributes:
        values: Null where there is none.
        missing: Where the row that a cell names has not come.
    """

    values: pa.Array
    missing: Mask


def key_texts(dataset: ShopDataset, table: pa.Table) -> pa.Array:
    """Write the key of each row of a reference as cells name it, without the first day."""
    parts = [texts_of(table, name) for name in dataset.key if name != dataset.valid_from]
    return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, " ")


class ReferenceRows:
    """Rows of a reference, found by their keys.

    Args:
        dataset: The reference.
        table: Its latest rows, those of products with their own look-ups done.
        missing: For each column with a `via`, where its value has not come.
    """

    def __init__(
        self, dataset: ShopDataset, table: pa.Table, missing: Mapping[str, Mask] | None = None
    ) -> None:
        self.table = table
        self.missing: Mapping[str, Mask] = missing or {}
        keys = key_texts(dataset, table)
        self._from_day = None
        if dataset.valid_from is not None:
            self._from_day = one_array(table, DAY).to_numpy(zero_copy_only=False).astype(np.int64)
        # Two keys of several columns may be one text.
        names, self._code = encoded(keys)
        self._index = KeyIndex(keys_of([pa.chunked_array([names])]))
        first = np.full(len(names), -1, np.int64)
        order = np.arange(len(keys))[::-1]
        if self._from_day is not None:
            order = np.argsort(self._from_day, kind="stable")
        first[self._code[order]] = order
        self._row = first

    def find(self, texts: pa.Array, days: RowDays | None) -> Positions:
        """Find the row that each text names; -1 where there is none."""
        names, at = encoded(texts)
        code = self._index.find(keys_of([pa.chunked_array([names])]))
        wanted = np.append(code, -1)[at]
        if self._from_day is None or days is None:
            return np.append(self._row, -1)[wanted]
        return self._in_force(self._from_day, wanted, days)

    def _in_force(self, from_day: Positions, wanted: Positions, days: RowDays) -> Positions:
        """Find the last row of each key that begins on a day or before."""
        # Days of any calendar fit 23 bits beside the number of a key.
        low, width = -(2**22), 2**23
        places = self._code * width + from_day - low
        order = np.argsort(places, kind="stable")
        at = np.searchsorted(places[order], wanted * width + days - low, side="right") - 1
        found = np.where(at >= 0, order[np.maximum(at, 0)] if len(order) else -1, -1)
        same = (found >= 0) & (np.append(self._code, -2)[found] == wanted) & (wanted >= 0)
        return np.where(same, found, -1)


@dataclass
class LookupTables:
    """Latest rows of the references and products that look-ups read.

    Attributes:
        shop: Contract.
        rows: By name; all rows of each, or those that the cells at hand name.
        of_columns: (dataset, column) -> tables for the look-ups of that column, where they are
            others.
    """

    shop: Shop
    rows: Mapping[str, pa.Table]
    of_columns: Mapping[tuple[str, str], LookupTables] = field(default_factory=dict)
    _references: dict[str, ReferenceRows] = field(default_factory=dict)

    def resolve(
        self, dataset: ShopDataset, table: pa.Table, days: RowDays | None
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
            tables = self.of_columns.get((dataset.name, column.name), self)
            found = tables.find(column, texts_of(table, column.name), days)
            at = table.schema.get_field_index(column.name)
            table = table.set_column(at, column.name, found.values)
            missing[column.name] = found.missing
        return table, missing

    def find(self, column: ShopColumn, cells: pa.Array, days: RowDays | None) -> Found:
        """Look the cells of one column up, step by step."""
        missing = np.zeros(len(cells), bool)
        values = cells
        for step in column.via:
            texts = values if pa.types.is_string(values.type) else values.cast(pa.string())
            reference = self.reference(step.reference)
            at = reference.find(texts, days)
            missing |= valid(texts) & (at < 0)
            values = one_array(reference.table, step.column).take(pa.array(at, mask=at < 0))
        return Found(values=values, missing=missing)

    def reference(self, name: str) -> ReferenceRows:
        """Return the rows of a reference; those of products with their own look-ups done."""
        if name not in self._references:
            dataset, table = self.shop.all_datasets[name], self.rows[name]
            missing: Mapping[str, Mask] = {}
            if name == "products":
                table, missing = self.resolve(dataset, table, None)
            self._references[name] = ReferenceRows(dataset, table, missing)
        return self._references[name]

    def categories(self, product_ids: pa.Array) -> tuple[pa.Array, Mask]:
        """Look the category of each product up, and where the product has not come (rule 17)."""
        tables = self.of_columns.get(("order_items", "product_id"), self)
        products = tables.reference("products")
        names = column_of(products.table, "category")
        if names is None:
            names = pa.nulls(products.table.num_rows, pa.string())
        absent = products.missing.get("category")
        if absent is not None:
            names = pc.if_else(pa.array(absent), UNKNOWN_CATEGORY, names)
        at = products.find(product_ids, None)
        unknown = valid(product_ids) & (at < 0)
        found = names.take(pa.array(at, mask=at < 0))
        return pc.if_else(pa.array(unknown), UNKNOWN_CATEGORY, found), unknown
