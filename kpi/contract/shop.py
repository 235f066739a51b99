"""Model of contract language 2: what the files of a shop are, and what their rows mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from kpi.contract.conditions import Condition, Conditions
from kpi.contract.folding import fold
from kpi.contract.forms import ISO, DateForm, NumberForm

COMPRESSED = re.compile(r"\.(gz|gzip|zst|bz2)$", re.IGNORECASE)
"""End of a name that says how the bytes are compressed."""

ARCHIVE = re.compile(r"\.(zip|xlsx|xlsm|xlsb)$", re.IGNORECASE)
"""End of a name whose file has files or sheets in it."""

AS_WRITTEN = "as written"
"""Word of `day`: an order's day is the date as the file has it."""

Replaces = Literal["rows", "file", "all"]
KeyBy = Literal["columns", "order", "row"]
Kind = Literal["id", "integer", "text", "money", "factor", "quantity", "time", "version"]
"""What the values of a column are.

`money` has 4 decimal places, `quantity` 3, `factor` (rates and shares) 10. `version` is a time or
an integer.
"""

Role = tuple[Kind, bool]
"""Kind of a role's values, and whether the contract must name its column."""

ROLES: Mapping[str, Mapping[str, Role]] = {
    "orders": {
        "order_id": ("id", True),
        "created_at": ("time", True),
        "user_id": ("id", False),
        "discount": ("money", False),
        "refund": ("money", False),
        "total": ("money", False),
        "quantity": ("quantity", False),
        "currency": ("text", False),
        "rate": ("factor", False),
    },
    "order_items": {
        "order_id": ("id", True),
        "product_id": ("id", False),
        "category": ("text", False),
        "quantity": ("quantity", False),
        "unit_price": ("money", False),
        "before_discount": ("money", False),
        "discount": ("money", False),
        "unit_discount": ("money", False),
        "discount_rate": ("factor", False),
        "discount_percent": ("factor", False),
        "after_discount": ("money", False),
        "currency": ("text", False),
        "rate": ("factor", False),
    },
    "refunds": {
        "order_id": ("id", False),
        "item": ("id", False),
        "created_at": ("time", False),
        "amount": ("money", False),
        "unit_price": ("money", False),
        "quantity": ("quantity", False),
        "currency": ("text", False),
        "rate": ("factor", False),
    },
    "products": {
        "id": ("id", True),
        "category": ("text", False),
        "price": ("money", False),
    },
}
"""Dataset -> column with a meaning -> kind of its values, and whether it must be there."""

REFERENCE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names of references, which are parts of the keys of objects."""

REFUND_MONEY = ("amount", "unit_price")
"""Columns of [refunds] that say how much was paid back; without one, rows say what came back."""

SIZES = ("discount", "unit_discount", "refund", "amount")
"""Money without a sign (rule 12)."""


@dataclass(frozen=True, kw_only=True)
class FilePattern:
    """Pattern of paths: `*` any text, `{name}` a text that becomes a column of every row."""

    text: str

    def match(self, path: str) -> dict[str, str] | None:
        """Compare the end of a path; texts by name, None where the pattern does not match.

        A pattern without `/` is compared with the name of the file alone.
        """
        segments = path.strip("/").split("/")
        if "/" not in self.text:
            found = self._expression.fullmatch(segments[-1])
            return found.groupdict() if found else None
        for start in range(len(segments)):
            found = self._expression.fullmatch("/".join(segments[start:]))
            if found:
                return found.groupdict()
        return None

    def may_match_inside(self, path: str) -> bool:
        """Whether the pattern may match a member or sheet of an archive at a path.

        A pattern without `/` may match a member wherever the archive is.
        """
        if "/" not in self.text:
            return True
        folder = FilePattern(text=self.text.rpartition("/")[0])
        return folder.match(path) is not None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the texts that the pattern takes from a path."""
        return tuple(re.findall(r"\{(\w+)\}", self.text))

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        parts = re.split(r"(\*|\{\w+\})", self.text)
        return re.compile("".join(map(_expression_of, parts)))


def _expression_of(part: str) -> str:
    if part == "*":
        return "(?s:.*)"  # names may have line ends
    return f"(?P<{part[1:-1]}>[^/]+?)" if re.fullmatch(r"\{\w+\}", part) else re.escape(part)


@dataclass(frozen=True, kw_only=True)
class FileLayout:
    """One entry of `[[files]]`: which files it takes, and how they are written.

    Attributes:
        match: Which paths.
        feeds: Datasets and references that its rows are rows of.
        columns: Headers of a file that has no header row; empty where it has one.
        delimiter: Between columns; None to take the one that yields every column.
        quote: Around values; empty where quotes are plain characters.
        escape: Makes the next character a plain one; empty for none.
        encoding: Of the text; None for UTF-8, or UTF-16 where a byte order mark says so.
        numbers: How numbers are written.
        dates: How dates are written, tried in turn.
        minor_units: Whether money is a count of the currency's smallest unit.
        blanks: Words that mean "no value", folded.
        replaces: What a later file takes the place of.
        begins: A cell of the header; None where the first record is the header.
        fill: Column within which blank cells are as in the row above.
        merged: Columns whose blank cells are as in the row above, whatever stands beside them.
        only: Dataset -> which rows are rows of it, by the file's own cells.
        each: Of JSON: path of the list of which each element is a row; None for one row an object.
        known_by: Headers that a file must have for the entry to take it (rule 26); empty where the
            pattern alone decides.
    """

    match: FilePattern
    feeds: tuple[str, ...]
    columns: tuple[str, ...] = ()
    delimiter: str | None = None
    quote: str = '"'
    escape: str = ""
    encoding: str | None = None
    numbers: NumberForm = field(default_factory=NumberForm)
    dates: tuple[DateForm, ...] = (ISO,)
    minor_units: bool = False
    blanks: tuple[str, ...] = ()
    replaces: Replaces = "rows"
    begins: str | None = None
    fill: str | None = None
    merged: tuple[str, ...] = ()
    only: Mapping[str, Conditions] = field(default_factory=dict)
    each: str | None = None
    known_by: tuple[str, ...] = ()

    def is_known_by(self, headers: Iterable[str]) -> bool:
        """Whether a file of some headers, folded, may be one of the entry."""
        return set(map(fold, self.known_by)) <= set(headers)


