"""The day in the name of a file: the orders' day, unless a column has dates that are not read."""

from __future__ import annotations

from kpi.inference.dates import DATE, MONTH_FIRST, WITH_UNITS
from kpi.inference.evidence import place_of
from kpi.inference.file_names import CAPTURED
from kpi.inference.questions import Answers, Question
from kpi.inference.structure import Structure
from kpi.inference.tables import Table
from kpi.inference.values import Column

DATED_SHARE = 0.9
"""Share of different values with a date among other text, from which on a column may be of days."""


def ask_about_named_day(structure: Structure, tables: list[Table], answers: Answers) -> None:
    """Ask whether the day of a file's name counts where a column has dates in an unread form.

    The name of a file often has the day of its export, which is none of the orders'.
    """
    if not structure.date.value.is_of_name:
        return
    column = next((one for one in structure.orders.columns if _has_dates(one)), None)
    if column is None:
        return
    answers.ask(
        Question(
            word="date",
            text=f"the values of {place_of(column, tables)} have dates in a form that is not read. "
            "Which column has the day that an order counts on?",
            answers={
                CAPTURED: "the date in the name of the file; if it is the other, export it in a "
                "form such as 2025-12-31"
            },
        )
    )


def _has_dates(column: Column) -> bool:
    distinct = {cell for cell in column.cells if cell} if column.kind == "text" else set()
    dated = sum(
        any(form.search(cell) for form in (DATE, MONTH_FIRST, WITH_UNITS)) for cell in distinct
    )
    return dated > 0 and dated >= DATED_SHARE * len(distinct)
