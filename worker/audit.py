"""Published days held against the clean zone: computed anew, compared row by row."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date

import numpy as np

from kpi.contract import Contract
from kpi.daily import Products
from kpi.days import to_date, to_day
from kpi.tables import DEFAULT_TABLES
from worker.clean import Workspace
from worker.state import Row, State
from worker.transform.cut import cut
from worker.transform.days import possible_days
from worker.transform.publication import rows_by_day
from worker.transform.slices import Seen, kpis, latest_products, load
from worker.transform.versions import Versions
from worker.transform.zone import open_zone


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A published row that is not what the clean zone gives.

    Attributes:
        table: KPI table.
        order_date: Its day.
        group: Its category or product; None where the table has one row a day.
        published: The row that is there; None where it is missing.
        expected: The row that should be; None where there should be none.
    """

    table: str
    order_date: date
    group: str | None
    published: Row | None
    expected: Row | None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audit found: the days that it compared, and every difference."""

    as_of: int
    days: int
    differences: tuple[Difference, ...]


async def audit(
    *,
    contract: Contract,
    workspace: Workspace,
    state: State,
    tables: frozenset[str] = DEFAULT_TABLES,
    first: date | None = None,
    last: date | None = None,
    sample: int | None = None,
) -> Audit:
    """Compare published days with what the ledger's entries up to their sequence give.

    Days that a transform of a later sequence is publishing meanwhile are left out.

    Args:
        contract: What the clean rows mean.
        workspace: Where they lie.
        state: Ledger and KPI tables.
        tables: KPI tables to compare.
        first: First day; None for no bound.
        last: Last day.
        sample: Number of days, chosen by chance; None for all.
    """
    record = await state.progress()
    as_of = min(record.published.get(name, 0) for name in tables)
    begun = await state.days()
    zone = await open_zone(state, as_of, workspace, contract)
    newer = {
        day for day, known in begun.items() if any(known.get(name, 0) > as_of for name in tables)
    }
    published = {to_day(day) for day in begun if _within(day, first, last)}
    if sample is not None and sample < len(published):
        chosen = np.array(sorted(random.sample(sorted(published), sample)), np.int32)
    else:
        # Days that should have been published and never were: the clean zone knows them.
        possible = await possible_days(zone.orders)
        inside = [day for day in possible.tolist() if _within(to_date(day), first, last)]
        chosen = np.array(sorted(published.union(inside)), np.int32)
    products = Products(*await latest_products(zone.products))
    versions = Versions(zone.orders), Versions(zone.items)
    differences: list[Difference] = []
    compared = 0
    plan = await cut(chosen, zone)
    for part in plan.slices:
        day_slice = await load(
            part, zone, products, *versions, tables, Seen(), scattered=plan.scattered
        )
        made = kpis(day_slice, tables)
        expected = {name: rows_by_day(name, table) for name, table in made.items()}
        known = published.union(*(map(to_day, of_day) for of_day in expected.values()))
        for day in map(to_date, sorted(known.intersection(part.tolist()))):
            if day in newer:
                continue
            compared += 1
            for name, of_day in expected.items():
                there = [row async for row in state.rows(name, first=day, last=day)]
                if all(int(row["as_of"]) <= as_of for row in there):
                    differences += _compare(name, day, there, of_day.get(day, []))
    # A later sequence may have deleted a day's rows meanwhile: then none is left to tell its as_of.
    later = {
        day
        for day, known in (await state.days()).items()
        if any(known.get(name, as_of + 1) > as_of for name in tables)
    }
    found = tuple(one for one in differences if one.order_date not in later)
    return Audit(as_of=as_of, days=compared, differences=found)


def _within(day: date, first: date | None, last: date | None) -> bool:
    return (first is None or day >= first) and (last is None or day <= last)


def _compare(table: str, day: date, there: list[Row], expected: list[Row]) -> list[Difference]:
    key = {"category_kpis": "category", "product_kpis": "product_id"}.get(table)

    def by_group(rows: list[Row]) -> dict[str | None, Row]:
        return {
            str(row[key]) if key else None: {
                name: value for name, value in row.items() if name != "as_of"
            }
            for row in rows
        }

    found, wanted = by_group(there), by_group(expected)
    return [
        Difference(
            table=table,
            order_date=day,
            group=group,
            published=found.get(group),
            expected=wanted.get(group),
        )
        for group in sorted({*found, *wanted}, key=str)
        if found.get(group) != wanted.get(group)
    ]
