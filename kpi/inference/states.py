"""What columns beside a status say of a row: that it came back, or that its key is gone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kpi.contract.folding import fold
from kpi.inference.statuses import meaning_of_status
from kpi.inference.tables import Table
from kpi.inference.values import Column

CHANGE_COLUMNS = re.compile(r"_*(cdc_?)?(op|operation|change_?type|row_?kind)")
"""Headers of change files, folded.

`Op` of AWS Database Migration Service, `__op` of Debezium, `_change_type` of Delta Lake's change
data feed, `row_kind` of Flink.
"""

CHANGES = frozenset(
    {"i", "u", "d", "c", "r", "insert", "update", "delete", "create", "read"}
    | {"update_preimage", "update_postimage", "+i", "-u", "+u", "-d"}
)
"""Words of these systems, folded."""

DELETIONS = frozenset({"d", "delete", "-d"})

OVERWRITTEN = frozenset({"update_preimage", "-u"})
"""Words of a row as it was before its change."""

YES = frozenset(
    {"true", "t", "yes", "y", "1", "ja", "j", "oui", "o", "si", "sí", "s", "sim", "tak", "ano"}
    | {"evet", "da", "igen", "kyllä", "да", "是", "はい", "예"}
)
"""Words that say yes, folded: two values for a column of yes and no, else it is no flag."""

MAX_FLAG_VALUES = 2

ANY = ("*",)
"""In place of the texts of a mark: any value marks a row."""

MAX_STATES = 20
"""Distinct states at most: a column with more is free text."""

KNOWN_SHARE = 0.5
"""Distinct states that are known words, at least."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A column by which rows are marked.

    Attributes:
        column: The column.
        values: Texts that mark a row; `("*",)` where any value does.
        rows: Rows that are marked.
    """

    column: Column
    values: tuple[str, ...]
    rows: int

    @property
    def condition(self) -> str | list[str]:
        """Right side of a condition."""
        return self.values[0] if len(self.values) == 1 else list(self.values)


def find_return_mark(columns: Sequence[Column]) -> Mark | None:
    """Find what says a return of some rows: a date, a flag, or a status beside the order's."""
    for column in columns:
        meaning = column.meaning
        if not column.has_headers or "refund" not in meaning:
            continue
        if meaning.has("percent", "quantity", "price", "customer", "product"):
            continue
        if column.kind == "date" and 0 < column.filled < len(column.cells):
            return Mark(column=column, values=ANY, rows=column.filled)
        values = sorted(one for one in column.distinct if fold(one) in YES)
        if values and len(column.distinct) <= MAX_FLAG_VALUES and not meaning.has("other_money"):
            rows = sum(cell in values for cell in column.cells)
            if rows < len(column.cells):
                return Mark(column=column, values=tuple(values), rows=rows)
    return _find_returned_status(columns)


def _find_returned_status(columns: Iterable[Column]) -> Mark | None:
    """Find another status that says returns, such as that of the payment."""
    for column in columns:
        if column.kind != "text" or not 2 <= len(column.distinct) <= MAX_STATES:
            continue
        meanings = {one: meaning_of_status(one) for one in column.distinct}
        values = tuple(sorted(one for one, said in meanings.items() if said == "returned"))
        known = sum(said is not None for said in meanings.values())
        if values and known >= KNOWN_SHARE * len(meanings):
            return Mark(column=column, values=values, rows=_count(column, values))
    return None


def find_deletions(table: Table) -> Mark | None:
    """Find the column of a change file that says which rows take their key away."""
    for column in table.columns:
        name = fold(column.header).replace(" ", "_").replace("-", "_")
        if not column.has_headers or not CHANGE_COLUMNS.fullmatch(name):
            continue
        folded = {one: fold(one) for one in column.distinct}
        if not folded or not set(folded.values()) <= CHANGES:
            continue
        values = tuple(sorted(one for one, form in folded.items() if form in DELETIONS))
        if not values:
            # No row so far takes its key away; later files of the same table may.
            sample = next(iter(sorted(folded)))
            values = (_deletion_like(sample),)
        return Mark(column=column, values=values, rows=_count(column, values))
    return None


def _deletion_like(example: str) -> str:
    """Write the word for a deletion as a system writes another change."""
    if len(example) == 1:
        return "D" if example.isupper() else "d"
    return "-D" if example[0] in "+-" else "DELETE" if example.isupper() else "delete"


def _count(column: Column, values: Sequence[str]) -> int:
    return sum(cell in values for cell in column.cells)
