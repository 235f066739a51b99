"""Rows of raw and clean files, as the recount reads them: values on demand."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from kpi.contract.model import Column, Contract, Dataset
from worker.recount import values
from worker.recount.records import read_records

Value = int | str | Decimal | datetime | None

MAX_QUANTITY = 10**9
MAX_LINE_UNITS = 10**17
"""Limits of one line: quantity, and price times quantity in units of the price's scale."""


class Row(Protocol):
    """One row of a source object."""

    def value(self, name: str) -> Value:
        """Return the value of a column; None where it has none, or a bad one."""

    def counts(self) -> bool:
        """Return whether the row is clean: no rule of the contract rejects it."""


class CleanRow:
    """A row of the clean zone, which holds clean rows alone."""

    def __init__(self, fields: Mapping[str, Value]) -> None:
        self._fields = fields

    def value(self, name: str) -> Value:
        return self._fields.get(name)

    def counts(self) -> bool:
        return True


@dataclass(frozen=True)
class _Cell:
    """Result of parsing one text."""

    value: Value
    is_bad: bool = False


class RawLayout:
    """Columns of one raw file, and how their texts are parsed."""

    def __init__(self, contract: Contract, dataset: Dataset, header: Sequence[str]) -> None:
        self.contract = contract
        self.dataset = dataset
        self.width = len(header)
        self._nulls = frozenset(contract.null_values)
        known = {
            values.fold(text): column
            for column in dataset.columns.values()
            for text in (column.name, *column.headers)
        }
        self.columns: dict[str, int] = {}
        for at, text in enumerate(header):
            column = known.get(values.fold(text))
            if column is not None:
                self.columns.setdefault(column.name, at)
        zones = values.Zones(
            source=values.zone(contract.source_time_zone),
            business=values.zone(contract.business_time_zone),
        )
        self._parsers = {name: _parser(dataset.columns[name], zones) for name in self.columns}

    def parse(self, name: str, text: str) -> _Cell:
        """Parse one text of a column, and hold it against the column's rules."""
        column = self.dataset.columns[name]
        if text in self._nulls:
            return _Cell(None)
        if not _is_utf8(text):
            return _Cell(None, is_bad=True)
        value: Value = text
        trimmed = text.strip(values.BLANKS)
        if column.type != "string" or column.trim:
            if trimmed != text and (not trimmed or trimmed in self._nulls):
                return _Cell(None)
            value = self._parsers[name](trimmed)
        if value is None or not _obeys(column, value):
            return _Cell(None, is_bad=True)
        return _Cell(value)


class RawRow:
    """A record of a raw file; a value is parsed when it is first asked for."""

    def __init__(self, layout: RawLayout, texts: Sequence[str]) -> None:
        self._layout = layout
        self._texts = texts
        self._cells: dict[str, _Cell] = {}

    def value(self, name: str) -> Value:
        return self._cell(name).value

    def counts(self) -> bool:
        layout = self._layout
        for name, column in layout.dataset.columns.items():
            cell = self._cell(name)
            if column.rejects and (cell.is_bad or (column.required and cell.value is None)):
                return False
        return layout.dataset.name != "order_items" or self._is_within_line_limits()

    def _cell(self, name: str) -> _Cell:
        cell = self._cells.get(name)
        if cell is None:
            at = self._layout.columns.get(name)
            cell = _Cell(None) if at is None else self._layout.parse(name, self._texts[at])
            self._cells[name] = cell
        return cell

    def _is_within_line_limits(self) -> bool:
        quantity, price = self.value("quantity"), self.value("sale_price")
        if not isinstance(quantity, int):
            return True
        if abs(quantity) > MAX_QUANTITY:
            return False
        if not self._layout.dataset.unit_price or not isinstance(price, Decimal):
            return True
        scale = self._layout.dataset.columns["sale_price"].scale
        return abs(price * quantity) <= Decimal(MAX_LINE_UNITS).scaleb(-scale)


def read_rows(lines: Iterable[bytes], contract: Contract, dataset: Dataset) -> Iterator[RawRow]:
    """Yield the rows of a raw file that have as many fields as its header.

    Args:
        lines: Lines of the file.
        contract: Contract of the file.
        dataset: Its dataset.

    Raises:
        TooAmbiguousError: See `read_records`.
    """
    records = read_records(lines, contract.delimiter, contract.max_record_bytes)
    header: list[str] = []
    for fields in records:
        fields[0] = fields[0].removeprefix("\ufeff")
        if not _is_blank(fields) and not _is_separator_line(fields, contract.delimiter):
            header = fields
            break
    layout = RawLayout(contract, dataset, header)
    for texts in records:
        if len(texts) == layout.width:
            yield RawRow(layout, texts)


def _is_blank(fields: Sequence[str]) -> bool:
    """Return whether a record has no value: spreadsheets leave such records."""
    return not any(text.strip(values.BLANKS) for text in fields)


def _is_separator_line(fields: Sequence[str], delimiter: str) -> bool:
    """Return whether a record is the line `sep=` of a spreadsheet, which names the delimiter."""
    is_named = fields[0].lower() in ("sep=", f"sep={delimiter}")
    return is_named and not any(fields[1:])


def returned_statuses(contract: Contract) -> frozenset[str]:
    """Return the folded statuses that mean "returned", as the contract's text has them."""
    orders = tomllib.loads(contract.text).get("orders", {})
    return frozenset(values.fold(text) for text in orders.get("returned", ["returned"]))


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parser(column: Column, zones: values.Zones) -> Callable[[str], Value]:
    if column.type == "integer":
        return values.parse_integer
    if column.type == "uuid":
        return values.parse_uuid
    if column.type == "string":
        return str
    if column.type == "decimal":
        return lambda text: values.parse_decimal(
            text,
            precision=column.precision,
            scale=column.scale,
            rounds=column.on_excess_digits == "round",
        )
    return lambda text: values.parse_timestamp(text, column.formats, zones)


def _obeys(column: Column, value: Value) -> bool:
    """Return whether a value obeys the rules of its column."""
    if isinstance(value, datetime):
        return not column.rejects or values.FIRST <= value <= values.LAST
    if isinstance(value, int | Decimal):
        low = column.minimum is None or value >= column.minimum
        return low and (column.maximum is None or value <= column.maximum)
    if isinstance(value, str) and column.type == "string":
        if column.allowed and value not in column.allowed:
            return False
        if column.max_bytes is not None and len(value.encode()) > column.max_bytes:
            return False
        return bool(value) or column.name not in ("category", "product_id")
    return True
