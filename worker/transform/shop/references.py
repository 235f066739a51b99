"""Read the rows of references and products that look-ups ask for, in bounded memory.

A reference of few rows is read once and held. Of a larger one only the rows are kept that the cells
at hand name: its files are streamed for each batch of days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.shop_lookups import LookupTables
from kpi.contract.shop import Shop, ShopColumn, Via
from worker.transform.shop.indexed_columns import PRODUCT_OF_LINE
from worker.transform.shop.reference_rows import latest_rows
from worker.transform.shop.snapshot import ShopSnapshot

Column = tuple[str, str]
"""Dataset and name of a column whose cells are looked up."""


@dataclass
class Cells:
    """Distinct cells of columns that large references are asked for."""

    of_column: dict[Column, list[pa.Array]] = field(default_factory=dict)

    def add(self, column: Column, texts: pa.Array) -> None:
        """Add the cells of some rows."""
        self.of_column.setdefault(column, []).append(pc.unique(texts).drop_null())

    def distinct(self, column: Column) -> pa.Array:
        """Return the cells of a column, each once."""
        parts = self.of_column.get(column, [])
        return pc.unique(pa.chunked_array(parts, pa.string()))


def steps_to_category(shop: Shop) -> tuple[Via, ...]:
    """Return the look-ups of a line's product id that end with its category."""
    steps = shop.datasets["order_items"].columns["product_id"].via
    if "products" not in shop.datasets:
        return steps
    return (*steps, Via(reference="products", column="category"))


class References:
    """Looks up in the references and products of a snapshot."""

    def __init__(self, snapshot: ShopSnapshot, held_rows: int) -> None:
        """Read nothing yet.

        Args:
            snapshot: The clean zone.
            held_rows: Clean rows of a reference up to which it is held whole.
        """
        self._snapshot = snapshot
        self._shop = snapshot.shop
        self._held_rows = held_rows
        self._held: LookupTables | None = None

    def is_large(self, name: str) -> bool:
        """Return whether a reference is streamed; products are where what they look up in is."""
        catalog = self._snapshot.catalogs[name]
        is_indexed = catalog.has_index and len(catalog) > catalog.limits.unindexed_files
        return is_indexed or catalog.rows > self._held_rows

    def large_columns(self, dataset: str) -> list[ShopColumn]:
        """Return the columns of a dataset whose look-ups read a large reference."""
        columns = self._shop.datasets[dataset].columns
        found = [one for one in columns.values() if self._reads_large(one.via)]
        if dataset == "order_items" and "product_id" in columns:
            product = columns["product_id"]
            if product not in found and self._reads_large(steps_to_category(self._shop)):
                found.append(product)
        return found

    def _reads_large(self, steps: Iterable[Via]) -> bool:
        return any(self.is_large(name) for step in steps for name in self._read_by(step))

    def _read_by(self, step: Via) -> list[str]:
        """Name the references that one step reads: those of a product's own columns too."""
        names = [step.reference]
        if step.reference == "products":
            columns = self._shop.datasets["products"].columns.values()
            names += [own.reference for column in columns for own in column.via]
        return names

    async def tables(self, cells: Cells | None = None) -> LookupTables:
        """Return what look-ups read.

        Args:
            cells: Cells of the columns that read large references.

        Raises:
            ConfigError, SourceError: As `Catalog.row_groups`.
        """
        held = await self._held_tables()
        if cells is None or not cells.of_column:
            return held
        of_columns = {
            column: await self._tables_for(column, cells.distinct(column), held)
            for column in cells.of_column
        }
        return LookupTables(shop=self._shop, rows=held.rows, of_columns=of_columns)

    async def _held_tables(self) -> LookupTables:
        if self._held is None:
            names = [name for name in self._names() if not self.is_large(name)]
            rows = {name: await latest_rows(self._snapshot, name, None) for name in names}
            self._held = LookupTables(shop=self._shop, rows=rows)
        return self._held

    def _names(self) -> list[str]:
        products = ["products"] if "products" in self._shop.datasets else []
        return [*self._shop.references, *products]

    async def _tables_for(
        self, column: Column, cells: pa.Array, held: LookupTables
    ) -> LookupTables:
        """Read the rows that the cells of one column lead to, step by step."""
        steps = self._shop.datasets[column[0]].columns[column[1]].via
        if column == PRODUCT_OF_LINE:
            steps = steps_to_category(self._shop)
        rows: dict[str, pa.Table] = dict(held.rows)
        of_columns: dict[Column, LookupTables] = {}
        for number, step in enumerate(steps, start=1):
            if self.is_large(step.reference):
                rows[step.reference] = await latest_rows(self._snapshot, step.reference, cells)
            if step.reference == "products":
                of_columns = await self._tables_of_products(rows, held)
            tables = LookupTables(shop=self._shop, rows=rows, of_columns=of_columns)
            if number < len(steps):
                one = ShopColumn(name=column[1], kind="id", via=(step,))
                values = tables.find(one, cells, None).values
                if self._shop.all_datasets[step.reference].valid_from is not None:
                    # The day of a row decides which of several values it is: all are wanted.
                    values = tables.reference(step.reference).table.column(step.column)
                cells = pc.unique(values.cast(pa.string())).drop_null()
        return LookupTables(shop=self._shop, rows=rows, of_columns=of_columns)

    async def _tables_of_products(
        self, rows: Mapping[str, pa.Table], held: LookupTables
    ) -> dict[Column, LookupTables]:
        """Read what the columns of some products look up in large references."""
        table = rows["products"]
        found: dict[Column, LookupTables] = {}
        for column in self._shop.datasets["products"].columns.values():
            if column.via and self._reads_large(column.via):
                cells = pc.unique(table.column(column.name)).drop_null()
                key = ("products", column.name)
                found[key] = await self._tables_for(key, cells, held)
        return found
