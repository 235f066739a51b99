"""`contract adopt`: bring another contract into force."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING

import click

from kpi.contract.differences import describe_differences
from worker.cli.change_output import print_changes
from worker.cli.event_loop import run_async
from worker.cli.options import choose_event_format, format_option, raw_option, state_options
from worker.cli.pipeline import bring_up_to_date, make_reporter
from worker.cli.query import check_database_exists
from worker.cli.sanitize import one_line
from worker.errors import ConfigError
from worker.jobs import open_session, proposed_adoption, validation_context
from worker.maintenance.adoption import (
    NAMED_SOURCES,
    Proposal,
    Uploads,
    find_sources,
    read_uploads,
    stage,
    stage_and_adopt,
)
from worker.maintenance.raw_objects import RawObjects
from worker.maintenance.refused_files import find_refused, validate_refused
from worker.objects.location import locate
from worker.reporting.reporters import SilentReporter
from worker.runtime.wording import counted
from worker.settings import read_contract, read_settings
from worker.stores import open_objects, open_overlay
from worker.validate.validate_source import validate, validate_uncommitted

if TYPE_CHECKING:
    from kpi.contract.model import Contract
    from worker.jobs import Session
    from worker.objects.source import Source
    from worker.reporting.reporters import Reporter
    from worker.settings import Settings
    from worker.state import Entry
    from worker.transform.preview import RowChange
    from worker.validate.context import ValidationContext


@click.command(short_help="Bring another contract into force.")
@click.argument("file")
@state_options
@raw_option
@click.option("--dry-run", is_flag=True, help="Print the values that would change; write nothing.")
@format_option("table", "json")
def adopt(
    file: str,
    workspace: str | None,
    state: str | None,
    raw: tuple[str, ...],
    shop: str | None,
    dry_run: bool,
    output_format: str | None,
) -> None:
    """Bring the contract FILE (or a built-in one) into force, and recompute what it changes.

    The first file that is accepted adopts its contract. Every later command takes that one from the
    ledger, and refuses another. Adoption is an entry of the ledger: tables that were switched on
    stay on, and every day is published again under the new contract.

    Time zones and the statuses that mean "returned" are taken from the clean rows. Whatever else
    changes (types, columns, delimiters, limits) needs the raw files: each is validated again. One
    that is gone, or that the new contract refuses, stops the adoption, and nothing changes. An
    adoption that was interrupted goes on where it was.

    Files that were refused before are validated again where they can be found, also those that
    `archive` has moved to the quarantine zone below --raw.

    \b
    Examples:
      shopkpi contract adopt berlin.toml --dry-run
      shopkpi contract adopt berlin.toml
      shopkpi contract adopt semicolons.toml --raw moved
    """
    proposed = read_contract(file)
    settings = read_settings(workspace=workspace, state=state, shop=shop, contract=None)
    places = [locate(text) for text in raw]
    check_database_exists(settings)
    output_format = choose_event_format(output_format)
    reporter = make_reporter(output_format)

    request = _Request(file, proposed, settings, reporter, output_format, dry_run=dry_run)

    async def work() -> None:
        async with aclosing(RawObjects(open_objects, places)) as found:
            if await request.adopt(found):
                await request.follow_up(found)

    try:
        run_async(work)
    finally:
        reporter.close()


@dataclass(frozen=True)
class _Request:
    """What somebody wants to adopt, and how they want to hear of it."""

    file: str
    proposed: Contract
    settings: Settings
    reporter: Reporter
    output_format: str
    _: KW_ONLY
    dry_run: bool

    async def adopt(self, found: RawObjects) -> bool:
        """Adopt the contract, unless it is a dry run; return whether it is in force."""
        async with open_session(self.settings) as session:
            found.ledger = session.state
            if session.adoption is None:
                raise ConfigError(
                    "no file was accepted yet, so no contract is in force",
                    url=self.settings.state_url,
                    hint=f"`shopkpi run INPUT --contract {self.file}` adopts it",
                )
            differences = describe_differences(session.settings.contract, self.proposed)
            if self.dry_run or self.output_format == "table":
                for difference in differences:
                    click.echo(one_line(difference), err=True)
            # A dry run commits nothing, and says no more of a file than what it would change.
            heard = SilentReporter() if self.dry_run else self.reporter
            proposal = proposal_of(session, self.proposed, found, heard)
            if self.dry_run:
                changes = await preview_adoption(session, proposal)
                print_changes(changes, self.output_format)
                return False
            adopted = await stage_and_adopt(proposal)
            if adopted.sequence != session.adoption.sequence:
                self.reporter.adopted(adopted, differences)
            return True

    async def follow_up(self, found: RawObjects) -> None:
        """Validate refused files and publish, with the contract that is in force now."""
        async with open_session(self.settings) as session:
            found.ledger = session.state
            refused = await find_refused(session.state, session.settings.contract.digest)
            context = validation_context(session, self.reporter)

            async def once_more(source: Source, context: ValidationContext) -> Entry:
                entry, new = await validate(source, context)
                self.reporter.validated(entry, new=new)
                return entry

            entries = await validate_refused(refused, found, context, once_more)
            await bring_up_to_date(session, self.reporter, entries)


def proposal_of(
    session: Session, contract: Contract, raw: RawObjects, reporter: Reporter
) -> Proposal:
    """Build the proposal of a contract; the session has a contract in force."""
    assert session.adoption is not None  # noqa: S101  (checked by the caller)
    assert session.in_force is not None  # noqa: S101
    context = validation_context(session, reporter)
    proposed = replace(session, settings=replace(session.settings, contract=contract))
    return Proposal(
        adoption=replace(proposed_adoption(proposed.settings), tables=session.adoption.tables),
        in_force=session.in_force,
        so_far=session.adoption,
        context=replace(context, contract=contract, adoption=None, in_force=None),
        raw=raw,
        validated=lambda entry: reporter.validated(entry, new=True),
    )


async def preview_adoption(session: Session, proposal: Proposal) -> list[RowChange]:
    """Return the rows that an adoption would change; nothing that it writes stays."""
    from worker.transform.preview import preview_records  # Arrow, 0.3 s
    from worker.transform.task import TransformTask

    ledger = session.state
    rows = await proposal.rows()
    uploads = await read_uploads(ledger, await ledger.head(), proposal.in_force, rows)
    uploads.check()
    await _show_sources(proposal, uploads)
    async with open_overlay(session.workspace.store) as store:
        workspace = replace(proposal.context.workspace, store=store)
        supposed = replace(proposal, context=replace(proposal.context, workspace=workspace))

        async def suppose(entry: Entry) -> Entry:
            return entry

        staged = await stage(supposed, uploads, suppose)
        for entry in staged:
            uploads.done[entry.source_id] = entry
        uploads.check()
        task = TransformTask(
            contract=proposal.contract,
            workspace=workspace,
            state=session.state,
            tables=session.settings.tables,
        )
        adoption = replace(proposal.adoption, replaces=proposal.so_far.sequence)
        refused = await find_refused(ledger, proposal.contract.digest)
        once_more = await validate_refused(
            refused, proposal.raw, supposed.context, validate_uncommitted
        )
        rescued = [one for one in once_more if one.verdict == "accepted"]
        if once_more:
            click.echo(
                f"{len(once_more)} refused files are validated again; {len(rescued)} would be "
                "accepted",
                err=True,
            )
        return await preview_records(task, [*staged, adoption, *rescued])


async def _show_sources(proposal: Proposal, uploads: Uploads) -> None:
    sources = await find_sources(proposal, uploads)
    if not sources:
        return
    size = sum(source.info.size_bytes for source in sources)
    number = counted(len(sources), "raw file")
    click.echo(f"to validate again: {number} of {size:,} bytes", err=True)
    for source in sources[:NAMED_SOURCES]:
        click.echo(f"  {one_line(source.info.url)}", err=True)
    if len(sources) > NAMED_SOURCES:
        click.echo(f"  and {len(sources) - NAMED_SOURCES} more", err=True)