@dataclass(frozen=True, kw_only=True)
class Via:
    """One step of a look-up: a column of a reference, or of `products`."""

    reference: str
    column: str


@dataclass(frozen=True, kw_only=True)
class ShopColumn:
    """Where the values of a column come from.

    Attributes:
        name: In the words of the contract.
        kind: What its values are.
        headers: The first of these that the file has; one where `join` is empty.
        join: Cells that are put together with a blank between; empty where `headers` say it.
        when: Condition on the file's cells, without which the value is missing.
        via: Look-ups that turn the cell into the value.
        blanks: Words that mean "no value" in this column, beside those of the file.
        required: Whether a row without a value is a reject.
    """

    name: str
    kind: Kind
    headers: tuple[str, ...] = ()
    join: tuple[str, ...] = ()
    when: Condition = field(default_factory=dict)
    via: tuple[Via, ...] = ()
    blanks: tuple[str, ...] = ()
    required: bool = False

    @property
    def stored_kind(self) -> Kind:
        """Kind of the values in the clean zone: what is looked up later is kept as an id."""
        return "id" if self.via else self.kind


@dataclass(frozen=True, kw_only=True)
class ShopDataset:
    """One dataset or reference: its columns, and which row of a key counts as what.

    Attributes:
        name: `orders`, `order_items`, `refunds`, `products`, or the name of a reference.
        columns: Name -> column.
        key: Columns of the key; `("order",)` or `("row",)` where `key_by` says so.
        key_by: What identifies a row: columns, its order and file, or its file and number.
        version: Column whose greater value is the later row; None for upload time alone.
        deleted: Rows that say that their key is gone.
        excluded: Rows that do not count.
        returned: Rows that are returned; None where the contract does not say it.
        valid_from: Of a reference: column with the first day of a row.
    """

    name: str
    columns: Mapping[str, ShopColumn]
    key: tuple[str, ...]
    key_by: KeyBy = "columns"
    version: str | None = None
    deleted: Conditions = ()
    excluded: Conditions = ()
    returned: Conditions | None = None
    valid_from: str | None = None


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A whole contract in the words of language 2.

    Attributes:
        name: Of the contract.
        day: `as written`, or the time zone whose calendar gives an order its day.
        times: Time zone of times that carry none.
        currency: Of every KPI; None where the contract has no money or one currency unsaid.
        not_before: Earliest day of an order, ISO.
        not_after: Latest day of an order, ISO; None for a day after the upload.
        files: In order: the first that matches a path counts.
        datasets: Those of `ROLES` that the contract has.
        references: By name.
    """

    name: str
    day: str
    files: tuple[FileLayout, ...]
    datasets: Mapping[str, ShopDataset]
    references: Mapping[str, ShopDataset] = field(default_factory=dict)
    times: str = "UTC"
    currency: str | None = None
    not_before: str = "2000-01-01"
    not_after: str | None = None

    @property
    def all_datasets(self) -> dict[str, ShopDataset]:
        """Datasets and references by name."""
        return {**self.datasets, **self.references}

    def layout_of(self, path: str) -> tuple[FileLayout, dict[str, str]] | None:
        """Find the entry that takes a path, and the texts that its pattern takes from it.

        Where entries are known by their headers, it is the first that may take it.
        """
        return next(iter(self.layouts_of(path)), None)

    def layouts_of(self, path: str) -> list[tuple[FileLayout, dict[str, str]]]:
        """Find the entries that may take a path, in order, and what their patterns take from it.

        A name may go on with the ending of a compression.
        """
        found: list[tuple[FileLayout, dict[str, str]]] = []
        for name in dict.fromkeys((path, COMPRESSED.sub("", path))):
            for layout in self.files:
                names = layout.match.match(name)
                if names is not None and layout not in (one for one, _ in found):
                    found.append((layout, names))
                    if not layout.known_by:
                        return found
        return found

    def layouts_of_object(self, path: str) -> list[FileLayout]:
        """Find the entries that may take an object, or the members or sheets of it."""
        found = [layout for layout, _ in self.layouts_of(path)]
        if ARCHIVE.search(path):
            inside = (one for one in self.files if one.match.may_match_inside(path))
            found += [one for one in inside if one not in found]
        return found

    def has(self, dataset: str, *columns: str) -> bool:
        """Whether the contract has one of some columns in a dataset."""
        found = self.datasets.get(dataset)
        return found is not None and any(name in found.columns for name in columns)
