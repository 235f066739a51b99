"""Tables beside those of orders and lines: lists of returns, states of orders, and unread ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kpi.inference.categories import Cell
from kpi.inference.dates import NO_DAY
from kpi.inference.returned_by import ReturnedBy, ReturnList
from kpi.inference.roles import status_fit
from kpi.inference.states import find_return_mark
from kpi.inference.statuses import meaning_of_status
from kpi.inference.structure import Structure
from kpi.inference.tables import Reference, Table, likeness
from kpi.inference.values import Column

FOUND_SHARE = 0.9
"""Values of a column that must be those of orders or lines; of samples fewer are."""

SAMPLED_SHARE = 0.5

NAMED_SHARE = 0.1
"""The same of a list of returns, which may be of more months than the orders."""

SURE_LIKENESS = 0.85
"""Likeness of headers by which whole numbers refer to others: small ones are in every table."""

MAX_RETURNED_SHARE = 0.5
"""Orders that a list of returns names at most, where its name does not say what it is."""

MAX_UNNAMED_SHARE = 0.3
"""The same of a list of which no word says what it is."""


@dataclass(frozen=True, kw_only=True)
class Join:
    """A table whose rows name orders or lines.

    Attributes:
        table: The table.
        reference: From its column to that of the orders or lines.
        is_of_lines: Whether it names lines.
        share: Share of the orders or lines that it names.
    """

    table: Table
    reference: Reference
    is_of_lines: bool
    share: float

    @property
    def key(self) -> Column:
        """Column that names the order or line."""
        return self.reference.child

    def cell(self, value: Column) -> Cell:
        """Look a column of the table up by the order or line."""
        step = Reference(
            self.reference.parent, self.reference.child, self.share, self.reference.likeness
        )
        return Cell(column=self.reference.parent, steps=(step,), value=value)


def find_joins(structure: Structure, tables: Sequence[Table]) -> list[Join]:
    """Find the tables whose rows name orders or lines, those of orders first."""
    taken = _taken(structure)
    of_lines = [
        one
        for one in structure.lines.columns
        if not structure.is_flat or one is not structure.order_id
        if one.is_key and one.kind in ("integer", "text")
    ]
    orders = () if structure.order_id.joined else (structure.order_id,)
    found = []
    for table in tables:
        if table.number in taken:
            continue
        for targets, is_of_lines in ((orders, False), (of_lines, True)):
            joins = [
                join
                for target in targets
                for column in table.columns
                if (join := _join(table, column, target, tables, is_of_lines=is_of_lines))
            ]
            if joins:
                found.append(max(joins, key=lambda one: one.reference.weight))
    return sorted(found, key=lambda one: one.is_of_lines)


def customer_beside(structure: Structure, joins: Sequence[Join]) -> Cell | None:
    """Find the customer of an order in a table that has one row for each order."""
    if structure.customer is not None:
        return None
    for join in joins:
        is_one = len(join.key.distinct) == join.key.filled
        if join.is_of_lines or not is_one or join.share < FOUND_SHARE:
            continue
        for column in join.table.columns:
            meaning = column.meaning
            if column is not join.key and {"customer", "id"} <= meaning.concepts:
                return join.cell(column)
    return None


def _taken(structure: Structure) -> set[int]:
    """Numbers of the tables that have a part already."""
    steps = [*structure.date.steps, *(structure.category.steps if structure.category else ())]
    if structure.products is not None:
        steps.append(structure.products)
    own = {structure.orders.number, structure.lines.number}
    return own | {one.parent.table for one in steps}


def _join(
    table: Table, column: Column, target: Column, tables: Sequence[Table], *, is_of_lines: bool
) -> Join | None:
    """Tell whether a column names orders or lines."""
    if column.kind != target.kind or not column.filled or not target.filled:
        return None
    both = len(column.distinct & target.distinct)
    found = both / len(column.distinct)
    least = FOUND_SHARE if _has_all_rows(tables[target.table]) else SAMPLED_SHARE
    if "refund" in table.entity:
        least = NAMED_SHARE
    if found < least:
        return None
    like = likeness(column, target, tables[target.table])
    if like < (SURE_LIKENESS if column.kind == "integer" else 0.01):
        return None
    return Join(
        table=table,
        reference=Reference(column, target, found, like),
        is_of_lines=is_of_lines,
        share=both / len(target.distinct),
    )


def _has_all_rows(table: Table) -> bool:
    """Whether the rows of a sample are all of its file, and not those that were kept alone."""
    return table.sample.whole and table.sample.rows_total <= table.rows


def lists_returns(join: Join) -> bool:
    """Whether words say that the rows of a table are returns."""
    if "refund" in join.table.entity:
        return True
    # A table of all shipments may have a column of refunds.
    named = any("refund" in one.meaning for one in join.table.columns)
    return named and join.share <= MAX_RETURNED_SHARE


def may_list_returns(join: Join) -> bool:
    """Whether a table names few orders, each once, and nothing says why.

    Cancelled orders count unless a contract leaves them out.
    """
    known = ("discount", "customer", "category", "quantity", "price", "stock", "paid", "status")
    entity = join.table.entity
    return (
        join.share <= MAX_UNNAMED_SHARE
        and len(join.key.distinct) == join.key.filled == len(join.key.cells)
        and not entity.has(*known)
        and meaning_of_status(join.table.stem) != "no_sale"
        and not any(one.meaning.has(*known) for one in join.table.columns if one is not join.key)
    )


def amounts_of(table: Table) -> list[Column]:
    """List the columns that may be amounts of refunds, the likeliest first."""
    amounts = [
        one
        for one in table.columns
        if one.is_number
        and (one.meaning.has("total") or ("refund" in one.meaning and one.kind == "decimal"))
        and not one.meaning.has("quantity", "id")
    ]
    return sorted(amounts, key=lambda one: not one.meaning.has("total"))


def by_orders(join: Join) -> ReturnList:
    """Take the orders that a list of returns names, or those that it marks."""
    only, note = _marked(join)
    return ReturnList(
        order=join.key,
        amounts=tuple(amounts_of(join.table)),
        only=only,
        note=note or f"{join.share:.1%} of the orders are in it",
    )


def by_lines(join: Join) -> ReturnedBy:
    """Take the lines that a list of returns names, or those that it marks."""
    only, note = _marked(join)
    value, texts = only or (join.key, ("*",))
    return ReturnedBy(
        cell=join.cell(value),
        texts=texts,
        is_of_lines=True,
        note=note or f"{join.share:.1%} of the lines are in {join.table.sample.name}",
    )


def _marked(join: Join) -> tuple[tuple[Column, tuple[str, ...]] | None, str]:
    """Find the rows of a list that came back by a flag, a date or a state, where not all did."""
    mark = find_return_mark(join.table.columns)
    if mark is not None:
        return (mark.column, mark.values), f"{mark.rows / max(join.table.rows, 1):.1%} of the rows"
    for status in statuses_of(join):
        texts = tuple(_texts_of(status, "returned"))
        if texts and len(status.distinct) > 1:
            return (status, texts), f"others are not {' or '.join(texts)}"
    return None, ""


def _things(join: Join) -> str:
    return "lines" if join.is_of_lines else "orders"


def statuses_of(join: Join) -> Iterator[Column]:
    """Yield the columns of a table that have states of its orders or lines."""
    for column in join.table.columns:
        if column is not join.key and status_fit(column) > 0:
            yield column


def _texts_of(status: Column, meaning: str) -> list[str]:
    return sorted(one for one in status.distinct if meaning_of_status(one) == meaning)


@dataclass(frozen=True, kw_only=True)
class StateTable:
    """A table that says which orders came back, in one row an order or in several.

    Attributes:
        by: The column that says it, by the last row of each order.
        is_ordered: Whether the last row of each order is the latest.
        status: The column in its table.
    """

    by: ReturnedBy
    is_ordered: bool
    status: Column

    @property
    def ever(self) -> ReturnedBy:
        """Take the orders of which any row says it."""
        texts = self.by.texts
        only = (self.status.header.strip(), texts)
        return ReturnedBy(
            cell=self.by.cell,
            texts=("*",),
            is_of_lines=self.by.is_of_lines,
            note="of which a row says so",
            only=only,
        )


def find_states(joins: Sequence[Join]) -> StateTable | None:
    """Find a table of states of which some say that an order came back."""
    for join in joins:
        for status in statuses_of(join):
            texts = tuple(_texts_of(status, "returned"))
            if not texts:
                continue
            is_unique = len(join.key.distinct) == join.key.filled
            last = "" if is_unique else ": the last row of each counts"
            no_sale = tuple(_texts_of(status, "no_sale"))
            states = dict(zip(join.key.cells, status.cells, strict=True))
            by = ReturnedBy(
                cell=join.cell(status),
                texts=texts,
                is_of_lines=join.is_of_lines,
                note=f"states of {join.share:.0%} of the {_things(join)}{last}",
                name="last_state",
                no_sale=no_sale,
                no_sale_share=sum(one in no_sale for one in states.values()) / len(states),
            )
            is_ordered = is_unique or _is_in_order(join)
            return StateTable(by=by, is_ordered=is_ordered, status=status)
    return None


def _is_in_order(join: Join) -> bool:
    """Whether the rows of each key stand in the order of their times."""
    times = [one for one in join.table.columns if one.dates is not None]
    return any(_rises(join.key, one) for one in times)


def _rises(key: Column, time: Column) -> bool:
    if time.dates is None or time.dates.is_open:
        return False
    last: dict[str, tuple[int, str]] = {}
    for of, day, cell in zip(key.cells, time.dates.days.tolist(), time.cells, strict=True):
        if day == NO_DAY or not of:
            return False
        # Of one day, times of 24 hours are in the order of their texts.
        now = (day, cell)
        if last.get(of, now) > now:
            return False
        last[of] = now
    return True
