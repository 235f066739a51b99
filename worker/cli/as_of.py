"""Questions about an earlier sequence of the ledger: what several commands share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from worker.errors import ConfigError
from worker.jobs import Session, open_session

if TYPE_CHECKING:
    from worker.explain.steps import Question
    from worker.settings import Settings
    from worker.state import Row
    from worker.transform.day_ranges import DateRange

Moment = int | datetime
"""A sequence of the ledger, or a time."""


def read_moment(text: str, option: str) -> Moment:
    """Read a ledger sequence, or an ISO date or time; UTC without an offset.

    Raises:
        ConfigError: It is none of these.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            option=option,
            expected="a ledger sequence, or a time like 2025-03-31T06:00",
            actual=text,
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def question_of(session: Session, tables: frozenset[str]) -> Question:
    """Ask about some KPI tables of a session."""
    from worker.explain.steps import Question  # Arrow, 0.3 s

    return Question(
        state=session.state,
        workspace=session.workspace,
        contract=session.settings.contract,
        tables=tables,
    )


async def sequence_of(session: Session, moment: Moment, option: str) -> int:
    """Return the ledger sequence that a moment is; of a time it is told on standard error.

    Raises:
        ConfigError: The ledger has not come to it.
        StoreError: The ledger cannot be read, after retries.
    """
    from worker.explain.as_of import check_sequence, sequence_at  # Arrow, 0.3 s

    if isinstance(moment, datetime):
        sequence = await sequence_at(session.state, moment)
        click.echo(f"{option}: sequence {sequence} of the ledger", err=True)
        return sequence
    await check_sequence(session.state, moment, option)
    return moment


async def with_rows_as_of(
    settings: Settings,
    moment: Moment,
    table: str,
    group: str | None,
    date_range: DateRange,
    show: Callable[[AsyncIterator[Row]], Awaitable[object]],
) -> None:
    """Compute the rows of a table as of a moment, and pass them on.

    Args:
        settings: Where ledger and clean rows are.
        moment: A sequence, or a time.
        table: KPI table.
        group: One category or product; None for all.
        date_range: Days.
        show: Takes the rows.

    Raises:
        ConfigError: The ledger has not come to the sequence.
        WorkerError: The rows cannot be computed.
    """
    from worker.explain.as_of import rows_as_of  # Arrow, 0.3 s

    async with open_session(settings, read_only=True) as session:
        sequence = await sequence_of(session, moment, "--as-of")
        question = question_of(session, frozenset({table}))
        await show(rows_as_of(question, sequence, table, group, date_range))
        await tell_deletions(session, sequence, date_range)


async def tell_deletions(session: Session, sequence: int, date_range: DateRange) -> None:
    """Say on standard error which deletions of customers an answer is without."""
    from worker.explain.erased import deletions_after

    for line in await deletions_after(session.state, sequence, date_range):
        click.echo(line, err=True)
