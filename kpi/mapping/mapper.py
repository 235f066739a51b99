"""Rows of a file to rows of the datasets that it feeds (rules 1 and 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.model import header_form
from kpi.contract.reject_reasons import Reason
from kpi.contract.shop import AS_WRITTEN, FileLayout, Shop, ShopColumn, ShopDataset
from kpi.csv.blank_records import find_blank_cells
from kpi.kernels.arrays import Mask, Positions
from kpi.kernels.masks import bitmap, booleans, true
from kpi.mapping.amounts import too_large
from kpi.mapping.clean_rows import clean_schema, dated_column
from kpi.mapping.columns import (
    EXPECTED,
    KEYS_OF_KPIS,
    Forms,
    Typed,
    midnights,
    minor_units_of,
    read_column,
    too_long,
)
from kpi.mapping.conditions import holds
from kpi.mapping.dates import Clock
from kpi.mapping.file_rows import FileRows, without_words
from kpi.mapping.fill import ComesBackError, Filler, MergedCells
from kpi.mapping.headers import (
    CURRENCY_HEADERS,
    FileRefusedError,
    needed_positions,
    resolve_headers,
)
from kpi.mapping.row_notes import blank_notes, changes, sample_values
from kpi.validation.rules import Problem


@dataclass(frozen=True, kw_only=True)
class DatasetRows:
    """What some rows of a file are for one dataset.

    Attributes:
        clean: Rows of `clean_schema`.
        rejected: Rows that broke the contract.
        passed_over: Rows that `only` leaves out.
        problems: What is wrong, as masks over the rows of the file.
        notes: How often something happened that a receipt tells of.
    """

    clean: pa.Table
    rejected: Mask
    passed_over: Mask
    problems: list[Problem]
    notes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, kw_only=True)
class MappedRows:
    """What some rows of a file are.

    Attributes:
        rows: Number of them; blank records and repeated headers are none.
        kept: Position of each among the records that were given.
        blank: Number of records of nothing but blanks.
        datasets: By name.
    """

    rows: int
    kept: Positions
    blank: int
    datasets: Mapping[str, DatasetRows]


def _headers_of(dataset: ShopDataset) -> set[str]:
    """Name the headers that a dataset reads, folded."""
    return {
        header_form(header)
        for column in dataset.columns.values()
        for header in (*column.headers, *column.join)
    }


class Mapper:
    """Maps the rows of one file, piece after piece, in their order."""

    def __init__(
        self,
        shop: Shop,
        layout: FileLayout,
        headers: Sequence[str],
        names: Mapping[str, str],
        *,
        last_day: int,
        rows_before: int = 0,
        levels: Mapping[str, int] | None = None,
    ) -> None:
        """Resolve the headers that the contract names.

        Args:
            shop: Contract.
            layout: Entry of `[[files]]` that takes the file.
            headers: Of the file, in order.
            names: Texts that the pattern took from the path.
            last_day: Latest day of an order, days since 1970.
            rows_before: Rows of other files of the same source object.
            levels: Of each folded header, the number of the list whose elements have it, from 1.

        Raises:
            FileRefusedError: A header is missing, or stands twice.
        """
        self._shop = shop
        self._layout = layout
        self._headers = list(headers)
        self._names = {f"{{{name}}}": text for name, text in names.items()}
        self._datasets = {name: shop.all_datasets[name] for name in layout.feeds}
        self._positions = resolve_headers(shop, layout, self._headers)
        needed = needed_positions(shop, layout, self._headers)
        others = set(range(len(self._headers))).difference(needed)
        self._needed_first = [*needed, *sorted(others)]
        self._forms = Forms(
            numbers=layout.numbers, dates=layout.dates, clock=Clock(shop.day, shop.times)
        )
        self._first_day = int(np.datetime64(shop.not_before, "D").astype(np.int64))
        self._last_day = last_day
        self._fillers = {name: Filler() for name in self._datasets} if layout.fill else {}
        self._merged = {header_form(one): MergedCells() for one in layout.merged}
        self._fillable = self._fillable_headers()
        self._signs: dict[tuple[str, str], frozenset[int]] = {}
        self._currencies: dict[str, set[str]] = {}
        self._rows_before = rows_before
        self._levels = {
            name: max(((levels or {}).get(one, 0) for one in _headers_of(dataset)), default=0)
            for name, dataset in self._datasets.items()
        }

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """Schema of the clean rows of each dataset."""
        return {name: clean_schema(dataset) for name, dataset in self._datasets.items()}

    def map(self, cells: Sequence[pa.Array], has_level: Sequence[Mask] = ()) -> MappedRows:
        """Map the next records.

        Args:
            cells: For each header, the cells of the records as `pa.binary()` or `pa.string()`.
            has_level: For each list that objects have in them, where a record has an element of
                it. Others are no rows of a dataset that reads elements of the list.

        Raises:
            FileRefusedError: The records show that the contract does not fit the file.
        """
        blank, header = self._no_rows(cells)
        kept = np.flatnonzero(~blank & ~header)
        if len(kept) < len(blank):
            cells = [column.take(pa.array(kept)) for column in cells]
            has_level = [one[kept] for one in has_level]
        file_rows = FileRows(
            cells,
            self._headers,
            self._positions,
            self._names,
            self._layout,
            len(kept),
            self._merged,
        )
        datasets = {
            name: self._of_dataset(
                dataset, file_rows, has_level[level - 1] if (level := self._levels[name]) else None
            )
            for name, dataset in self._datasets.items()
        }
        self._check_currencies(file_rows)
        self._rows_before += len(kept)
        return MappedRows(rows=len(kept), kept=kept, blank=int(blank.sum()), datasets=datasets)

    def _fillable_headers(self) -> set[str]:
        """Headers that only orders and products read, and none of them as a key (rule 6)."""
        read: set[str] = set()
        kept: set[str] = set()
        for name, dataset in self._datasets.items():
            for column in dataset.columns.values():
                forms = {header_form(one) for one in (*column.headers, *column.join)}
                if name in ("orders", "products") and column.name not in dataset.key:
                    read |= forms
                else:
                    kept |= forms
        return read - kept

    def _no_rows(self, cells: Sequence[pa.Array]) -> tuple[Mask, Mask]:
        """Find the records that are no rows: the blank ones, and repeated headers."""
        rows = len(cells[self._needed_first[0]])
        blank = np.ones(rows, bool)
        header = np.ones(rows, bool)
        for at in self._needed_first:
            if blank.any():
                blank &= find_blank_cells(cells[at])
            if header.any():
                header &= true(pc.equal(cells[at].cast(pa.binary()), self._headers[at].encode()))
            if not (blank.any() or header.any()):
                break
        return blank, header

    def _of_dataset(
        self, dataset: ShopDataset, file_rows: FileRows, has_element: Mask | None
    ) -> DatasetRows:
        rows = len(file_rows)
        only = self._layout.only.get(dataset.name)
        inside = np.ones(rows, bool)
        if only is not None:
            inside = holds(only, file_rows.texts, rows, file_rows.signs)
        if has_element is not None:
            inside &= has_element
        texts = self._cells(dataset, file_rows, inside)
        deleted = holds(dataset.deleted, lambda name: texts[name], rows) & inside
        units = self._minor_units(file_rows) if self._layout.minor_units else None
        problems, notes = file_rows.undecodable(dataset, inside), Counter[str]()
        arrays: list[pa.Array] = []
        needed = {*dataset.key, *([dataset.version] if dataset.version else [])}
        days = None
        for column in dataset.columns.values():
            typed = read_column(texts[column.name], column, self._forms, units)
            checked = inside if column.name in needed else inside & ~deleted
            problems += self._problems(column, texts[column.name], typed, checked)
            if dataset.name in self._shop.references or column.name in KEYS_OF_KPIS:
                problems += too_long(column, typed, checked)
            notes += changes(column, typed, file_rows, inside)
            self._check_signs(dataset, column, typed)
            arrays.append(self._kept_values(dataset, typed))
            if column.name == dated_column(dataset):
                days = typed
        if days is not None and days.days is not None:
            valid = true(days.values.is_valid())
            buffers = [None if valid.all() else bitmap(valid), pa.py_buffer(days.days)]
            arrays.append(pa.Array.from_buffers(pa.int32(), rows, buffers))
            if dataset.name == "orders":
                outside = (days.days < self._first_day) | (days.days > self._last_day)
                outside &= valid & inside & ~deleted
                problems += self._out_of_bounds(outside, texts["created_at"])
        values = dict(zip(dataset.columns, arrays, strict=False))
        problems += too_large(dataset, values, inside & ~deleted)
        if dataset.name == "order_items":
            notes.update(blank_notes(dataset, texts, inside))
        if dataset.key_by == "row":
            arrays.append(pa.array(np.arange(rows) + self._rows_before))
        rejected = np.zeros(rows, bool)
        for problem in problems:
            rejected |= problem.rows
        kept = inside & ~rejected
        clean = pa.table(arrays, schema=clean_schema(dataset).remove_metadata())
        return DatasetRows(
            clean=clean if kept.all() else clean.filter(booleans(kept)),
            rejected=rejected,
            passed_over=~inside,
            problems=problems,
            notes=notes,
        )

    def _kept_values(self, dataset: ShopDataset, typed: Typed) -> pa.Array:
        """Return the values that are kept: of a reference's times as written, their days."""
        is_written = dataset.name in self._shop.references and self._shop.day == AS_WRITTEN
        if not is_written or typed.days is None:
            return typed.values
        return midnights(typed)

    def _cells(
        self, dataset: ShopDataset, file_rows: FileRows, inside: Mask
    ) -> dict[str, pa.Array]:
        """Texts of a dataset's columns: filled, joined, and those that do not hold left out."""
        found: dict[str, pa.Array] = {}
        filled: dict[str, pa.Array] = {}
        fill = self._layout.fill
        if fill is not None and dataset.name in ("orders", "products"):
            some = pa.array(np.flatnonzero(inside))
            headers = {
                header_form(one)
                for column in dataset.columns.values()
                for one in (*self._header_of(column), *column.join)
            }
            columns = {
                form: file_rows.texts(form).take(some)
                for form in sorted(headers & self._fillable)
                if form in self._positions
            }
            try:
                of_some = self._fillers[dataset.name].fill(
                    file_rows.texts(fill).take(some), columns
                )
            except ComesBackError as error:
                raise FileRefusedError(
                    f"expected the rows of one {fill!r} to follow on each other, got one that "
                    f"comes back after another: sort the file by {fill!r}"
                ) from error
            at = np.full(len(inside), -1)
            at[inside] = np.arange(int(inside.sum()))
            places = pa.array(at, mask=~inside)
            filled = {form: texts.take(places) for form, texts in of_some.items()}

        def texts(header: str) -> pa.Array:
            form = header_form(header)
            return filled[form] if form in filled else file_rows.texts(header)

        for column in dataset.columns.values():
            if column.join:
                values = pc.binary_join_element_wise(*map(texts, column.join), " ")
            else:
                values = texts(self._header_of(column)[0])
            if column.blanks:
                values = without_words(values, column.blanks)
            if column.when:
                mask = holds((column.when,), file_rows.texts, len(inside), file_rows.signs)
                values = pc.if_else(pa.array(mask), values, pa.scalar(None, pa.string()))
            if not inside.all():
                values = pc.if_else(booleans(inside), values, pa.scalar(None, pa.string()))
            found[column.name] = values
        return found

    def _header_of(self, column: ShopColumn) -> tuple[str, ...]:
        """Name the first header that the file has."""
        for header in column.headers:
            if header in self._names or header_form(header) in self._positions:
                return (header,)
        return column.headers[:1]

    def _minor_units(self, file_rows: FileRows) -> Positions:
        currencies = None
        for dataset in self._datasets.values():
            column = dataset.columns.get("currency")
            if column is not None and column.headers and currencies is None:
                currencies = file_rows.texts(self._header_of(column)[0])
        return minor_units_of(currencies, self._shop.currency, len(file_rows))

    def _problems(
        self, column: ShopColumn, texts: pa.Array, typed: Typed, checked: Mask
    ) -> list[Problem]:
        found = []
        wrong = typed.wrong & checked
        if wrong.any():
            expected = EXPECTED.get(column.stored_kind, "text")
            samples = sample_values(texts, wrong)
            found.append(Problem(Reason.WRONG_TYPE, column.name, expected, wrong, samples))
        if column.required:
            missing = ~true(texts.is_valid()) & checked
            if missing.any():
                found.append(Problem(Reason.MISSING_VALUE, column.name, "a value", missing))
        return found

    def _out_of_bounds(self, outside: Mask, texts: pa.Array) -> list[Problem]:
        if not outside.any():
            return []
        first, last = (
            np.datetime64(day, "D").astype(str) for day in (self._first_day, self._last_day)
        )
        expected = f"a day from {first} to {last} (not_before, not_after)"
        samples = sample_values(texts, outside)
        return [Problem(Reason.OUT_OF_RANGE, "created_at", expected, outside, samples)]

    def _check_currencies(self, file_rows: FileRows) -> None:
        """Refuse a file of several currencies of which the contract says nothing (rule 20)."""
        if any("currency" in dataset.columns for dataset in self._datasets.values()):
            return
        for header in self._headers:
            form = header_form(header).rpartition(".")[2]  # of a path of JSON, the last key
            if form not in CURRENCY_HEADERS or not self._has_money:
                continue
            found = pc.unique(pc.utf8_upper(file_rows.texts(header))).drop_null().to_pylist()
            self._currencies.setdefault(header, set()).update(found)
            if len(self._currencies[header]) > 1:
                raise FileRefusedError(
                    f"expected one currency in {header.strip()!r}, or a contract that says "
                    f"`currency = {header.strip()!r}`, got several"
                )

    @property
    def _has_money(self) -> bool:
        return any(
            column.kind == "money"
            for name, dataset in self._datasets.items()
            if name != "products"
            for column in dataset.columns.values()
        )

    def _check_signs(self, dataset: ShopDataset, column: ShopColumn, typed: Typed) -> None:
        """Refuse a file whose discounts or refunds have both signs (rule 12)."""
        key = dataset.name, column.name
        self._signs[key] = self._signs.get(key, frozenset()) | typed.signs
        if len(self._signs[key]) > 1:
            raise FileRefusedError(
                f"expected {dataset.name}.{column.name} with one sign, got amounts with both: it "
                "is a size, whose sign is dropped"
            )
