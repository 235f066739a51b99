"""KPI rows in SQLite: written where they differ, and summed right by other tools."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.samples import day_kpis
from worker.state import DayKpis, Outcome, Row
from worker.state.sqlite.store import SqliteState

DAY = date(2024, 5, 1)
NAMES = ["Jeans", "Shoes", "Swim"]
MANY_DIGITS = Decimal("99999999999999999999999999999999999.99")


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[SqliteState]:
    state = await SqliteState.open(tmp_path / "shopkpi.db")
    yield state
    await state.close()


async def written(state: SqliteState, day: DayKpis, as_of: int) -> int:
    """Publish a day, and count the rows that were inserted, replaced or deleted for it."""

    def count(db: sqlite3.Connection) -> int:
        return db.total_changes

    before = await state._file.run(count)
    assert await state.publish(day, as_of) is Outcome.PUBLISHED
    return await state._file.run(count) - before


def changed(day: DayKpis, change: Callable[[list[str]], list[str]]) -> DayKpis:
    """The day with other categories."""
    by_name = {str(row["category"]): row for row in day.tables["category_kpis"]}
    left = change(list(by_name))
    template = day.tables["category_kpis"][0]
    rows = [by_name.get(name, {**template, "category": name}) for name in left]
    return replace(day, tables={**day.tables, "category_kpis": rows})


async def test_only_rows_that_differ_are_written(state: SqliteState) -> None:
    day = day_kpis(DAY, categories=NAMES)
    # An order_kpis row, and the guard, which is the one row of a day that is always written.
    assert await written(state, day, 1) == len(NAMES) + 1 + 1
    assert await written(state, day, 2) == 1
    assert await written(state, day, 2) == 1
    without = changed(day, lambda names: names[1:])
    assert await written(state, without, 3) == 1 + 1
    other = changed(day, lambda names: [*names, "Hats"])
    assert await written(state, other, 4) == 2 + 1
    (orders,) = day.tables["order_kpis"]
    richer = {**orders, "total_revenue": Decimal("99.00")}
    assert await written(state, replace(other, tables={"order_kpis": [richer]}), 5) == 1 + 1
    assert await written(state, DayKpis(order_date=DAY, tables={"order_kpis": []}), 6) == 1 + 1
    assert [row["as_of"] async for row in state.rows("category_kpis")] == [4] * 4


@pytest.mark.parametrize(
    "revenue", [Decimal("92233720368547758.07"), Decimal("92233720368547758.08"), MANY_DIGITS]
)
@pytest.mark.parametrize("sign", [1, -1])
async def test_amounts_beyond_64_bits_are_exact(
    state: SqliteState, revenue: Decimal, sign: int
) -> None:
    await state.publish(day_kpis(DAY, sign * revenue), 1)
    (row,) = [row async for row in state.rows("order_kpis")]
    assert row["total_revenue"] == sign * revenue
    assert await written(state, day_kpis(DAY, sign * revenue), 2) == 1


AMOUNTS = ["9.90", "100.10", "20.30", "0.00", "-1.10", "0.05"]


async def test_views_sort_and_sum_amounts_right(state: SqliteState, tmp_path: Path) -> None:
    days = [date(2024, 5, number + 1) for number in range(len(AMOUNTS))]
    for day, amount in zip(days, AMOUNTS, strict=True):
        await state.publish(day_kpis(day, Decimal(amount), categories=["Jeans"]), day.day)
    with closing(sqlite3.connect(tmp_path / "shopkpi.db")) as db:
        shown = db.execute("SELECT * FROM order_kpis ORDER BY total_revenue")
        names = [name for name, *_ in shown.description]
        rows = [dict(zip(names, row, strict=True)) for row in shown]
        info = db.execute("PRAGMA table_info(order_kpis)")
        types = {name: kind for _, name, kind, *_ in info}
        (total, exact, most) = db.execute(
            "SELECT sum(total_revenue), sum(total_revenue_minor), max(total_revenue) "
            "FROM order_kpis"
        ).fetchone()
    assert [row["total_revenue"] for row in rows] == sorted(map(float, AMOUNTS))
    assert [row["as_of"] for row in rows] == [5, 4, 6, 1, 3, 2]
    assert {row["shop"] for row in rows} == {"default"}
    assert (round(total, 2), exact, most) == (129.25, 12925, 100.10)
    assert (types["total_revenue"], types["total_revenue_minor"]) == ("REAL", "INTEGER")
    assert (types["return_rate"], types["total_orders"]) == ("REAL", "INTEGER")
    assert (types["total_items_sold"], types["gross_sales"]) == ("NUMERIC", "REAL")
    assert (types["order_date"], types["shop"]) == ("TEXT", "TEXT")


async def test_views_show_amounts_beyond_64_bits(state: SqliteState, tmp_path: Path) -> None:
    await state.publish(day_kpis(DAY, MANY_DIGITS), 1)
    await state.publish(day_kpis(date(2024, 5, 2), Decimal("0.01")), 1)
    with closing(sqlite3.connect(tmp_path / "shopkpi.db")) as db:
        found = db.execute(
            "SELECT max(total_revenue), sum(total_revenue), "
            "max(CAST(total_revenue_minor AS TEXT)), sum(total_revenue_minor) FROM order_kpis"
        ).fetchone()
    digits = str(MANY_DIGITS).replace(".", "")
    assert found == (float(MANY_DIGITS), float(MANY_DIGITS), digits, float(digits))


async def test_quantities_with_decimals_are_exact_and_sum_right(
    state: SqliteState, tmp_path: Path
) -> None:
    quantities: list[Decimal | int] = [Decimal("10.250"), Decimal("9.5"), 100]
    for number, quantity in enumerate(quantities, start=1):
        day = day_kpis(date(2024, 5, number))
        (orders,) = day.tables["order_kpis"]
        of_day: dict[str, list[Row]] = {"order_kpis": [{**orders, "total_items_sold": quantity}]}
        await state.publish(replace(day, tables=of_day), 1)
    found = [row["total_items_sold"] async for row in state.rows("order_kpis")]
    assert list(map(str, found)) == ["10.250", "9.5", "100"]
    with closing(sqlite3.connect(tmp_path / "shopkpi.db")) as db:
        query = "SELECT total_items_sold FROM order_kpis ORDER BY 1"
        assert db.execute(query).fetchall() == [(9.5,), (10.25,), (100,)]


async def test_a_number_of_orders_has_no_decimals(state: SqliteState) -> None:
    day = day_kpis(DAY)
    (orders,) = day.tables["order_kpis"]
    wrong: dict[str, list[Row]] = {"order_kpis": [{**orders, "total_orders": Decimal("1.5")}]}
    with pytest.raises(ValueError, match="whole number"):
        await state.publish(replace(day, tables=wrong), 1)
    assert [row async for row in state.rows("order_kpis")] == []
