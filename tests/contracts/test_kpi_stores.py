"""Contract of `worker.state.KpiStore`, over SQLite, memory and DynamoDB."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from kpi.aggregation.tables import record_names
from tests.contracts.states import CONCURRENTLY, DAY, rows, stored
from tests.support.samples import (
    category_row,
    day_kpis,
    empty_day,
    order_row,
    with_as_of,
)
from worker.state import DayKpis, Outcome, Progress, Row, State

# Publication.


async def test_a_row_may_lack_values_and_have_others(state: State) -> None:
    """By a contract of language 2: null where it gives no meaning, and attributes of its own."""
    before, after = DAY, DAY + timedelta(days=1)
    await state.publish(day_kpis(before, categories=["Jeans"]), 1)
    row = {
        **order_row(after),
        "total_revenue": None,
        "total_items_sold": Decimal("2.125"),
        "unique_customers": None,
        "gross_sales": Decimal("12.50"),
        "excluded_orders": 3,
        "refunds": None,
    }
    discount = {**category_row(after, "(order)"), "avg_order_value": None, "avg_return_rate": None}
    tables = {"order_kpis": [row], "category_kpis": [discount]}

    await state.publish(DayKpis(order_date=after, tables=tables), 2)

    found = await rows(state, "order_kpis")
    del row["refunds"]
    first = {**order_row(before), "as_of": 1}
    assert found == [first, {**row, "as_of": 2}]
    assert (await rows(state, "category_kpis"))[1:] == [discount | {"as_of": 2}]


async def test_a_published_day_is_read_back(state: State) -> None:
    day = day_kpis(DAY, categories=["Jeans", "Swim"])

    assert await state.publish(day, 1) is Outcome.PUBLISHED

    assert await stored(state) == with_as_of(day, 1)


async def test_publishing_a_day_twice_changes_nothing(state: State) -> None:
    day = day_kpis(DAY)
    await state.publish(day, 1)

    assert await state.publish(day, 1) is Outcome.PUBLISHED

    assert await stored(state) == with_as_of(day, 1)


async def test_a_later_state_replaces_the_day(state: State) -> None:
    await state.publish(day_kpis(DAY, categories=["Jeans", "Swim"]), 1)
    later = day_kpis(DAY, Decimal("99.99"), categories=["Swim", "Vests"])

    assert await state.publish(later, 3) is Outcome.PUBLISHED

    assert await stored(state) == with_as_of(later, 3)


async def test_as_of_rises_where_the_kpis_are_equal(state: State) -> None:
    await state.publish(day_kpis(DAY), 1)

    assert await state.publish(day_kpis(DAY), 2) is Outcome.PUBLISHED

    assert await stored(state) == with_as_of(day_kpis(DAY), 2)


async def test_an_earlier_state_is_superseded(state: State) -> None:
    later = day_kpis(DAY, Decimal("2.00"))
    await state.publish(later, 2)

    assert await state.publish(day_kpis(DAY, Decimal("1.00")), 1) is Outcome.SUPERSEDED

    assert await stored(state) == with_as_of(later, 2)


async def test_a_deleted_row_does_not_come_back(state: State) -> None:
    await state.publish(day_kpis(DAY, categories=["Jeans", "Swim"]), 1)
    without = day_kpis(DAY, categories=["Jeans"])
    await state.publish(without, 3)

    stale = day_kpis(DAY, categories=["Jeans", "Swim"])
    assert await state.publish(stale, 2) is Outcome.SUPERSEDED

    assert await stored(state) == with_as_of(without, 3)


async def test_an_emptied_day_stays_empty(state: State) -> None:
    await state.publish(day_kpis(DAY), 1)

    assert await state.publish(empty_day(DAY), 3) is Outcome.PUBLISHED
    assert await stored(state) == {"order_kpis": [], "category_kpis": []}

    assert await state.publish(day_kpis(DAY), 2) is Outcome.SUPERSEDED
    assert await stored(state) == {"order_kpis": [], "category_kpis": []}


async def test_a_day_empty_at_first_rejects_earlier_states(state: State) -> None:
    assert await state.publish(empty_day(DAY), 2) is Outcome.PUBLISHED

    assert await state.publish(day_kpis(DAY), 1) is Outcome.SUPERSEDED

    assert await stored(state) == {"order_kpis": [], "category_kpis": []}


async def test_tables_not_named_are_left_alone(state: State) -> None:
    both = day_kpis(DAY)
    await state.publish(both, 1)
    orders_only = DayKpis(order_date=DAY, tables={"order_kpis": [order_row(DAY, Decimal("5.00"))]})

    assert await state.publish(orders_only, 2) is Outcome.PUBLISHED

    assert await stored(state) == {
        **with_as_of(both, 1),
        **with_as_of(orders_only, 2),
    }


async def test_a_day_partly_of_a_later_state_is_contended(state: State) -> None:
    orders_only = DayKpis(order_date=DAY, tables={"order_kpis": [order_row(DAY)]})
    await state.publish(orders_only, 3)

    # Publishing it would leave tables of one day that do not agree.
    assert await state.publish(day_kpis(DAY), 2) is Outcome.CONTENDED
    assert await stored(state) == {**with_as_of(orders_only, 3), "category_kpis": []}

    assert await state.publish(day_kpis(DAY), 3) is Outcome.PUBLISHED
    assert await stored(state) == with_as_of(day_kpis(DAY), 3)


async def test_days_do_not_touch_each_other(state: State) -> None:
    other = DAY + timedelta(days=1)
    await state.publish(day_kpis(DAY), 5)

    assert await state.publish(day_kpis(other), 1) is Outcome.PUBLISHED

    assert await rows(state, "order_kpis") == [
        {**order_row(DAY), "as_of": 5},
        {**order_row(other), "as_of": 1},
    ]


async def test_a_day_of_many_rows(state: State) -> None:
    first = day_kpis(DAY, categories=[f"category {number:03d}" for number in range(250)])
    second = day_kpis(DAY, categories=[f"category {number:03d}" for number in range(200, 320)])

    assert await state.publish(first, 1) is Outcome.PUBLISHED
    assert await stored(state) == with_as_of(first, 1)

    assert await state.publish(second, 2) is Outcome.PUBLISHED
    assert await stored(state) == with_as_of(second, 2)


async def test_product_kpis(state: State) -> None:
    row: Row = {
        "order_date": DAY.isoformat(),
        "product_id": "00012",
        "units_sold": 4,
        "revenue": Decimal("80.00"),
        "orders": 3,
        "return_rate": Decimal("0.3333"),
    }
    await state.publish(DayKpis(order_date=DAY, tables={"product_kpis": [row]}), 1)

    assert await rows(state, "product_kpis") == [{**row, "as_of": 1}]
    assert await rows(state, "product_kpis", group="00012") == [{**row, "as_of": 1}]
    assert await rows(state, "product_kpis", group="12") == []


@pytest.mark.parametrize(
    "revenue",
    ["0.00", "0.01", "-0.01", "100.00", "92233720368547758.07", "-92233720368547758.08"],
)
async def test_money_keeps_every_digit_and_its_places(state: State, revenue: str) -> None:
    await state.publish(day_kpis(DAY, Decimal(revenue)), 1)

    (row,) = await rows(state, "order_kpis")

    assert str(row["total_revenue"]) == revenue
    assert str(row["return_rate"]) == "0.5000"
    assert list(row) == [*order_row(DAY), "as_of"]


async def test_categories_in_any_language(state: State) -> None:
    categories = ["(none)", "(unknown)", 'A&B\'s "best"', "a b", "Ünter", "時計", "👖", "z" * 300]
    day = day_kpis(DAY, categories=categories)
    await state.publish(day, 1)

    assert await stored(state) == with_as_of(day, 1)
    for category in categories:
        assert await rows(state, "category_kpis", group=category) == [
            {**category_row(DAY, category), "as_of": 1}
        ]


@CONCURRENTLY
async def test_concurrent_writers_of_a_day_leave_the_latest_state(state: State) -> None:
    days = {
        as_of: day_kpis(DAY, Decimal(as_of), categories=[f"{as_of}-{n}" for n in range(3)])
        for as_of in range(1, 7)
    }

    outcomes = await asyncio.gather(*(state.publish(day, as_of) for as_of, day in days.items()))

    assert outcomes[-1] is Outcome.PUBLISHED
    assert await stored(state) == with_as_of(days[6], 6)


# Reading.


async def test_rows_of_a_range_of_days(state: State) -> None:
    days = [DAY + timedelta(days=number) for number in range(5)]
    for day in reversed(days):
        await state.publish(day_kpis(day, categories=["Swim", "Jeans"]), 1)

    async def found(table: str, first: date | None, last: date | None) -> list[tuple[str, ...]]:
        return [
            (str(row["order_date"]), str(row.get("category", "")))
            for row in await rows(state, table, first=first, last=last)
        ]

    iso = [day.isoformat() for day in days]
    assert await found("order_kpis", None, None) == [(day, "") for day in iso]
    assert await found("order_kpis", days[1], days[3]) == [(day, "") for day in iso[1:4]]
    assert await found("order_kpis", None, days[0]) == [(iso[0], "")]
    assert await found("order_kpis", days[4], None) == [(iso[4], "")]
    assert await found("order_kpis", days[3], days[1]) == []
    assert await found("category_kpis", days[1], days[2]) == [
        (iso[1], "Jeans"),
        (iso[1], "Swim"),
        (iso[2], "Jeans"),
        (iso[2], "Swim"),
    ]


async def test_rows_of_one_category(state: State) -> None:
    days = [DAY + timedelta(days=number) for number in range(4)]
    for day in days:
        await state.publish(day_kpis(day, categories=["Jeans", "Swim"]), 1)

    found = await rows(state, "category_kpis", group="Swim", first=days[1], last=days[2])

    assert found == [
        {**category_row(days[1], "Swim"), "as_of": 1},
        {**category_row(days[2], "Swim"), "as_of": 1},
    ]


# Progress.


async def test_progress_only_advances(state: State) -> None:
    first = Progress(published={"order_kpis": 3}, waiting={"a": 2}, waiting_as_of=3)
    assert await state.advance(first) == first

    behind = Progress(
        published={"order_kpis": 2, "category_kpis": 2}, waiting={"b": 1}, waiting_as_of=2
    )
    merged = Progress(
        published={"order_kpis": 3, "category_kpis": 2}, waiting={"a": 2}, waiting_as_of=3
    )
    assert await state.advance(behind) == merged
    assert await state.progress() == merged


@CONCURRENTLY
async def test_concurrent_advances_are_all_kept(state: State) -> None:
    await asyncio.gather(
        *(state.advance(Progress(published={f"table-{n}": n})) for n in range(1, 6))
    )

    assert await state.progress() == Progress(published={f"table-{n}": n for n in range(1, 6)})


async def test_progress_of_many_waiting_sources(state: State) -> None:
    many = Progress(
        waiting={f"{number:016x}": number % 7 + 1 for number in range(300)}, waiting_as_of=1
    )

    await state.advance(many)

    assert await state.progress() == many


async def test_of_two_records_at_one_sequence_the_new_one_wins(state: State) -> None:
    await state.advance(Progress(waiting={"a": 2}, waiting_as_of=3))
    await state.advance(Progress(waiting={"a": 3}, waiting_as_of=3))
    await state.advance(Progress(waiting={"a": 1}, waiting_as_of=2))
    assert await state.progress() == Progress(waiting={"a": 3}, waiting_as_of=3)


async def test_days_have_the_sequences_of_whole_tables(state: State) -> None:
    assert await state.days() == {}
    published = day_kpis(DAY)
    await state.publish(published, 3)
    assert await state.days() == {DAY: dict.fromkeys(record_names(published.tables), 3)}


async def test_a_day_says_when_it_was_published(state: State) -> None:
    assert await state.publication_times() == {}
    before = datetime.now(UTC).replace(microsecond=0)
    await state.publish(day_kpis(DAY), 3)
    times = await state.publication_times(first=DAY, last=DAY)
    assert times.keys() == {DAY}
    assert before <= times[DAY] <= datetime.now(UTC)
    assert await state.publication_times(first=DAY + timedelta(1)) == {}
    assert await state.publication_times(last=DAY - timedelta(1)) == {}
