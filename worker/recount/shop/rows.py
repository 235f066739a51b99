"""Records of a file to rows of the datasets that it feeds (rules 1, 2, 3, 6, 12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from worker.recount.shop.conditions import Shown, holds
from worker.recount.shop.contract import SIZES, Column, Dataset, Entry, Shop
from worker.recount.shop.dates import Clock, Moment
from worker.recount.shop.numbers import read_number
from worker.recount.shop.texts import Record, RefusedError, Table, used_headers
from worker.recount.shop.values import Bad, Reading, Value, read_value, shown
from worker.recount.values import BLANKS, fold

MAX_KEY_BYTES = 1024
"""Longest text of a KPI row's key, in UTF-8."""

MAX_AMOUNT, MAX_QUANTITY = Decimal(10**13), Decimal(10**9)
"""Largest amount, times its quantity too, and largest quantity of a row."""

CURRENCY_HEADERS = (
    *("currency", "currency code", "currency_code", "currencycode", "order currency"),
    *("order currency code", "order_currency", "iso currency", "converted currency"),
    *("währung", "waehrung", "devise", "moneda", "moeda", "valuta", "waluta"),
)


@dataclass(frozen=True)
class Row:
    """A row of a dataset.

    Attributes:
        values: By column, before look-ups.
        is_deletion: Whether it says that its key is gone.
    """

    values: Mapping[str, Value]
    is_deletion: bool = False


@dataclass
class Counts:
    """Rows of a file for one dataset (rule 2)."""

    clean: int = 0
    rejected: int = 0
    passed_over: int = 0


Cells = Mapping[str, str | None]
"""Folded header, or {name}, -> text without outer blanks; None for no value."""


@dataclass
class _Fill:
    """The row above, for each dataset (rule 6)."""

    group: str | None = None
    cells: dict[str, str | None] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)


class FileRows:
    """Rows of one file.

    Attributes:
        entry: Of `[[files]]` that takes it.
        counts: Dataset -> rows so far.
    """

    def __init__(self, shop: Shop, table: Table, last_day: date) -> None:
        """Prepare to read.

        Args:
            shop: Contract.
            table: Records of the file.
            last_day: Latest day of an order.
        """
        self._shop = shop
        self._table = table
        self.entry = self._entry = table.entry
        self._last_day = last_day
        self._datasets = [shop.tables[name] for name in table.entry.feeds]
        self._levels = {
            one.name: max((table.levels.get(name, 0) for name in used_headers(one)), default=0)
            for one in self._datasets
        }
        self._used = {one.name: used_headers(one) for one in self._datasets}
        self._reading = Reading(
            numbers=self._entry.numbers,
            dates=table.dates,
            clock=Clock(shop.day, shop.times),
            currency=shop.currency if self._entry.minor_units else None,
        )
        self._fills = {one.name: _Fill() for one in self._datasets}
        self._above: dict[str, str | None] = {}
        self._fillable = _fillable(self._entry, self._datasets)
        self._signs: dict[tuple[str, str], bool] = {}
        self._currencies: dict[str, set[str]] = {}
        self._currency_headers = _unnamed_currencies(table, self._datasets)
        self.counts = {one.name: Counts() for one in self._datasets}

    def __iter__(self) -> Iterator[tuple[str, Row]]:
        """Yield the clean rows, each with the name of its dataset.

        Raises:
            RefusedError: The rows show that the contract does not fit the file.
        """
        for record in self._table.records:
            cells = self._cells(record)
            if cells is not None:
                self._check_currencies(cells)
            for dataset in self._datasets:
                counts = self.counts[dataset.name]
                if cells is None:
                    counts.rejected += 1
                elif not self._is_inside(dataset, cells, record):
                    counts.passed_over += 1
                else:
                    row = self._row(dataset, self._filled(dataset, cells))
                    counts.clean += row is not None
                    counts.rejected += row is None
                    if row is not None:
                        yield dataset.name, row

    def _cells(self, record: Record) -> dict[str, str | None] | None:
        if record.cells is None:
            return None
        cells: dict[str, str | None] = {**self._table.names}
        blanks = self._entry.blanks
        for header, text in record.cells.items():
            bare = _stripped(text)
            cells[header] = None if blanks and bare and fold(bare) in blanks else bare
        for header in self._entry.merged:
            self._above[header] = cells[header] = cells.get(header) or self._above.get(header)
        return cells

    def _is_inside(self, dataset: Dataset, cells: Cells, record: Record) -> bool:
        only = self._entry.only.get(dataset.name)
        is_taken = only is None or holds(only, lambda header: self._shown(cells, header))
        return is_taken and record.lists >= self._levels[dataset.name]

    def _shown(self, cells: Cells, header: str) -> Shown:
        text = _cell(cells, header)
        if text is None:
            return Shown("")
        return Shown(fold(text), read_number(text, self._entry.numbers))

    def _filled(self, dataset: Dataset, cells: dict[str, str | None]) -> dict[str, str | None]:
        """Take blank cells from the row above, while one column stays the same."""
        if self._entry.fill is None or dataset.name not in ("orders", "products"):
            return cells
        fill, group = self._fills[dataset.name], cells[fold(self._entry.fill)]
        is_same = group is not None and group == fill.group
        if not is_same and group is not None:
            if group in fill.seen:
                raise RefusedError("a value of `fill` comes back after another one")
            fill.seen.add(group)
        filled = dict(cells)
        for header in self._fillable:
            if is_same and filled.get(header) is None and header in filled:
                filled[header] = fill.cells[header]
        fill.group, fill.cells = group, filled
        return filled

    def _row(self, dataset: Dataset, cells: Cells) -> Row | None:
        """Make a row; None for a reject."""
        if not all(_is_text(cells.get(header)) for header in self._used[dataset.name]):
            return None
        texts = {name: self._text(column, cells) for name, column in dataset.columns.items()}
        is_deletion = holds(dataset.deleted, lambda name: shown(texts[name]))
        needed = {*dataset.key, dataset.version} if is_deletion else set(dataset.columns)
        currency = self._currency_of(cells)
        values: dict[str, Value] = {}
        is_bad = False
        for name, column in dataset.columns.items():
            value = read_value(texts[name], column, self._reading, currency)
            if isinstance(value, Decimal):
                value = self._as_size(dataset, column, value)
            if isinstance(value, Bad):
                is_bad |= name in needed
                value = None
            elif value is None and texts[name] is None:
                is_bad |= column.required and name in needed
            is_bad |= name in needed and _is_too_long(dataset, name, value)
            values[name] = value
        if is_bad or (not is_deletion and self._is_out_of_bounds(dataset, values)):
            return None
        return Row(values, is_deletion)

    def _text(self, column: Column, cells: Cells) -> str | None:
        """Return the text of a column: join, blanks, when."""
        if column.join:
            parts = [_cell(cells, header) for header in column.join]
            text = None if None in parts else " ".join(part for part in parts if part is not None)
        else:
            names = (one for one in column.headers if _place(one) in cells)
            text = _cell(cells, next(names, column.headers[0]))
        if text is not None and column.blanks and fold(text) in column.blanks:
            text = None
        if column.when and not holds(column.when, lambda header: self._shown(cells, header)):
            return None
        return text

    def _currency_of(self, cells: Cells) -> str | None:
        """Return the currency of the amounts of a record that are in minor units."""
        for dataset in self._datasets:
            column = dataset.columns.get("currency")
            if column is not None and column.headers:
                names = (one for one in column.headers if _place(one) in cells)
                return _cell(cells, next(names, column.headers[0]))
        return None

    def _as_size(self, dataset: Dataset, column: Column, value: Decimal) -> Decimal:
        """Drop the sign of a discount or refund; a column has one sign (rule 12)."""
        if column.kind != "money" or column.name not in SIZES:
            return value
        if value:
            is_negative = self._signs.setdefault((dataset.name, column.name), value < 0)
            if is_negative != (value < 0):
                raise RefusedError(f"{dataset.name}.{column.name} has both signs")
        return abs(value)

    def _is_out_of_bounds(self, dataset: Dataset, values: Mapping[str, Value]) -> bool:
        created = values.get("created_at") if dataset.name == "orders" else None
        is_out = isinstance(created, Moment) and not (
            self._shop.not_before <= created.day <= self._last_day
        )
        return is_out or _is_too_large(values)

    def _check_currencies(self, cells: Cells) -> None:
        """Refuse a file of two currencies that the contract does not name (rule 20)."""
        for header in self._currency_headers:
            text = cells.get(header)
            if text is not None:
                known = self._currencies.setdefault(header, set())
                known.add(text.upper())
                if len(known) > 1:
                    raise RefusedError(f"{header} has several currencies")


