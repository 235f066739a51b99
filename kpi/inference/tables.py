"""Tables of a sample, and which columns refer to the keys of which."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from kpi.contract.folding import fold
from kpi.inference.file_names import CAPTURED, find_dates
from kpi.inference.headers import Meaning, meaning_of, tokens_of
from kpi.inference.number_forms import in_one_form
from kpi.inference.samples import TableSample
from kpi.inference.values import Column, read_columns

KEY_UNIQUE_SHARE = 0.9
"""Distinct values for each row of a column that others may refer to: exports repeat rows."""

MIN_ID_SHARE = 0.3
"""The same of a column whose header names an identifier."""

MIN_FOUND_SHARE = 0.5
"""Values of a reference that its key must have."""

TEXT_EVIDENCE = 8
"""Distinct texts that are evidence enough by themselves: small whole numbers are in every table."""

ENTITIES = ("order", "product", "customer", "category", "line")


@dataclass(frozen=True)
class Table:
    """A sample with its columns read.

    Attributes:
        number: Among the tables.
        sample: As read.
        columns: In order; behind those of the file one with the dates of the files' names.
        pattern: That takes the files and the dates of their names; empty where they have none.
        named: Dates of the files' names, where the rows have dates of their own.
        merged: Headers whose blank cells are as in the row above; `columns` have them filled.
    """

    number: int
    sample: TableSample
    columns: tuple[Column, ...]
    pattern: str = ""
    named: Column | None = None
    merged: tuple[str, ...] = ()

    @cached_property
    def stem(self) -> str:
        """Name without folders, ending and sheet's book."""
        last = re.split(r"[/\\]", self.sample.name)[-1]
        return re.sub(r"(\.\w{1,7})+$", "", last)

    @cached_property
    def entity(self) -> Meaning:
        """Meaning of the table's name."""
        return meaning_of(self.stem)

    @property
    def rows(self) -> int:
        """Rows of the sample."""
        return self.sample.rows


@dataclass(frozen=True)
class Reference:
    """A column whose values are keys of another table.

    Attributes:
        child: The column.
        parent: The key.
        found: Share of its distinct values that the key has.
        likeness: How well the headers go together, 0 to 1.
    """

    child: Column
    parent: Column
    found: float
    likeness: float

    @property
    def weight(self) -> float:
        """Evidence for it, 0 to 1."""
        return self.found * self.likeness


def make_tables(samples: Sequence[TableSample]) -> list[Table]:
    """Read the columns of samples."""
    return [_make_table(number, sample) for number, sample in enumerate(samples)]


def _make_table(number: int, sample: TableSample) -> Table:
    read = read_columns(number, sample.headers, sample.columns, has_headers=sample.has_headers)
    read = in_one_form(read, sample.columns)
    columns = [replace(one, is_repeated=one.index in sample.repeated) for one in read]
    parts = sample.parts or ((sample.name, sample.rows),)
    found = find_dates([name for name, _ in parts])
    if found is None:
        return Table(number, sample, tuple(columns))
    cells = [text for text, (_, rows) in zip(found.dates, parts, strict=True) for _ in range(rows)]
    (named,) = read_columns(number, [CAPTURED], [cells[: sample.rows]], has_headers=True)
    named = replace(named, index=len(columns), is_of_name=True)
    if any(one.kind == "date" for one in columns):
        return Table(number, sample, tuple(columns), found.pattern, named)
    return Table(number, sample, (*columns, named), found.pattern)


def find_references(tables: Sequence[Table]) -> list[Reference]:
    """Find the references between tables, by their values first and their headers second."""
    keys = [
        column
        for table in tables
        for column in table.columns
        if column.kind in ("integer", "text")
        and column.filled > 0
        and column.fill_share >= KEY_UNIQUE_SHARE
        and (
            column.unique_share >= (MIN_ID_SHARE if _is_id(column) else KEY_UNIQUE_SHARE)
            or _is_key_of_days(column, table)
        )
    ]
    found = []
    for table in tables:
        for child in table.columns:
            if child.kind not in ("integer", "text") or not child.filled:
                continue
            for parent in keys:
                if parent.table == table.number or parent.kind != child.kind:
                    continue
                share = len(child.distinct & parent.distinct) / len(child.distinct)
                if share < MIN_FOUND_SHARE:
                    continue
                like = likeness(child, parent, tables[parent.table])
                if like:
                    found.append(Reference(child, parent, share, like))
    return found


def _is_key_of_days(column: Column, table: Table) -> bool:
    """Whether a product has rows of several days, as in a list of prices."""
    day = first_day(table)
    if day is None or "product" not in column.meaning:
        return False
    has_price = any("price" in one.meaning and one.is_number for one in table.columns)
    if not has_price or any("order" in one.meaning for one in table.columns):
        return False
    return len(set(zip(column.cells, day.cells, strict=True))) == len(column.cells)


def _is_id(column: Column) -> bool:
    return "id" in column.meaning and not column.meaning.has("other_entity", "contact")


def likeness(child: Column, parent: Column, table: Table) -> float:
    """Compare the header of a reference with that of a key and its table's name."""
    if not (child.has_headers and parent.has_headers):
        return 0.6
    if fold(child.header) == fold(parent.header) and fold(child.header) != "id":
        return 1.0
    names = tokens_of(parent.header) - _GENERIC
    if not names:
        names = tokens_of(table.stem) - _GENERIC
    own = tokens_of(child.header) - _GENERIC
    if any(_same_word(one, other) for one in own for other in names):
        return 0.9
    parent_concepts = parent.meaning.concepts or table.entity.concepts
    if parent.meaning.concepts <= {"id", "name"}:
        parent_concepts = parent_concepts | table.entity.concepts
    shared = parent_concepts & child.meaning.concepts & set(ENTITIES)
    if shared:
        return 0.85
    is_text = child.kind == "text" and len(child.distinct) >= TEXT_EVIDENCE
    return 0.7 if is_text else 0.0


_GENERIC = frozenset(
    {"id", "no", "nr", "key", "code", "num", "number", "name", "ref", "dim", "raw"}
)


def _same_word(one: str, other: str) -> bool:
    """Whether two words are one, as singular and plural."""
    short, long = sorted((one, other), key=len)
    return short == long or (
        len(short) >= 4 and long.startswith(short[:-1]) and len(long) - len(short) <= 3
    )


def first_day(table: Table) -> Column | None:
    """Find the day from which a row is in force: the only one, or that before another."""
    days = [one for one in table.columns if one.dates is not None and one.fill_share == 1.0]
    if len(days) == 1:
        return days[0]
    for one in days:
        if all(_is_not_after(one, other) for other in days):
            return one
    return None


def _is_not_after(one: Column, other: Column) -> bool:
    if one.dates is None or other.dates is None:
        return False
    return bool((one.dates.days <= other.dates.days).all())
