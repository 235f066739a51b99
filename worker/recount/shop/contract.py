"""Read a contract of language 2 from its text into plain values."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from worker.recount.values import fold

Kind = Literal["text", "integer", "money", "quantity", "factor", "time", "version"]

_MONEY = (
    *("discount", "unit_discount", "refund", "total"),
    *("unit_price", "before_discount", "after_discount"),
)
ROLES: Mapping[str, Kind] = {
    **dict.fromkeys((*_MONEY, "amount", "price"), "money"),
    **dict.fromkeys(("rate", "discount_rate", "discount_percent"), "factor"),
    "quantity": "quantity",
    "created_at": "time",
}
"""Column with a meaning -> kind of its values; all others are texts."""

ROLES_OF: Mapping[str, frozenset[str]] = {
    "orders": frozenset({"discount", "refund", "total", "quantity", "rate", "created_at"}),
    "order_items": frozenset(
        {
            *("unit_price", "before_discount", "after_discount", "discount", "discount_rate"),
            *("discount_percent", "unit_discount", "quantity", "rate"),
        }
    ),
    "refunds": frozenset({"amount", "unit_price", "quantity", "rate", "created_at"}),
    "products": frozenset({"price"}),
}
"""Dataset -> columns that have a meaning in it, and are no texts."""

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "orders": ("order_id", "created_at"),
    "order_items": ("order_id",),
    "refunds": (),
    "products": ("id",),
}

SIZES = ("discount", "unit_discount", "refund", "amount")
"""Money whose sign is dropped (rule 12)."""

TYPES: Mapping[str, Kind] = {
    "text": "text",
    "integer": "integer",
    "decimal": "money",
    "timestamp": "time",
}

Condition = Mapping[str, tuple[str, ...]]
"""Column -> its texts."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One look-up: a column of a reference."""

    reference: str
    column: str


@dataclass(frozen=True, kw_only=True)
class Column:
    """Where the values of a column come from.

    Attributes:
        name: In the words of the contract.
        kind: What its values are, after the look-ups.
        headers: The first of these that the file has.
        join: Headers whose cells are put together; empty where `headers` say it.
        when: Condition on the file's cells without which there is no value.
        steps: Look-ups.
        blanks: Folded words that mean "no value".
        required: Whether a row without a value is a reject.
    """

    name: str
    kind: Kind = "text"
    headers: tuple[str, ...] = ()
    join: tuple[str, ...] = ()
    when: tuple[Condition, ...] = ()
    steps: tuple[Step, ...] = ()
    blanks: frozenset[str] = frozenset()
    required: bool = False

    @property
    def read(self) -> tuple[str, ...]:
        """Headers of the cells that make the value."""
        return (*self.headers, *self.join)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset or reference.

    Attributes:
        name: Its name.
        columns: By name.
        key: Columns that identify a row; empty where `key_by` says it.
        key_by: `columns`, `order` or `row`.
        version: Column whose greater value is the later row.
        deleted: Conditions of rows whose key is gone.
        excluded: Conditions of rows that do not count.
        returned: Conditions of returned rows; None where the contract does not say it.
        valid_from: Of a reference, the column with the first day of a row.
        is_reference: Whether it is one.
    """

    name: str
    columns: Mapping[str, Column]
    key: tuple[str, ...] = ()
    key_by: str = "columns"
    version: str | None = None
    deleted: tuple[Condition, ...] = ()
    excluded: tuple[Condition, ...] = ()
    returned: tuple[Condition, ...] | None = None
    valid_from: str | None = None
    is_reference: bool = False

    def has(self, *columns: str) -> bool:
        """Return whether it has one of some columns."""
        return any(name in self.columns for name in columns)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of `[[files]]`; see `docs/language.md`."""

    number: int
    match: str
    feeds: tuple[str, ...]
    columns: tuple[str, ...] = ()
    delimiter: str | None = None
    quote: str = '"'
    escape: str = ""
    encoding: str | None = None
    numbers: str = "1234.50"
    dates: tuple[str, ...] = ("iso",)
    minor_units: bool = False
    blanks: frozenset[str] = frozenset()
    replaces: str = "rows"
    begins: str | None = None
    fill: str | None = None
    merged: tuple[str, ...] = ()
    only: Mapping[str, tuple[Condition, ...]] = field(default_factory=dict)
    each: tuple[str, ...] = ()
    known_by: tuple[str, ...] = ()

    def names_in(self, path: str) -> dict[str, str] | None:
        """Return the texts that the pattern takes from a path; None where it does not match."""
        parts = re.split(r"(\*|\{\w+\})", self.match)
        pattern = "".join(map(_pattern, parts))
        segments = path.strip("/").split("/")
        tails = range(len(segments)) if "/" in self.match else [len(segments) - 1]
        for start in tails:
            found = re.fullmatch(pattern, "/".join(segments[start:]))
            if found is not None:
                return {f"{{{name}}}": text for name, text in found.groupdict().items()}
        return None


