"""Values that come from references and products (rules 17 and 18)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from worker.recount.shop.contract import Column, Dataset, Shop, Step
from worker.recount.shop.dates import Moment
from worker.recount.shop.latest import FedFile, latest_rows
from worker.recount.shop.rows import Row
from worker.recount.shop.values import Value

Files = Mapping[str, Sequence[FedFile]]
"""Dataset or reference -> its files, from the earliest upload to the latest."""


@dataclass(frozen=True)
class Resolved:
    """A row with the values that its look-ups give.

    Attributes:
        values: By column.
        missing: Columns whose value has not come.
    """

    values: Mapping[str, Value]
    missing: frozenset[str] = frozenset()

    def waits(self, dataset: Dataset) -> bool:
        """Return whether a value that the contract requires has not come."""
        return any(dataset.columns[name].required for name in self.missing)


@dataclass(frozen=True)
class _Found:
    value: Value
    is_missing: bool = False


class Lookups:
    """Rows of references that some cells name."""

    def __init__(self, shop: Shop, files: Files) -> None:
        self._shop = shop
        self._files = files
        self._rows: dict[str, dict[str, list[Row]]] = {}

    def prepare(self, dataset: Dataset, rows: Iterable[Row]) -> None:
        """Read what the look-ups of some rows ask for, step by step."""
        cells: dict[tuple[Step, ...], set[str]] = defaultdict(set)
        for row in rows:
            for column in self._looked_up(dataset):
                cells[column.steps].update(_texts([row.values[column.name]]))
        for steps, texts in cells.items():
            self._follow(steps, texts)

    def prepare_products(self, product_ids: Iterable[Value]) -> None:
        """Read the products that lines name."""
        if "products" in self._shop.datasets:
            self._follow((Step(reference="products", column="category"),), _texts(product_ids))

    def resolve(self, dataset: Dataset, row: Row, day: date | None) -> Resolved:
        """Replace the cells of look-ups by what they give.

        Args:
            dataset: Whose row.
            row: Its cells.
            day: Of its order, for references with `valid_from`; None for the latest row.
        """
        values, missing = dict(row.values), set[str]()
        for column in self._looked_up(dataset):
            found = self._find(column.steps, values[column.name], day)
            values[column.name] = found.value
            if found.is_missing:
                missing.add(column.name)
        return Resolved(values, frozenset(missing))

    def product(self, product_id: str) -> Resolved | None:
        """Return the latest row of a product; None where it has not come."""
        row = self._row("products", product_id, None)
        return None if row is None else self.resolve(self._shop.datasets["products"], row, None)

    def _looked_up(self, dataset: Dataset) -> list[Column]:
        return [column for column in dataset.columns.values() if column.steps]

    def _find(self, steps: Sequence[Step], cell: Value, day: date | None) -> _Found:
        value = cell
        for step in steps:
            if value is None:
                break
            row = self._row(step.reference, _text(value), day)
            if row is None:
                return _Found(None, is_missing=True)
            value = row.values.get(step.column)
            if step.reference == "products":
                column = self._shop.datasets["products"].columns[step.column]
                found = self._find(column.steps, value, None)
                if found.is_missing:
                    return found
                value = found.value
        return _Found(value)

    def _row(self, reference: str, key: str, day: date | None) -> Row | None:
        """Return the row of a key; with `valid_from` the one in force on a day."""
        rows = self._rows.get(reference, {}).get(key, [])
        valid_from = self._shop.tables[reference].valid_from
        if valid_from is not None:
            rows = sorted(rows, key=lambda row: _day(row.values[valid_from]))
            rows = [row for row in rows if day is None or _day(row.values[valid_from]) <= day]
        return rows[-1] if rows else None

    def _follow(self, steps: Sequence[Step], texts: set[str]) -> None:
        for step in steps:
            table = self._shop.tables[step.reference]
            self._read(table, texts)
            rows = [row for text in texts for row in self._rows[step.reference].get(text, [])]
            column = table.columns.get(step.column)
            texts = set() if column is None else _texts(row.values[step.column] for row in rows)
            if column is not None and column.steps:
                self._follow(column.steps, texts)
                found = (self._find(column.steps, text, None).value for text in texts)
                texts = _texts(found)

    def _read(self, table: Dataset, keys: set[str]) -> None:
        """Read the latest rows of some keys that are not known yet."""
        known = self._rows.setdefault(table.name, {})
        wanted = keys - known.keys()
        if not wanted:
            return
        key_of = _key_text(table)
        known.update((key, []) for key in wanted)
        files = self._files.get(table.name, ())
        for row in latest_rows(table, files, lambda row: key_of(row) in wanted):
            if key_of(row) in wanted:
                known[key_of(row)].append(row)


def _key_text(table: Dataset) -> Callable[[Row], str]:
    """Write the key of a reference's row as cells name it: with a blank between its columns."""
    names = [name for name in table.key if name != table.valid_from]
    return lambda row: " ".join(_text(row.values[name]) for name in names)


def _text(value: Value) -> str:
    return value if isinstance(value, str) else str(value)


def _texts(values: Iterable[Value]) -> set[str]:
    return {_text(value) for value in values if value is not None}


def _day(value: Value) -> date:
    return value.day if isinstance(value, Moment) else date.min
