"""`contract propose`: say what the adoption of a contract would change."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import click
import orjson

from kpi.contract.differences import describe_differences
from worker.cli.adopt import preview_adoption, proposal_of
from worker.cli.event_loop import run_async
from worker.cli.options import report_errors_as_json, state_options, utf8, utf8_or_path
from worker.cli.plan import write_output
from worker.errors import WorkerError, describe
from worker.jobs import open_session
from worker.maintenance.raw_objects import RawObjects
from worker.objects.location import locate
from worker.reporting.reporters import JsonReporter, SilentReporter
from worker.settings import read_contract, read_settings
from worker.stores import open_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kpi.contract.model import Contract
    from worker.jobs import Session

MAX_DIFFERENCES = 50
"""Differences that a proposal lists; SNS takes 256 KiB."""


@click.command(short_help="Say what another contract would change.")
@click.argument("file")
@state_options
@click.option(
    "--raw",
    multiple=True,
    type=utf8_or_path,
    envvar="SHOPKPI_RAW",
    show_envvar=True,
    metavar="DIR_OR_URL",
    help="Where raw files were moved to, as `archive --to` has it; repeatable.",
)
@click.option(
    "--output", type=utf8, metavar="URL", help="Write the proposal there, for a state machine."
)
def propose(
    file: str,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    raw: tuple[str, ...],
    output: str | None,
) -> None:
    """Say how the contract FILE differs from the one in force, and which days it would change.

    Nothing is changed. Where it is the one in force, or none is, the list of differences is empty.

    \b
    Example:
      shopkpi contract propose default
    """
    report_errors_as_json()
    contract = read_contract(file)
    settings = read_settings(workspace=workspace, state=state, shop=shop, contract=None)
    places = [locate(text) for text in raw]

    async def work() -> dict[str, object]:
        async with (
            open_session(settings) as session,
            aclosing(RawObjects(open_objects, places)) as found,
        ):
            found.ledger = session.state
            fields = await _describe(session, contract, found)
        fields["command"] = f"shopkpi contract adopt {file}"
        await write_output(orjson.dumps(fields), output)
        return fields

    fields = run_async(work)
    if output is not None and fields["differences"]:
        JsonReporter().emit("contract.proposed", **fields)


async def _describe(session: Session, contract: Contract, raw: RawObjects) -> dict[str, object]:
    differences: Sequence[str] = []
    if session.adoption is not None and session.adoption.digest != contract.digest:
        differences = describe_differences(session.settings.contract, contract) or ["its text"]
    fields: dict[str, object] = {
        "name": contract.name,
        "differences": differences[:MAX_DIFFERENCES],
        "days": 0,
        "first_day": None,
        "last_day": None,
        "problem": None,
    }
    if not differences:
        return fields
    try:
        proposal = proposal_of(session, contract, raw, SilentReporter())
        changes = await preview_adoption(session, proposal)
    except WorkerError as error:
        if error.retryable:
            raise
        fields["problem"] = describe(error)
        return fields
    days = sorted({change.order_date.isoformat() for change in changes})
    if days:
        fields |= {"days": len(days), "first_day": days[0], "last_day": days[-1]}
    return fields