def _pattern(part: str) -> str:
    if part == "*":
        return "(?s:.*)"  # names may have line ends
    return f"(?P<{part[1:-1]}>[^/]+?)" if re.fullmatch(r"\{\w+\}", part) else re.escape(part)


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A whole contract.

    Attributes:
        day: `as written`, or a time zone.
        times: Time zone of times that carry none.
        currency: Of the KPIs.
        not_before, not_after: Bounds of an order's day; None for a day after the upload.
        entries: Those of `[[files]]`, in order.
        datasets: `orders`, `order_items`, `refunds`, `products`, as far as there are.
        references: By name.
        max_record_bytes: Longest record.
    """

    day: str
    times: str
    currency: str
    not_before: date
    not_after: date | None
    entries: tuple[Entry, ...]
    datasets: Mapping[str, Dataset]
    references: Mapping[str, Dataset]
    max_record_bytes: int

    @property
    def tables(self) -> dict[str, Dataset]:
        """Datasets and references."""
        return {**self.datasets, **self.references}

    def has(self, dataset: str, *columns: str) -> bool:
        """Return whether a dataset is there and has one of some columns."""
        return dataset in self.datasets and self.datasets[dataset].has(*columns)

    def entries_for(self, path: str) -> list[Entry]:
        """Return the entries that may take a file, in order.

        The first whose pattern matches does, or, with `known_by`, where the header has it.
        """
        bare = re.sub(r"\.(gz|gzip|zst|bz2)$", "", path, flags=re.IGNORECASE)
        found: list[Entry] = []
        for name in dict.fromkeys((path, bare)):
            for entry in self.entries:
                if entry.names_in(name) is not None and entry not in found:
                    found.append(entry)
                    if not entry.known_by:
                        return found
        return found

    def names_in(self, entry: Entry, path: str) -> dict[str, str]:
        """Return the texts that an entry takes from the path of a file that it matches."""
        found = entry.names_in(path)
        if found is None:
            found = entry.names_in(re.sub(r"\.[^.]*$", "", path))
        return found or {}


Document = Mapping[str, Any]


def read_contract(text: str) -> Shop:
    """Read a contract that is known to be right."""
    document = tomllib.loads(text)
    datasets = {name: _dataset(name, document[name]) for name in REQUIRED if name in document}
    references = {
        name: _reference(name, table, datasets)
        for name, table in document.get("references", {}).items()
    }
    not_after = document.get("not_after")
    limits = document.get("limits", {})
    return Shop(
        day=document["day"],
        times=document.get("times", "UTC"),
        currency=document.get("currency", ""),
        not_before=date.fromisoformat(str(document.get("not_before", "2000-01-01"))),
        not_after=None if not_after is None else date.fromisoformat(str(not_after)),
        entries=tuple(map(_entry, range(len(document["files"])), document["files"])),
        datasets=datasets,
        references=references,
        max_record_bytes=limits.get("max_record_bytes", 16 * 2**20),
    )


def _entry(number: int, table: Document) -> Entry:
    each = table.get("each", "")
    plain = ("match", "delimiter", "quote", "escape", "encoding", "numbers", "minor_units")
    said = {name: table[name] for name in (*plain, "replaces", "begins", "fill") if name in table}
    return Entry(
        number=number,
        feeds=tuple(table["feeds"]),
        columns=tuple(table.get("columns", ())),
        dates=tuple(_listed(table.get("dates", "iso"))),
        blanks=frozenset(map(fold, table.get("blanks", ()))),
        merged=tuple(map(fold, table.get("merged", ()))),
        only={name: _conditions(one) for name, one in table.get("only", {}).items()},
        each=tuple(each.split(".")) if each else (),
        known_by=tuple(table.get("known_by", ())),
        **said,
    )


def _dataset(name: str, table: Document) -> Dataset:
    key = {"orders": "order_id", "products": "id"}.get(name) or table["key"]
    key_by = key if key in ("order", "row") else "columns"
    columns_of_key = tuple(_listed(key)) if key_by == "columns" else ()
    identity = ("order_id",) if key_by == "order" else columns_of_key
    version = table.get("version")
    columns = {}
    for column, spec in table["columns"].items():
        kind: Kind = ROLES[column] if column in ROLES_OF[name] else "text"
        columns[column] = _column(
            column,
            spec if isinstance(spec, dict) else {"from": spec},
            "version" if column == version else kind,
            required=column in (*REQUIRED[name], *identity),
        )
    return Dataset(
        name=name,
        columns=columns,
        key=columns_of_key,
        key_by=key_by,
        version=version,
        deleted=_conditions(table.get("deleted", [])),
        excluded=_conditions(table.get("excluded", [])),
        returned=_conditions(table["returned"]) if "returned" in table else None,
    )


def _column(name: str, spec: Document, kind: Kind, *, required: bool) -> Column:
    if kind != "version" and "type" in spec:
        kind = TYPES[spec["type"]]
    steps = (step.partition(".") for step in _listed(spec.get("via", [])))
    return Column(
        name=name,
        kind=kind,
        headers=tuple(_listed(spec.get("from", []))),
        join=tuple(spec.get("join", ())),
        when=_conditions(spec["when"]) if "when" in spec else (),
        steps=tuple(Step(reference=one, column=other) for one, _, other in steps),
        blanks=frozenset(map(fold, spec.get("blanks", ()))),
        required=required or spec.get("required", False),
    )


def _reference(name: str, table: Document, datasets: Mapping[str, Dataset]) -> Dataset:
    """Read a reference, whose columns are its key and what look-ups ask for."""
    key, valid_from = tuple(_listed(table["key"])), table.get("valid_from")
    columns = {one: Column(name=one, headers=(one,), required=True) for one in key}
    for column in (one for dataset in datasets.values() for one in dataset.columns.values()):
        for number, step in enumerate(column.steps, start=1):
            if step.reference == name and step.column not in key:
                kind: Kind = column.kind if number == len(column.steps) else "text"
                columns[step.column] = Column(name=step.column, kind=kind, headers=(step.column,))
    if valid_from is not None:
        columns[valid_from] = Column(
            name=valid_from, kind="time", headers=(valid_from,), required=True
        )
    return Dataset(name=name, columns=columns, key=key, valid_from=valid_from, is_reference=True)


def _conditions(value: Document | list[Document]) -> tuple[Condition, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple({column: tuple(_listed(texts)) for column, texts in one.items()} for one in listed)


def _listed(value: str | Sequence[str]) -> Iterator[str]:
    return iter([value] if isinstance(value, str) else value)
