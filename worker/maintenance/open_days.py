"""Compare the rows of days that a writer has begun and not ended.

Such a day is a mixture: each row is that of the promised state, or of a later one whose writer has
come to it. Rows hold no sequence. So a row is wrong for certain only if no state from the promised
one to the ledger's head has it: its values, or its absence.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from kpi.aggregation.tables import KPI_TABLES
from worker.maintenance.claims import Cell, Claims
from worker.state import Ledger, Row
from worker.state.contract_in_force import adoption_at

MAX_OPEN_STATES = 32
"""States that an open day is computed at. A day that is open for longer stays unsettled: the next
transform ends it."""

RowsByDay = Mapping[str, Mapping[date, Sequence[Row]]]
"""KPI table -> day -> rows."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A published row that is not what the clean zone gives.

    Attributes:
        table: KPI table.
        order_date: Its day.
        group: Its category or product; None where the table has one row a day.
        published: The row that is there, with its `as_of`; None where it is missing.
        expected: The row that should be; None where there should be none.
    """

    table: str
    order_date: date
    group: str | None
    published: Row | None
    expected: Row | None

    @property
    def cell(self) -> Cell:
        return self.table, self.order_date


async def never_right(
    suspects: Sequence[Difference],
    claims: Claims,
    head: int,
    ledger: Ledger,
    expected: Callable[[int, Collection[date]], Awaitable[RowsByDay]],
) -> list[Difference]:
    """Return the differences that no state explains, from the promised one up to a head.

    Args:
        suspects: Differences of open days from the promised state.
        claims: What was promised.
        head: Last sequence that a writer may have read.
        ledger: Where the contracts in force are. A state of another contract than that in force at
            the head is not computed, and its days stay unsettled.
        expected: Computes some days as of a sequence.
    """
    left = list(suspects)
    first = min((claims.sequence(one.cell) for one in left), default=head) + 1
    if head - first >= MAX_OPEN_STATES or not await _same_contract(ledger, first, head):
        return []
    for sequence in range(first, head + 1):
        if not left:
            break
        rows = await expected(sequence, {one.order_date for one in left})
        left = [one for one in left if not _is_of(one, rows)]
    return left


async def _same_contract(ledger: Ledger, first: int, last: int) -> bool:
    """Return whether one contract is in force at two sequences."""
    adoptions = [await adoption_at(ledger, sequence) for sequence in (first, last)]
    before, after = (None if one is None else one.digest for one in adoptions)
    return before == after


def _is_of(one: Difference, rows: RowsByDay) -> bool:
    """Return whether what was published is what a state has there."""
    key = KPI_TABLES[one.table].group_key
    of_day = rows.get(one.table, {}).get(one.order_date, ())
    right = next((row for row in of_day if key is None or str(row[key]) == one.group), None)
    return _values(one.published) == _values(right)


def _values(row: Row | None) -> dict[str, object] | None:
    return None if row is None else {name: row[name] for name in row if name != "as_of"}
