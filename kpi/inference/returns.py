"""Which orders came back, by tables beside them: taken where words say it, asked for elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kpi.inference.decisions import Decisions
from kpi.inference.draft import Block
from kpi.inference.evidence import describe_statuses
from kpi.inference.questions import Answers, Question
from kpi.inference.reading_plan import ReadingPlan
from kpi.inference.returned_by import ReturnedBy
from kpi.inference.side_tables import (
    Join,
    StateTable,
    amounts_of,
    by_lines,
    by_orders,
    find_states,
    lists_returns,
    may_list_returns,
)
from kpi.inference.states import find_return_mark
from kpi.inference.statuses import meaning_of_status
from kpi.inference.structure import Structure
from kpi.inference.tables import Table
from kpi.inference.values import Column


class Returns:
    """Finds what says that an order came back, beside its own columns."""

    def __init__(self, tables: Sequence[Table], answers: Answers) -> None:
        self._tables = tables
        self._answers = answers

    def choose(self, structure: Structure, joins: Sequence[Join]) -> Structure:
        """Take a list of refunds or returns, else a table of states; ask where no word says it."""
        lists = [one for one in joins if lists_returns(one)]
        if lists:
            return _with_list(structure, next(filter(_has_refunds, lists), lists[0]))
        if structure.are_refunds or _says_returns(structure):
            return structure
        states = find_states(joins)
        if states is not None:
            return replace(structure, returned_by=self._of_states(states))
        unnamed = [one for one in joins if may_list_returns(one)]
        if unnamed and not _has_unknown_status(structure):
            return self._of_unnamed(unnamed, structure)
        return structure

    def _of_states(self, states: StateTable) -> ReturnedBy | None:
        """Take the last state of each order; ask where the rows are in no order of time."""
        if states.is_ordered:
            return states.by
        name = self._tables[states.status.table].sample.name
        answer = self._answers.ask(
            Question(
                word="returned",
                text=f"{name} has several rows of an order, in no order of their times. Did an "
                f"order come back of which one says {' or '.join(states.by.texts)}?",
                answers={"ever": "yes, whatever others say", "none": "return_rate is 0"},
            )
        )
        return None if answer == "none" else states.ever

    def _of_unnamed(self, joins: Sequence[Join], structure: Structure) -> Structure:
        """Ask whether lists of few orders are lists of returns."""
        offered = {one.table.sample.name: one for one in joins}
        shares = {
            name: f"the {one.share:.1%} of the {'lines' if one.is_of_lines else 'orders'} that it "
            "names came back"
            for name, one in offered.items()
        }
        answer = self._answers.ask(
            Question(
                word="returned",
                text=f"no word says what {' and '.join(offered)} has. Is it a list of returns?",
                answers={"none": "return_rate is 0", **shares},
            )
        )
        join = offered.get(answer or "none")
        return structure if join is None else _with_list(structure, join)


def _has_refunds(join: Join) -> bool:
    """Whether a list of returned orders says how much was paid back."""
    return bool(amounts_of(join.table)) and not join.is_of_lines


def _with_list(structure: Structure, join: Join) -> Structure:
    """Take a list of returns: of orders as refunds, of lines by a look-up."""
    if join.is_of_lines:
        return replace(structure, returned_by=by_lines(join))
    return replace(structure, refunds=by_orders(join))


def _says_returns(structure: Structure) -> bool:
    """Whether a column of orders or lines says which came back."""
    statuses = (structure.status, structure.line_status)
    if any("returned" in map(meaning_of_status, one.distinct) for one in statuses if one):
        return True
    return any(find_return_mark(one.columns) for one in (structure.orders, structure.lines))


def _has_unknown_status(structure: Structure) -> bool:
    """Whether a status may say which orders came back, in words that are not known."""
    statuses = (structure.status, structure.line_status)
    return any(None in map(meaning_of_status, one.distinct) for one in statuses if one)


def add_returned(
    found: ReturnedBy, head: Block, columns: Block, plan: ReadingPlan, decisions: Decisions
) -> None:
    """Say that an order or line came back where another table does."""
    columns.add(found.name, plan.cell(found.cell), _evidence(found.cell.value))
    before = head.value_of("returned")
    condition: object = {found.name: found.condition}
    if before is not None:
        head.words = [one for one in head.words if one.name != "returned"]
        condition = [before, condition]
    head.add("returned", condition, found.note)
    if found.no_sale and head.value_of("excluded") is None:
        note = f"{found.no_sale_share:.1%} of the orders"
        counts = decisions.count_no_sale(found.no_sale, share=found.no_sale_share, note=note)
        note += ": they count unless this line does" if counts else ": as answered"
        head.add("excluded", {found.name: list(found.no_sale)}, note, is_comment=counts)
    if found.only is not None:
        header, texts = found.only
        plan.read_only(found.cell.steps[0].parent.table, {header: list(texts)}, found.note)


def _evidence(column: Column) -> str:
    return describe_statuses(column) if column.kind == "text" and not column.is_key else ""
