"""`explain`: which files and decisions moved the KPIs of a day."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from kpi.aggregation.tables import CATEGORY_KPIS, KPI_TABLES, ORDER_KPIS, PRODUCT_KPIS
from worker.cli.as_of import question_of
from worker.cli.audit import EXIT_DIFFERENCES
from worker.cli.event_loop import run_async
from worker.cli.options import choose_event_format, format_option, store_options, utf8
from worker.cli.query import check_database_exists
from worker.cli.render import clip, short_name, show_rows
from worker.jobs import open_session
from worker.reporting.reporters import JsonReporter
from worker.runtime.wording import counted
from worker.settings import read_day, read_settings

if TYPE_CHECKING:
    from datetime import date

    from worker.explain.published import Explanation
    from worker.explain.steps import Step
    from worker.transform.preview import RowChange


@click.command()
@click.argument("day")
@store_options
@click.option("--category", type=utf8, metavar="NAME", help="The KPIs of one category.")
@click.option("--product", type=utf8, metavar="ID", help="The KPIs of one product.")
@click.option("--keys", "with_keys", is_flag=True, help="Print the keys of rows unmasked.")
@format_option("table", "json")
def explain(
    day: str,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    category: str | None,
    product: str | None,
    with_keys: bool,
    output_format: str | None,
) -> None:
    """Print what moved the KPIs of DAY: each value before and after every file that changed it.

    A step is one record of the ledger: a file, a retraction or restoration, or the adoption of a
    contract. It is computed from the rows that are kept, so it holds for files whose transforms
    were joined or died as well. The steps add up to the published row; the exit code is 3 where
    they do not. Rows count those of the day that came, went or changed; up to five of their keys
    are named, masked without --keys.

    \b
    Examples:
      shopkpi explain 2025-03-30
      shopkpi explain 2025-03-30 --category Beauty
      shopkpi explain 2025-03-30 --keys --format json
    """
    if category is not None and product is not None:
        raise click.UsageError("--category and --product exclude each other")
    output_format = choose_event_format(output_format)
    settings = read_settings(workspace=workspace, state=state, shop=shop, contract=contract)
    wanted = read_day(day, "DAY")
    check_database_exists(settings)
    table, group = ORDER_KPIS.name, None
    if category is not None:
        table, group = CATEGORY_KPIS.name, category
    if product is not None:
        table, group = PRODUCT_KPIS.name, product

    async def work() -> Explanation:
        from worker.explain.published import explain as explain_day  # Arrow, 0.3 s

        async with open_session(settings, read_only=True) as session:
            question = question_of(session, session.settings.tables | {table})
            return await explain_day(question, wanted)

    found = run_async(work, clean_stop=False)
    if output_format == "json":
        _emit(found, wanted, table, group, with_keys=with_keys)
    else:
        _show(found, wanted, table, group, with_keys=with_keys)
    if table in found.wrong:
        sys.exit(EXIT_DIFFERENCES)


def _steps_of(
    found: Explanation, table: str, group: str | None
) -> Iterator[tuple[Step, RowChange | None, dict[str, int]]]:
    """Yield the steps to print, the row asked for, and how many groups of other tables changed."""
    for step in found.steps:
        mine = [one for one in step.changes if one.table == table and one.group == group]
        others: dict[str, int] = {}
        for change in step.changes if group is None else ():
            if change.table != table:
                others[change.table] = others.get(change.table, 0) + 1
        if mine or others:
            yield step, mine[0] if mine else None, others


def _emit(found: Explanation, day: date, table: str, group: str | None, *, with_keys: bool) -> None:
    reporter = JsonReporter(sys.stdout)
    reached = found.published.reached[table]
    steps = list(_steps_of(found, table, group))
    for step, change, others in steps:
        reporter.emit(
            "kpi.moved",
            order_date=str(day),
            table=table,
            group=group,
            sequence=step.sequence,
            kind=step.kind,
            moved_at=step.at.isoformat(timespec="seconds"),
            url=step.url,
            rows=step.rows.rows if step.rows else None,
            keys=[" ".join(one) for one in _keys(step, with_keys=with_keys)],
            values={name: [old, new] for name, old, new in change.values()} if change else {},
            groups_changed=others,
            published=step.sequence <= reached,
        )
    reporter.emit(
        "kpi.explained",
        order_date=str(day),
        table=table,
        group=group,
        steps=len(steps),
        head=found.head,
        as_of=reached,
        row=found.published.rows[table].get(group or ""),
        differs=table in found.wrong,
        erased_at=[one.sequence for one in found.erased],
    )


def _show(found: Explanation, day: date, table: str, group: str | None, *, with_keys: bool) -> None:
    reached, rows = found.published.reached[table], []
    for step, change, others in _steps_of(found, table, group):
        head = {
            "sequence": f"#{step.sequence}",
            "at": step.at.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00"),
            "by": _cause(step),
        }
        values = list(change.values()) if change else []
        for name, before, after in values:
            rows.append({**head, "what": name, "before": before, "after": after})
            head = dict.fromkeys(head, "")
        for other, count in others.items():
            key = KPI_TABLES[other].group_key or "day"
            word = counted(
                count, key, f"{key.removesuffix('y')}ies" if key[-1] == "y" else f"{key}s"
            )
            rows.append({**head, "what": f"{other}: {word}", "before": None, "after": None})
            head = dict.fromkeys(head, "")
        rows.append(
            {**head, "what": _rows_text(step, with_keys=with_keys), "before": None, "after": None}
        )
    title = f"{table} of {day}" + (f", {clip(group)}" if group is not None else "")
    if rows:
        show_rows(rows, title)
    for line in _summary(found, table, group, reached):
        click.echo(line)


def _summary(found: Explanation, table: str, group: str | None, reached: int) -> Iterator[str]:
    """Yield what the steps add up to, and what a reader should know of them."""
    row = found.published.rows[table].get(group or "")
    later = [one for one in found.steps if one.sequence > reached]
    if any(one.sequence > reached for one in found.erased):
        yield f"the published row is as of {reached}, before a customer was deleted"
    elif table in found.wrong:
        yield (
            f"the published rows differ from what the ledger gives as of {reached}: "
            "`shopkpi audit` lists them, `shopkpi transform --all` puts them right"
        )
    elif not reached and row is not None:
        yield (
            "the published row is of an earlier release, or its transform has not ended: "
            "`shopkpi transform` publishes what the steps add up to"
        )
        return
    elif row is None:
        yield f"no row is published as of {reached}"
    else:
        values = ", ".join(
            f"{name} {value}"
            for name, value in row.items()
            if name != "order_date" and value is not None
        )
        yield f"the steps add up to the published row as of {reached}: {clip(values)}"
    if later:
        yield (
            f"{counted(len(later), 'step')} from #{later[0].sequence} on not published yet: "
            "`shopkpi transform` does it"
        )
    for erasure in found.erased:
        yield f"a customer was deleted at #{erasure.sequence}: no step has the rows that this took"


def _cause(step: Step) -> str:
    words = {"upload": "", "repair": "repaired", "adoption": "contract adopted"}
    return " ".join(filter(None, [words.get(step.kind, step.kind), clip(short_name(step.url))]))


def _rows_text(step: Step, *, with_keys: bool) -> str:
    if step.rows is None:
        return "every row was read by another contract"
    keys: dict[str, list[str]] = {}
    for name, key in _keys(step, with_keys=with_keys):
        keys.setdefault(name, []).append(key)
    counts = [
        f"{name}: {count:,}" + (f" ({', '.join(keys[name])})" if name in keys else "")
        for name, count in step.rows.rows.items()
    ]
    return clip(", ".join(counts)) or "rows that the day's rows look up"


def _keys(step: Step, *, with_keys: bool) -> list[tuple[str, str]]:
    from worker.explain.row_changes import mask_key

    keys = step.rows.keys if step.rows else ()
    return [(name, key if with_keys else mask_key(key)) for name, key in keys]