def _fillable(entry: Entry, datasets: Sequence[Dataset]) -> set[str]:
    """Name the headers that orders and products alone read, and none of them as a key."""
    filled, kept = set[str](), set[str]()
    for dataset in datasets:
        for column in dataset.columns.values():
            is_free = dataset.name in ("orders", "products") and column.name not in dataset.key
            (filled if is_free else kept).update(map(fold, column.read))
    return filled - kept if entry.fill is not None else set()


def _unnamed_currencies(table: Table, datasets: Sequence[Dataset]) -> list[str]:
    """Return headers that are known to name a currency, where the contract names none."""
    of_money = (one for one in datasets if one.name != "products")
    has_money = any(column.kind == "money" for one in of_money for column in one.columns.values())
    if not has_money or any(one.has("currency") for one in datasets):
        return []
    return [one for one in table.headers if one.rpartition(".")[2] in CURRENCY_HEADERS]


def _stripped(text: str | None) -> str | None:
    if text is None:
        return None
    bare = text.strip(BLANKS)
    return (type(text)(bare) if bare != text else text) if bare else None


def _place(header: str) -> str:
    return header if header.startswith("{") else fold(header)


def _cell(cells: Cells, header: str) -> str | None:
    return cells.get(_place(header))


def _is_text(text: str | None) -> bool:
    """Return whether a cell is valid UTF-8."""
    return text is None or text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text)


def _is_too_long(dataset: Dataset, name: str, value: Value) -> bool:
    is_key = dataset.is_reference or name in ("category", "product_id")
    return is_key and isinstance(value, str) and len(value.encode()) > MAX_KEY_BYTES


def _is_too_large(values: Mapping[str, Value]) -> bool:
    """Return whether an amount or quantity would cost every other row of the day."""
    for name, value in values.items():
        if isinstance(value, Decimal) and abs(value) > (
            MAX_QUANTITY if name == "quantity" else MAX_AMOUNT
        ):
            return True
    quantity = values.get("quantity")
    prices = [values.get(name) for name in ("unit_price", "unit_discount")]
    return isinstance(quantity, Decimal) and any(
        isinstance(price, Decimal) and abs(price * quantity) > MAX_AMOUNT for price in prices
    )
