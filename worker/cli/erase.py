"""`erase-customer`: erase a person from everything that the workspace and its ledger hold."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from worker.cli.change_output import print_changes
from worker.cli.event_loop import run_async
from worker.cli.options import (
    choose_event_format,
    format_option,
    state_options,
    utf8,
    utf8_or_path,
)
from worker.cli.pipeline import bring_up_to_date, make_reporter
from worker.cli.query import check_database_exists
from worker.cli.row_output import print_rows
from worker.cli.sanitize import one_line
from worker.errors import ConfigError
from worker.jobs import open_session
from worker.objects.location import locate
from worker.reporting.reporters import JsonReporter
from worker.settings import read_settings
from worker.state.secret import secret_of
from worker.stores import open_objects, open_overlay

if TYPE_CHECKING:
    from worker.jobs import Session
    from worker.maintenance.erasure.erase import Erased
    from worker.maintenance.erasure.report import Report
    from worker.maintenance.erasure.request import Request
    from worker.objects.location import Location
    from worker.state.records import ErasureMode
    from worker.transform.preview import RowChange


@click.command(name="erase-customer")
@click.argument("customer", metavar="ID", type=utf8)
@click.option(
    "--pseudonymise",
    "mode",
    flag_value="pseudonymise",
    default="pseudonymise",
    help="Put a pseudonym in the place of the id; no KPI changes.  [default]",
)
@click.option(
    "--delete",
    "mode",
    flag_value="delete",
    help="Delete the rows, and compute their days again.",
)
@state_options
@click.option(
    "--raw",
    multiple=True,
    type=utf8_or_path,
    envvar="SHOPKPI_RAW",
    show_envvar=True,
    metavar="DIR_OR_URL",
    help="Where raw files are, and where `archive --to` has moved them: they are rewritten; "
    "repeatable.",
)
@click.option(
    "--dry-run", is_flag=True, help="Say what would be touched, and which values would change."
)
@format_option("table", "json")
def erase_customer(
    customer: str,
    mode: ErasureMode,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    raw: tuple[str, ...],
    dry_run: bool,
    output_format: str | None,
) -> None:
    """Erase the customer ID from clean rows and rejects, for good.

    ID is the value of `user_id`; - reads it from standard input, so that no list of processes shows
    it. The ledger keeps a digest of it under a secret key. So a file that has the customer again,
    an old or a new one, brings nobody back: such rows get the same pseudonym, or are dropped.

    \b
    Examples:
      shopkpi erase-customer 4711 --dry-run
      shopkpi erase-customer 4711
      echo 4711 | shopkpi erase-customer - --delete --raw shop --raw moved
    """
    if customer == "-":
        customer = sys.stdin.read().strip()
    settings = read_settings(workspace=workspace, state=state, shop=shop, contract=None)
    places = [locate(text) for text in raw]
    check_database_exists(settings)
    output_format = choose_event_format(output_format)
    reporter = make_reporter(output_format)

    async def work() -> None:
        async with open_session(settings) as session:
            request = await make_request(session, customer, mode, dry_run=dry_run)
            request = replace(request, keeps_absent=bool(places))
            if dry_run:
                print_changes(await _preview(request, session, places), output_format)
                return
            report = await _erase(request, session, places)
            await bring_up_to_date(session, reporter, [])
        _print(report, output_format)

    try:
        run_async(work)
    finally:
        reporter.close()


async def make_request(
    session: Session, customer: str, mode: ErasureMode, *, dry_run: bool
) -> Request:
    """Build the request to erase a customer, by the words of the contract in force.

    Raises:
        ConfigError: No contract is in force, or it has no such id.
    """
    from worker.maintenance.erasure.request import Request, customer_text  # Arrow

    if session.adoption is None or session.in_force is None:
        raise ConfigError("no file was accepted yet", url=session.settings.state_url)
    return Request(
        ledger=session.state,
        workspace=session.workspace,
        in_force=session.in_force,
        customer=customer_text(session.in_force.contract, customer),
        mode=mode,
        secret=await secret_of(session.state, dry_run=dry_run),
    )


async def _erase(request: Request, session: Session, places: list[Location]) -> Report:
    from worker.maintenance.erasure.erase import erase  # Arrow, 0.3 s
    from worker.maintenance.erasure.places import STORED_PREFIXES
    from worker.maintenance.erasure.purge import old_versions, purge
    from worker.maintenance.erasure.raw import check_limits, erase_raw
    from worker.maintenance.erasure.report import Report

    if places:
        check_limits(request.in_force.contract)
    erased = await erase(request)
    _check_found(erased, session)
    purged = await purge(session.workspace, session.state)
    rewritten = None
    if places and erased.erasure is not None:
        rewritten = tuple(await erase_raw(request, erased.erasure, places, open_objects))
    workspace = session.workspace
    left = await old_versions(workspace.store, list(map(workspace.absolute, STORED_PREFIXES)))
    for place in places:
        store = await open_objects(place)
        try:
            of_place = await old_versions(store, [place.key])
            left = None if left is None or of_place is None else [*left, *of_place]
        finally:
            await store.close()
    return Report(
        mode=request.mode,
        erased=erased,
        purged=purged,
        raw=rewritten,
        old_versions=None if left is None else tuple(left),
    )


def _check_found(erased: Erased, session: Session) -> None:
    if erased.erasure is None:
        raise ConfigError(
            "no row and no reject has this id, so nothing was erased",
            url=session.settings.workspace.url,
            hint="check the id: it is the value of `user_id`",
        )


async def _preview(request: Request, session: Session, places: list[Location]) -> list[RowChange]:
    """Return the rows that an erasure would change; nothing that it writes stays."""
    from worker.maintenance.erasure.erase import plan  # Arrow, 0.3 s
    from worker.maintenance.erasure.purge import Purged
    from worker.maintenance.erasure.raw import check_limits, erase_raw
    from worker.maintenance.erasure.report import Report
    from worker.transform.preview import preview_records
    from worker.transform.task import TransformTask

    async with open_overlay(session.workspace.store) as store:
        workspace = replace(session.workspace, store=store)
        planned = await plan(replace(request, workspace=workspace))
        _check_found(planned, session)
        raw = None
        if places and planned.erasure is not None:
            check_limits(request.in_force.contract)
            found = await erase_raw(request, planned.erasure, places, open_objects, dry_run=True)
            raw = tuple(found)
        report = Report(mode=request.mode, erased=planned, purged=Purged(), raw=raw)
        for line in report.lines():
            click.echo(one_line(line), err=True)
        if not planned.entries or planned.erasure is None:
            return []
        task = TransformTask(
            contract=session.settings.contract,
            workspace=workspace,
            state=session.state,
            tables=session.settings.tables,
        )
        return await preview_records(task, [*planned.entries, planned.erasure])


def _print(report: Report, output_format: str) -> None:
    if output_format == "json":
        JsonReporter().emit("customer.erased", **report.fields())
        return
    with print_rows(output_format) as output:
        for row in report.rows():
            output.add(row)
