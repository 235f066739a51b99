"""Lines that stand several times in a file, once for each of an order's payments, tags or boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kpi.inference.evidence import place_of
from kpi.inference.keys import line_key
from kpi.inference.money_evidence import Way
from kpi.inference.questions import Answers, Question
from kpi.inference.structure import Structure
from kpi.inference.tables import Table
from kpi.inference.values import Column

MIN_REPEATED_SHARE = 0.05
"""Rows of lines that stand above already, below which an order may have a product twice."""

OTHER_SHARE = 0.95
"""Rows of one line that must have values of their own in the column that repeats it."""

FEW_SHARE = 0.5
"""Distinct values of that column for each row, at most: an identifier of lines has more."""

ONE_LINE_SHARE = 0.99
"""Products of an order that must be one line for the order and product to be its key."""


@dataclass(frozen=True, kw_only=True)
class RepeatedLines:
    """Lines that stand several times.

    Attributes:
        column: Has another value in each row of a line.
        rows: Rows of lines that stand above already.
    """

    column: Column
    rows: int


def choose_lines(
    structure: Structure, way: Way | None, tables: Sequence[Table], answers: Answers
) -> Structure:
    """Ask whether rows of one order, product, quantity and money are lines or copies of one."""
    found = find_repeated_lines(structure, way)
    if found is None:
        return structure
    answer = answers.ask(
        Question(
            word="lines",
            text=f"{found.rows} rows have the order, product, quantity and money of a row above, "
            f"and another {place_of(found.column, tables)}. Do they count?",
            answers={
                "once": "no: a line stands again for each of these",
                "each": "yes: each row is a line",
            },
        )
    )
    return replace(structure, are_repeated=answer == "once")


def find_repeated_lines(structure: Structure, way: Way | None) -> RepeatedLines | None:
    """Find lines whose rows differ in a column that is no identifier of lines."""
    product, quantity = structure.product, structure.quantity
    if product is None or quantity is None or isinstance(line_key(structure).value, tuple):
        return None
    if line_key(structure).value == "id":
        return None
    money = [one for _, one in way.roles if one.table == structure.lines.number] if way else []
    core = [structure.line_order, product, quantity, *money]
    lines = list(zip(*(one.cells for one in core), strict=True))
    counts = Counter(lines)
    rows = len(lines) - len(counts)
    products = {one[:2] for one in counts}
    if rows < MIN_REPEATED_SHARE * len(lines) or len(products) < ONE_LINE_SHARE * len(counts):
        return None
    repeated = [at for at, one in enumerate(lines) if counts[one] > 1]
    for column in structure.lines.columns:
        if any(column is one for one in core) or len(column.distinct) > FEW_SHARE * len(lines):
            continue
        own = {(lines[at], column.cells[at]) for at in repeated if column.cells[at]}
        if len(own) >= OTHER_SHARE * len(repeated):
            return RepeatedLines(column=column, rows=rows)
    return None
