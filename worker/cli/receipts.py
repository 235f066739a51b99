"""`ledger` and `rejects`: what became of every file, and where every row went."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worker.cli.event_loop import run_async
from worker.cli.options import (
    choose_format,
    format_option,
    raw_option,
    store_options,
    until_reader_leaves,
)
from worker.cli.query import check_contract, check_database_exists
from worker.cli.render import short_name, show_receipts, show_refusals, show_rows, without_former
from worker.cli.row_output import print_rows
from worker.cli.sanitize import one_line
from worker.errors import ConfigError
from worker.jobs import open_session, validation_context
from worker.maintenance.raw_objects import RawObjects
from worker.objects.location import locate
from worker.reporting.reporters import SilentReporter
from worker.runtime.wording import counted
from worker.settings import read_settings
from worker.state.named_uploads import find_uploads, newest_versions
from worker.state.receipt import receipt
from worker.stores import open_objects, open_state

if TYPE_CHECKING:
    from worker.jobs import Session
    from worker.settings import Settings
    from worker.state import Effect, Entry, Ruling, State
    from worker.transform.present_state import Present


@click.command()
@click.argument("source", required=False)
@store_options
@click.option(
    "--at-first",
    is_flag=True,
    help="Print of SOURCE what the ledger holds, as of the transform that first counted it; the "
    "clean zone is not read.",
)
@format_option("table", "json")
def ledger(
    source: str | None,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    at_first: bool,
    output_format: str | None,
) -> None:
    """Print the receipts of all source objects, or of SOURCE.

    SOURCE is an id, the end of a path or URL, a part of a name, or a pattern with * and ?. Of it,
    superseded rows, waiting items and days are those of now, computed from the clean zone. The list
    of all has them as the ledger does: of the transform that first counted the file.

    \b
    Examples:
      shopkpi ledger
      shopkpi ledger orders/monday.csv --format json
      shopkpi ledger "orders/*.csv"
    """
    settings = read_settings(workspace=workspace, state=state, shop=shop, contract=contract)
    output_format = choose_format(output_format)
    check_database_exists(settings)
    if source is None or at_first:
        run_async(lambda: _print_as_recorded(settings, source, output_format), clean_stop=False)
    else:
        run_async(lambda: _print_present(settings, source, output_format), clean_stop=False)


async def _print_as_recorded(settings: Settings, source: str | None, output_format: str) -> None:
    store = await open_state(settings.state_url, shop=settings.shop, read_only=True)
    try:
        await check_contract(store, settings)
        rulings = await _last_rulings(store)
        found: list[Entry] = []
        effects: dict[str, Effect] = {}
        refused: dict[str, int] = {}
        if output_format == "json":
            with print_rows(output_format) as output:
                async for entries in find_uploads(store, source):
                    effects = await store.effects([entry.source_id for entry in entries])
                    for entry in entries:
                        effect = effects.get(entry.source_id)
                        fields = receipt(entry, effect, rulings.get(entry.source_id))
                        fields |= _refused_before(entry, refused)
                        output.add(fields | ({"effect": "at first"} if effect else {}))
            return
        async for entries in find_uploads(store, source):
            found += entries
            effects |= await store.effects([entry.source_id for entry in entries])
    finally:
        await store.close()
    with until_reader_leaves():
        found = without_former(found)
        show_receipts(found, effects, rulings, when="at first")
        show_refusals(found)


async def _print_present(settings: Settings, source: str, output_format: str) -> None:
    from worker.transform.present_state import FATES, present_state  # Arrow, 0.3 s

    async with open_session(settings, read_only=True) as session:
        found = without_former(
            [one async for page in find_uploads(session.state, source) for one in page]
        )
        rulings = await _last_rulings(session.state)
        present = await present_state(
            session.state, session.workspace, session.settings.contract, found
        )

    def fields(entry: Entry) -> dict[str, Any]:
        now = present[entry.sequence]
        ruling = rulings.get(entry.source_id)
        return {**receipt(entry, now.effect, ruling), "effect": "now", "fate": FATES[now.fate]}

    if output_format == "json":
        with print_rows(output_format) as output:
            refused: dict[str, int] = {}
            for entry in found:
                output.add(fields(entry) | _refused_before(entry, refused))
        return
    with until_reader_leaves():
        if len(found) == 1:
            shown = fields(found[0]).items()
            show_rows(
                [{"field": key, "value": _value(value)} for key, value in shown],
                f"Receipt of {short_name(found[0].url)}",
            )
            return
        _show_present(found, present, rulings, FATES)


def _refused_before(entry: Entry, refused: dict[str, int]) -> dict[str, int]:
    """Say where an upload that was accepted had been refused; `refused` remembers refusals."""
    if entry.verdict == "refused":
        refused.setdefault(entry.source_id, entry.sequence)
        return {}
    at = refused.get(entry.source_id)
    return {} if at is None else {"refused_at": at}


def _show_present(
    found: list[Entry],
    present: Mapping[int, Present],
    rulings: Mapping[str, Ruling],
    words: Mapping[str, str],
) -> None:
    # Two entries of one source differ in their effect, so each is shown by its own.
    effects = {one.source_id: present[one.sequence].effect for one in found}
    show_receipts(found, effects, rulings, when="now")
    for entry in found:
        fate = present[entry.sequence].fate
        if fate not in ("counts", "refused", "retracted"):
            click.echo(f"does not count: {entry.source_id} {short_name(entry.url)}: {words[fate]}")
    show_refusals(found)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {one}" for key, one in value.items())
    return "" if value is None else str(value)


async def _last_rulings(state: State) -> dict[str, Ruling]:
    return {ruling.source_id: ruling for ruling in await state.rulings()}


@click.command()
@click.argument("source")
@store_options
@click.option(
    "--all-versions",
    is_flag=True,
    help="Print the rejects of earlier versions of a file too, each with its id.",
)
@click.option(
    "--repair",
    "sheet_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the rows into a new CSV file, in the columns of their own file, to be corrected in "
    "a spreadsheet; `shopkpi repair` takes it.",
)
@raw_option
@format_option("table", "json", "csv")
def rejects(
    source: str,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    all_versions: bool,
    sheet_path: Path | None,
    raw: tuple[str, ...],
    output_format: str | None,
) -> None:
    """Print the rejected rows of SOURCE, of the newest version of each file.

    SOURCE is an id, the end of a path or URL, a part of a name, or a pattern with * and ?.

    `row` counts the rows from the header on, which is row 1 (blank lines are none); `byte_offset`
    is where the row starts in the decompressed file. Bytes that are not UTF-8 are shown as \\xNN.

    \b
    Examples:
      shopkpi rejects orders/monday.csv
      shopkpi rejects monday --all-versions
      shopkpi rejects 0f3a1c2d4e5b6a79 --format csv > monday-rejects.csv
      shopkpi rejects orders/monday.csv --repair fix.csv
    """
    if sheet_path is not None and all_versions:
        raise click.UsageError("--repair goes with the newest version; name another by its id")
    sheet = None if sheet_path is None else SheetRequest(sheet_path, raw)
    settings = read_settings(workspace=workspace, state=state, shop=shop, contract=contract)
    output_format = choose_format(output_format)
    check_database_exists(settings)

    async def work() -> None:
        async with open_session(settings, read_only=True) as session:
            entries = [one async for page in find_uploads(session.state, source) for one in page]
            if not all_versions:
                entries = newest_versions(entries)
            if sheet is not None:
                await _write_sheet(session, entries, source, sheet)
                return
            await _print_rejects(session, entries, output_format, all_versions=all_versions)

    run_async(work, clean_stop=False)


@dataclass(frozen=True)
class SheetRequest:
    """The file that rejects are written into, and where raw files were moved to."""

    path: Path
    raw: tuple[str, ...]


def _version(entry: Entry) -> dict[str, object]:
    uploaded_at = entry.uploaded_at.isoformat(timespec="seconds")
    return {"source": entry.source_id, "uploaded_at": uploaded_at}


async def _print_rejects(
    session: Session, entries: list[Entry], output_format: str, *, all_versions: bool
) -> None:
    from worker.clean.rejects import read_rejects  # Arrow, 0.3 s

    is_one_file = len({entry.url for entry in entries}) == 1
    with print_rows(output_format) as output:
        for entry in entries:
            version = _version(entry) if all_versions else {}
            name = entry.url.rsplit("/", 1)[-1] if is_one_file else entry.url
            async for reject in read_rejects(entry, session.workspace):
                output.add(
                    {
                        **version,
                        "file": name,
                        "row": reject.row,
                        "byte_offset": reject.byte_offset,
                        "reasons": list(reject.reasons),
                        "raw": reject.raw.decode("utf-8", "backslashreplace"),
                    }
                )


async def _write_sheet(
    session: Session, entries: list[Entry], name: str, request: SheetRequest
) -> None:
    """Write the rejects of one file into a sheet for their repair."""
    from kpi.erasure.rejects import ERASED_TEXT  # Arrow, 0.3 s
    from worker.clean.rejects import read_rejects
    from worker.cli.repair_sheet import write_sheet
    from worker.maintenance.repair.form import find_source, read_form

    if len(entries) > 1:
        raise ConfigError(
            f"{len(entries)} files have this name, and a sheet is of one",
            url=name,
            option="--repair",
            hint="name one by its id: " + ", ".join(one.source_id for one in entries[:10]),
        )
    entry = entries[0]
    # Rows of erased customers have lost their texts.
    rejects = [
        one async for one in read_rejects(entry, session.workspace) if one.raw != ERASED_TEXT
    ]
    if not rejects:
        raise ConfigError("it has no rejected rows", url=entry.url, option="--repair")
    context = validation_context(session, SilentReporter())
    async with aclosing(RawObjects(open_objects, [locate(one) for one in request.raw])) as raw:
        raw.ledger = session.state
        form = await read_form(await find_source(entry, raw), context)
    write_sheet(request.path, entry.source_id, form, rejects)
    click.echo(
        one_line(
            f"{counted(len(rejects), 'row')} of {short_name(entry.url)} in {request.path}: correct "
            f"them, then `shopkpi repair {request.path}`"
        ),
        err=True,
    )
