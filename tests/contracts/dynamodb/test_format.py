"""Items of an earlier format are taken over, those of a later one end the work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.contracts.dynamodb.test_consistency import Requests
from tests.contracts.dynamodb.workers import DAY
from tests.support.samples import day_kpis, entry
from worker.errors import NewerFormat
from worker.state import DayKpis, Progress
from worker.state.dynamodb.format import FORMAT
from worker.state.dynamodb.store import DynamoDBState

LATER: dict[str, tuple[tuple[str, str], Callable[[DynamoDBState], Awaitable[object]]]] = {
    "a commit": (("head", "head"), lambda state: state.commit(entry("b"))),
    "a reader of the head": (("head", "head"), lambda state: state.head()),
    "a publication": (
        ("kpi_guard", DAY.isoformat()),
        lambda state: state.publish(day_kpis(DAY, Decimal(9)), 9),
    ),
    "a reader of the days": (("kpi_guard", DAY.isoformat()), lambda state: state.days()),
    "a transform's end": (
        ("kpi_progress", "progress"),
        lambda state: state.advance(Progress(published={"order_kpis": 9})),
    ),
}


async def put(state: DynamoDBState, kind: str, name: str, **attributes: Any) -> None:
    key = {"kind": {"S": kind}, "id": {"S": name}}
    table = state.database.table("ledger")
    found = await state.database.client.get_item(TableName=table, Key=key)
    item = {**found.get("Item", {}), **key, **attributes}
    await state.database.client.put_item(TableName=table, Item=item)


@pytest.mark.parametrize("work", LATER)
async def test_work_ends_where_a_later_release_changed_the_format(
    state: DynamoDBState, work: str
) -> None:
    await state.commit(entry("a"))
    await state.publish(day_kpis(DAY), 1)
    await state.advance(Progress(published={"order_kpis": 1}))
    (kind, name), act = LATER[work]
    await put(state, kind, name, format={"N": str(FORMAT)})
    await act(state)
    await put(state, kind, name, format={"N": str(FORMAT + 1)})
    with pytest.raises(NewerFormat) as refused:
        await act(state)
    assert (refused.value.exit_code, refused.value.retryable) == (5, False)
    assert "restore-table-to-point-in-time" in str(refused.value)


async def test_tables_of_an_earlier_format_are_on_and_not_filled(state: DynamoDBState) -> None:
    text = '{"published":{"order_kpis":3,"product_kpis":2},"waiting":{"a":2},"waiting_as_of":3}'
    await put(state, "progress", "progress", version={"N": "4"}, progress={"S": text})
    empty = Progress(published={"order_kpis": 0, "product_kpis": 0})
    assert await state.progress() == empty
    filled = Progress(published={"order_kpis": 4, "product_kpis": 4}, waiting_as_of=4)
    assert await state.advance(filled) == filled
    assert await state.progress() == filled


def writes(requests: Requests) -> list[str]:
    """Name the writes of the transactions sent, and forget them."""
    found = [
        next(iter(write))
        for name, asked in requests.sent
        if name == "TransactWriteItems"
        for write in asked["TransactItems"]
    ]
    requests.sent.clear()
    return found


async def test_only_rows_that_differ_are_written(state: DynamoDBState) -> None:
    day = day_kpis(DAY, categories=["Jeans", "Shoes", "Swim"])
    await state.publish(day, 1)
    requests = Requests(state)
    await state.publish(day, 2)
    assert writes(requests) == ["Put"]  # the guard
    (jeans, *others) = day.tables["category_kpis"]
    await state.publish(DayKpis(order_date=DAY, tables={"category_kpis": others}), 3)
    assert writes(requests) == ["Delete", "Put"]
    richer = {**jeans, "daily_revenue": Decimal("99.00")}
    await state.publish(DayKpis(order_date=DAY, tables={"category_kpis": [richer, *others]}), 4)
    assert writes(requests) == ["Put", "Put"]
    await state.publish(DayKpis(order_date=DAY, tables={"category_kpis": [richer, *others]}), 4)
    assert writes(requests) == []
