"""Returns that a date, a flag or a status beside the order's says."""

from __future__ import annotations

from collections.abc import Sequence

from kpi.inference.draft import Block
from kpi.inference.evidence import describe_values, place_of
from kpi.inference.questions import Answers, Question
from kpi.inference.reading_plan import ReadingPlan
from kpi.inference.states import ANY, Mark, find_return_mark
from kpi.inference.statuses import meaning_of_status
from kpi.inference.structure import Structure
from kpi.inference.tables import Table

CANCELLED_SHARE = 0.05
"""Rows with a return that had no sale, above which somebody must say whether these came back."""


class ReturnMarks:
    """Writes what a column beside the status says of returns."""

    def __init__(
        self, structure: Structure, tables: Sequence[Table], plan: ReadingPlan, answers: Answers
    ) -> None:
        self._structure = structure
        self._tables = tables
        self._plan = plan
        self._answers = answers

    def add(self, head: Block, columns: Block, table: Table) -> None:
        """Take a date, flag or status of a return where the order's status says none."""
        mark = find_return_mark(table.columns)
        if mark is None or self._structure.refunds or self._structure.returned_by:
            return
        condition: dict[str, str | list[str]] = {"came_back": mark.condition}
        cancelled = self._cancelled(mark, table)
        if cancelled:
            answer = self._ask(mark, cancelled)
            if answer == "none":
                return
            if answer == "sales":
                condition["status"] = [f"!{one}" for one in cancelled]
        columns.add("came_back", self._plan.header(mark.column), describe_values(mark.column))
        head.add("returned", condition, f"{mark.rows / max(table.rows, 1):.1%} of the rows")

    def _cancelled(self, mark: Mark, table: Table) -> list[str]:
        """List the statuses of no sale that marked rows have, where they are many."""
        status = self._structure.status
        if status is None or status.table != table.number or mark.values == ANY:
            return []
        marked = [
            cell
            for cell, state in zip(status.cells, mark.column.cells, strict=True)
            if state in mark.values and meaning_of_status(cell) == "no_sale"
        ]
        return sorted(set(marked)) if len(marked) > CANCELLED_SHARE * mark.rows else []

    def _ask(self, mark: Mark, cancelled: list[str]) -> str | None:
        return self._answers.ask(
            Question(
                word="returned",
                text=f"{place_of(mark.column, self._tables)} says {', '.join(mark.values)} of "
                f"orders that are {', '.join(cancelled)} as well. Which of them came back?",
                answers={
                    "all": "all of them",
                    "sales": f"those that are not {' or '.join(cancelled)}",
                    "none": "return_rate is 0",
                },
            )
        )
