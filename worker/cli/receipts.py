"""`ledger` and `rejects`: what became of every file, and where every row went."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from worker.cli.event_loop import run_async
from worker.cli.options import choose_format, format_option, store_options, until_reader_leaves
from worker.cli.query import check_contract, check_database_exists
from worker.cli.render import short_name, show_receipts, show_refusals, show_rows
from worker.cli.row_output import BATCH_ROWS, print_rows
from worker.jobs import open_session
from worker.settings import read_settings
from worker.state.named_uploads import find_uploads, newest_versions
from worker.state.receipt import receipt
from worker.stores import open_state

if TYPE_CHECKING:
    from worker.clean import Workspace
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
        show_receipts(found, effects, rulings, when="at first")
        show_refusals(found)


async def _print_present(settings: Settings, source: str, output_format: str) -> None:
    from worker.transform.present_state import FATES, present_state  # Arrow, 0.3 s

    async with open_session(settings, read_only=True) as session:
        found = [one async for page in find_uploads(session.state, source) for one in page]
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
@format_option("table", "json", "csv")
def rejects(
    source: str,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    all_versions: bool,
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
    """
    settings = read_settings(workspace=workspace, state=state, shop=shop, contract=contract)
    output_format = choose_format(output_format)
    check_database_exists(settings)

    async def work() -> None:
        async with open_session(settings, read_only=True) as session:
            entries = [one async for page in find_uploads(session.state, source) for one in page]
            if not all_versions:
                entries = newest_versions(entries)
            is_one_file = len({entry.url for entry in entries}) == 1
            with print_rows(output_format) as output:
                for entry in entries:
                    version = _version(entry) if all_versions else {}
                    name = entry.url.rsplit("/", 1)[-1] if is_one_file else entry.url
                    async for reject in _read_rejects(entry, session.workspace):
                        output.add({**version, "file": name, **reject})

    run_async(work, clean_stop=False)


def _version(entry: Entry) -> dict[str, object]:
    uploaded_at = entry.uploaded_at.isoformat(timespec="seconds")
    return {"source": entry.source_id, "uploaded_at": uploaded_at}


async def _read_rejects(entry: Entry, workspace: Workspace) -> AsyncIterator[dict[str, object]]:
    from worker.clean.reader import CleanObject  # Arrow, 0.3 s

    before = entry.rows_before or (0,) * len(entry.rejects)
    for key, rows_before in zip(entry.rejects, before, strict=True):
        rejects = CleanObject(workspace.store, workspace.stored(key))
        for group in range((await rejects.footer()).num_row_groups):
            rows = await rejects.read([group], ["row", "byte_offset", "raw", "reasons"])
            for batch in rows.to_batches(BATCH_ROWS):
                for row in batch.to_pylist():
                    yield _format_reject(row, rows_before)


def _format_reject(row: Mapping[str, Any], rows_before: int) -> dict[str, object]:
    return {
        "row": row["row"] + rows_before,
        "byte_offset": row["byte_offset"],
        "reasons": [
            f"{one['reason']}: {(one['column'] + ': ') if one['column'] else ''}"
            f"expected {one['expected']}"
            for one in row["reasons"]
        ],
        "raw": row["raw"].decode("utf-8", "backslashreplace"),
    }
