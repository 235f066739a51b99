"""Parts of the pipeline that several commands run: publication, and the reporter of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from kpi.contract.differences import describe_differences
from worker.clean.ledger_mark import write_mark
from worker.errors import ContractChanged
from worker.reporting.reporters import JsonReporter, QuietReporter, SilentReporter

if TYPE_CHECKING:
    from datetime import date

    from worker.cli.render import Headers
    from worker.jobs import Session
    from worker.objects.source import HeaderCallback, Source
    from worker.reporting.reporters import Reporter
    from worker.state import Effect, Entry
    from worker.transform import Report


async def bring_up_to_date(
    session: Session,
    reporter: Reporter,
    entries: list[Entry],
    first: date | None = None,
    last: date | None = None,
    *,
    everything: bool = False,
    part_of: str | None = None,
) -> tuple[Report, dict[str, Effect]]:
    """Transform, report it, and return the effects of `entries` too.

    Args:
        session: Stores.
        reporter: Hears of it.
        entries: Whose effects are wanted.
        first: Publish no day before it; None for no bound.
        last: Publish no day after it; None for no bound.
        everything: Recompute every day.
        part_of: Name that it has in common with other transforms: they share the lease.
    """
    # Arrow takes 0.3 s to import: `validate` does without, and `run` until files are read.
    from worker.transform import transform as publish_changed_days
    from worker.transform.joining import choose_share, transform_jointly

    settings = session.settings
    proposed, adoption = settings.proposed, session.adoption
    if proposed is not None and adoption is not None and proposed.digest != adoption.digest:
        reporter.proposed(proposed, describe_differences(settings.contract, proposed))
    await _switch_on_tables(session)
    publish = partial(
        publish_changed_days,
        contract=settings.contract,
        workspace=session.workspace,
        state=session.state,
        tables=settings.tables,
        first=first,
        last=last,
        everything=everything,
        progress=reporter.publishing,
    )
    of_some_days = first is not None or last is not None
    share = choose_share(part_of, of_some_days=of_some_days)
    if share is None:
        report = await publish()
    else:
        report = await transform_jointly(
            session.state, settings.tables, publish, everything=everything, share=share
        )
    if not of_some_days:
        await write_mark(session.workspace, session.state, report.as_of)
    effects = await session.state.effects([entry.source_id for entry in entries])
    reporter.transformed(report, effects)
    return report, effects


async def _switch_on_tables(session: Session) -> None:
    """Record KPI tables that are published for the first time, so that none is left behind."""
    while True:
        adoption = await session.state.adoption()
        if adoption is None or session.settings.tables <= set(adoption.tables):
            return
        tables = tuple(sorted(session.settings.tables | set(adoption.tables)))
        wider = replace(adoption, tables=tables, recorded_at=datetime.now(UTC))
        try:
            await session.state.adopt(wider, replaces=adoption.sequence)
        except ContractChanged as changed:
            # Another transform may have recorded its tables meanwhile, of the same contract.
            if changed.actual != adoption.digest:
                raise


def make_reporter(output_format: str, *, quiet: bool = False, silent: bool = False) -> Reporter:
    """Build the reporter of a command: JSON lines, progress bars on a terminal, or silence.

    `silent` is for a dry run, whose output is one list without events.
    """
    if silent:
        return SilentReporter()
    if output_format == "json":
        return QuietReporter() if quiet else JsonReporter()
    if quiet or not sys.stderr.isatty():
        return SilentReporter()
    from worker.reporting.terminal import TerminalReporter  # rich takes 0.1 s

    return TerminalReporter()


def keep_local_headers(headers: Headers, output_format: str) -> HeaderCallback | None:
    """Keep the headers of refused files of this machine, for tables; a log gets none."""
    if output_format != "table":
        return None

    def keep(source: Source, header: tuple[str, ...]) -> None:
        if not source.info.bucket:
            headers[source.source_id] = header

    return keep
