"""Findings of an audit over every store; wrong days are published through the store itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from kpi.aggregation.tables import DEFAULT_TABLES
from tests.contracts.states import CONCURRENTLY, rows
from tests.support.samples import category_row, order_row
from tests.support.shops import ALL_TABLES, Pipeline, Upload, write
from worker.maintenance.audit import Audit, audit
from worker.state import DayKpis, Progress, Row, State
from worker.transform import transform

pytestmark = CONCURRENTLY

FIRST, SECOND, LATER = date(2025, 3, 1), date(2025, 3, 2), date(2025, 3, 3)
NO_ORDERS = date(2025, 6, 1)
UPLOADS = (
    Upload("products", (("1", "Toys"), ("2", "Swim")), 1),
    Upload(
        "orders",
        (
            ("1", "7", "", f"{FIRST}T10:00:00"),
            ("2", "8", "returned", f"{SECOND}T10:00:00"),
        ),
        2,
    ),
    Upload(
        "order_items",
        (("1", "1", "1", "", "5.00"), ("2", "1", "2", "", "7.00"), ("3", "2", "2", "", "0.10")),
        3,
    ),
)
HEAD = len(UPLOADS)

Place = tuple[str, date, str | None]


class Shop:
    """Two days of three files; the ledger and the KPI tables of the store under test."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self._pipeline = pipeline
        self._folder = folder

    @property
    def state(self) -> State:
        assert self._pipeline.state is not None
        return self._pipeline.state

    async def upload(self, *uploads: Upload) -> None:
        for path in write(self._folder / str(await self.state.head()), uploads):
            await self._pipeline.validate(path)

    async def transform(
        self,
        tables: frozenset[str] = ALL_TABLES,
        first: date | None = None,
        last: date | None = None,
    ) -> None:
        await transform(
            contract=self._pipeline.contract,
            workspace=self._pipeline.workspace,
            state=self.state,
            tables=tables,
            first=first,
            last=last,
        )

    async def audit(
        self,
        tables: frozenset[str] = ALL_TABLES,
        first: date | None = None,
        sample: int | None = None,
    ) -> Audit:
        return await audit(
            contract=self._pipeline.contract,
            workspace=self._pipeline.workspace,
            state=self.state,
            tables=tables,
            first=first,
            sample=sample,
        )

    async def publish(self, day: date, as_of: int = HEAD, **tables: Sequence[Row]) -> None:
        await self.state.publish(DayKpis(order_date=day, tables=tables), as_of)

    async def promise(self, sequence: int) -> None:
        """Record that every table has come to a sequence."""
        published = dict.fromkeys(ALL_TABLES, sequence)
        await self.state.advance(Progress(published=published, waiting_as_of=sequence))

    async def rows(self, table: str, day: date) -> list[Row]:
        return await rows(self.state, table, first=day, last=day)


@pytest.fixture
async def shop(state: State, tmp_path: Path) -> AsyncIterator[Shop]:
    pipeline = Pipeline(tmp_path / "work")
    pipeline.state = state
    shop = Shop(pipeline, tmp_path)
    await shop.upload(*UPLOADS)
    yield shop
    pipeline._executor.shutdown()


def places(found: Audit) -> list[Place]:
    return [(one.table, one.order_date, one.group) for one in found.differences]


async def test_what_a_transform_published_is_right(shop: Shop) -> None:
    await shop.transform()

    assert await shop.audit() == Audit(as_of=HEAD, days=2, differences=())
    assert await shop.audit(sample=1) == Audit(as_of=HEAD, days=1, differences=())
    assert await shop.audit(first=SECOND) == Audit(as_of=HEAD, days=1, differences=())


async def test_a_wrong_row_and_one_that_is_missing(shop: Shop) -> None:
    await shop.transform()
    (toys,) = [row for row in await shop.rows("category_kpis", FIRST) if row["category"] == "Toys"]
    wrong = {**toys, "daily_revenue": Decimal("5.01")}
    await shop.publish(FIRST, category_kpis=[wrong])

    found = await shop.audit()

    assert places(found) == [("category_kpis", FIRST, "Swim"), ("category_kpis", FIRST, "Toys")]
    swim, of_toys = found.differences
    assert swim.published is None
    assert (of_toys.published, of_toys.expected) == (wrong, toys)


async def test_a_day_that_should_have_no_rows(shop: Shop) -> None:
    await shop.transform()
    await shop.publish(
        NO_ORDERS,
        order_kpis=[order_row(NO_ORDERS)],
        category_kpis=[category_row(NO_ORDERS, "Toys")],
    )

    found = await shop.audit()

    assert places(found) == [("category_kpis", NO_ORDERS, "Toys"), ("order_kpis", NO_ORDERS, None)]
    assert {one.expected for one in found.differences} == {None}
    assert found.days == 3


async def test_a_sequence_beyond_the_head_is_a_difference(shop: Shop) -> None:
    await shop.transform()
    right = await shop.rows("order_kpis", SECOND)
    await shop.publish(SECOND, 999, order_kpis=right)
    await shop.publish(NO_ORDERS, 999, order_kpis=[order_row(NO_ORDERS)])

    found = await shop.audit()

    assert places(found) == [("order_kpis", SECOND, None), ("order_kpis", NO_ORDERS, None)]
    assert found.differences[0].published == {**right[0], "as_of": 999}
    assert found.differences[0].expected == right[0]


async def test_a_day_that_was_never_published(shop: Shop) -> None:
    await shop.transform()
    await shop.upload(Upload("orders", (("3", "7", "", f"{LATER}T10:00:00"),), 4))
    behind = dict.fromkeys(("category_kpis", "order_kpis", "product_kpis"), HEAD)
    assert await shop.audit() == Audit(as_of=HEAD, days=2, differences=(), behind=behind)

    await shop.promise(HEAD + 1)

    for sample in (None, 5):
        found = await shop.audit(sample=sample)
        assert places(found) == [("order_kpis", LATER, None)]
        assert (found.as_of, found.days) == (HEAD + 1, 3)


async def test_nothing_was_published_yet(shop: Shop) -> None:
    found = await shop.audit(DEFAULT_TABLES)

    assert found == Audit(
        as_of=0, days=0, differences=(), unpublished=("category_kpis", "order_kpis")
    )


async def test_days_published_apart_are_compared_at_their_sequence(shop: Shop) -> None:
    await shop.transform(first=FIRST, last=FIRST)
    behind = dict.fromkeys(("category_kpis", "order_kpis", "product_kpis"), 0)
    assert await shop.audit() == Audit(as_of=0, days=1, differences=(), behind=behind)
    await shop.upload(Upload("order_items", (("4", "1", "1", "", "2.00"),), 4))
    await shop.transform(first=SECOND, last=SECOND)
    assert await shop.audit() == Audit(as_of=0, days=2, differences=(), behind=behind)

    await shop.publish(SECOND, HEAD + 1, product_kpis=[])

    assert places(await shop.audit()) == [("product_kpis", SECOND, "2")]


async def test_tables_of_a_day_may_be_of_different_states(shop: Shop) -> None:
    await shop.transform()
    await shop.upload(Upload("order_items", (("4", "1", "1", "", "2.00"),), 4))
    await shop.transform(tables=frozenset({"order_kpis"}))
    later = await shop.rows("order_kpis", FIRST)
    assert [row["as_of"] for row in later] == [HEAD + 1]

    assert (await shop.audit()).differences == ()

    await shop.publish(FIRST, HEAD + 1, order_kpis=[{**later[0], "total_orders": 9}])
    assert places(await shop.audit()) == [("order_kpis", FIRST, None)]
