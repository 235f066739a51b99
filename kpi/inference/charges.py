"""Rows of shipping and fees among the lines of an order, told by a column of the line's kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kpi.inference.evidence import place_of
from kpi.inference.headers import meaning_of
from kpi.inference.questions import Answers, Question
from kpi.inference.structure import Structure
from kpi.inference.tables import Table
from kpi.inference.values import Column

MAX_KINDS = 8
"""Kinds of lines at most."""

GOODS_SHARE = 0.5
"""Rows that are goods, at least."""

ONCE_SHARE = 0.98
"""Orders with a charge that have it once."""


@dataclass(frozen=True)
class Charges:
    """Rows that are no goods.

    Attributes:
        column: Of the line's kind.
        kinds: Its texts on these rows.
    """

    column: Column
    kinds: tuple[str, ...]

    @property
    def condition(self) -> dict[str, list[str]]:
        """Condition of the rows that are goods."""
        return {self.column.header.strip(): [f"!{kind}" for kind in self.kinds]}


def choose_charges(
    structure: Structure, tables: Sequence[Table], answers: Answers
) -> Charges | None:
    """Find rows of charges; ask where no word of theirs says shipping or payment."""
    found = _find(structure)
    if found is None:
        return None
    if all(map(_says_charge, found.kinds)):
        return found
    kinds = ", ".join(found.kinds)
    answer = answers.ask(
        Question(
            word="charges",
            text=f"{place_of(found.column, tables)} tells lines apart. Rows of {kinds} stand once "
            "in an order and have no product. Are they sold goods?",
            answers={"no": "they add nothing to revenue and items", "yes": "they are goods"},
        )
    )
    return found if answer == "no" else None


def _find(structure: Structure) -> Charges | None:
    """Find a column by whose values goods have products and other rows have none."""
    lines = structure.lines
    told = _columns_of_goods(structure)
    for column in lines.columns:
        if column.kind != "text" or not 2 <= len(column.distinct) <= MAX_KINDS:
            continue
        if column.fill_share < 1.0 or column in (structure.status, structure.line_status):
            continue
        goods, count = Counter(column.cells).most_common(1)[0]
        others = tuple(sorted(column.distinct - {goods}))
        if count < GOODS_SHARE * len(column.cells) or any(one.startswith("!") for one in others):
            continue
        rows = [at for at, cell in enumerate(column.cells) if cell != goods]
        blank = any(
            all(not one.cells[at] for at in rows)
            and all(one.cells[at] for at in range(lines.rows) if column.cells[at] == goods)
            for one in told
        )
        if blank and _stand_once(structure, column, others):
            return Charges(column=column, kinds=others)
    return None


def _columns_of_goods(structure: Structure) -> list[Column]:
    """List the columns that goods have: a product, its category, or a code that no word names."""
    roles = (structure.line_order, structure.order_id, structure.customer, structure.status)
    taken = {one.index for one in roles if one is not None}
    return [
        one
        for one in structure.lines.columns
        if one.index not in taken
        and one.kind in ("text", "integer")
        and one.meaning.concepts <= {"product", "id", "category", "name", "line", "type", "sub"}
    ]


def _stand_once(structure: Structure, column: Column, kinds: tuple[str, ...]) -> bool:
    """Whether an order has a row of each of some kinds at most once."""
    pairs = Counter(
        (key, kind)
        for key, kind in zip(structure.line_order.cells, column.cells, strict=True)
        if kind in kinds
    )
    return sum(count == 1 for count in pairs.values()) >= ONCE_SHARE * len(pairs)


def _says_charge(kind: str) -> bool:
    """Whether a word says shipping, a fee or a payment."""
    meaning = meaning_of(kind)
    return meaning.has("other_money", "paid", "other_date") and "discount" not in meaning
