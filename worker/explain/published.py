"""Compare what the steps of a day add up to with the rows that are published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from kpi.aggregation.tables import record_names
from worker.errors import StoreError
from worker.explain.steps import Question, Step, explain_day, rows_of_steps
from worker.state import Erasure, Row, State
from worker.transform.computed_rows import group_of

ATTEMPTS = 5
"""Times that the published rows are read while transforms publish the day."""


@dataclass(frozen=True, kw_only=True)
class PublishedDay:
    """The published rows of a day.

    Attributes:
        reached: KPI table -> sequence that its rows of the day are of; 0 where it was never
            published.
        rows: KPI table -> group -> row, without `as_of`.
    """

    reached: Mapping[str, int]
    rows: Mapping[str, Mapping[str, Row]]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What moved a day, and what is published of it.

    Attributes:
        head: Sequence of the last record of the ledger.
        steps: The records that moved it.
        published: Its rows.
        wrong: KPI tables of which a published row is not what the steps add up to.
        erased: Deletions of customers that the day lost rows by: these are in no step.
    """

    head: int
    steps: Sequence[Step]
    published: PublishedDay
    wrong: Sequence[str]
    erased: Sequence[Erasure]


async def explain(question: Question, day: date) -> Explanation:
    """Explain a day, and check the explanation by what is published.

    Raises:
        ConfigError, SourceError, KpiError: As `explain_day`.
        StoreError: The state cannot be read, after retries, or the day is being published.
    """
    published = await _read_published(question.state, question.tables, day)
    head = await question.state.head()
    steps = await explain_day(question, day, head)
    erased = [
        one
        for one in await question.state.erasures()
        if one.mode == "delete" and day.isoformat() in one.days
    ]
    last_erased = max((one.sequence for one in erased), default=0)
    wrong = [
        name
        for name, reached in sorted(published.reached.items())
        # What was published before a deletion has rows that no step has.
        if reached > last_erased and rows_of_steps(steps, reached, name) != published.rows[name]
    ]
    return Explanation(head=head, steps=steps, published=published, wrong=wrong, erased=erased)


async def _read_published(state: State, tables: frozenset[str], day: date) -> PublishedDay:
    """Read the rows of a day, of tables that nobody publishes meanwhile.

    Raises:
        StoreError: The state cannot be read, or the day is published at each attempt.
    """
    before = await _reached(state, tables, day)
    for _ in range(ATTEMPTS):
        rows: dict[str, dict[str, Row]] = {}
        for name in tables:
            rows[name] = {}
            async for row in state.rows(name, first=day, last=day):
                values = {key: value for key, value in row.items() if key != "as_of"}
                rows[name][group_of(name, row)] = values
        after = await _reached(state, tables, day)
        if after == before:
            return PublishedDay(reached=after, rows=rows)
        before = after
    raise StoreError(f"{day} is being published", hint="try again")


async def _reached(state: State, tables: frozenset[str], day: date) -> dict[str, int]:
    progress, whole = await state.progress(), (await state.days()).get(day, {})

    def reached(name: str) -> int:
        # Rows that a former release has published lack attributes: they have no second name.
        return min(
            max(progress.published.get(one, 0), whole.get(one, 0)) for one in record_names([name])
        )

    return {name: reached(name) for name in tables}
