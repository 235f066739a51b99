"""Audits of days that somebody is publishing, or has died publishing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.shops import ALL_TABLES, Pipeline, Upload, write
from worker.maintenance.audit import Audit, audit
from worker.state import DayKpis, Row
from worker.state.memory import MemoryState

DAY = date(2025, 3, 1)
UPLOADS = (
    Upload("products", (("1", "Toys"), ("2", "Swim")), 1),
    Upload("orders", (("1", "7", "", f"{DAY}T10:00:00"),), 2),
    Upload("order_items", (("1", "1", "1", "", "5.00"), ("2", "1", "2", "", "7.00")), 3),
)
HEAD = len(UPLOADS)
RIGHT = Audit(as_of=HEAD, days=1, differences=())


class State(MemoryState):
    """As of days in DynamoDB, nothing is known of the tables that their last writer left alone.

    Attributes:
        meanwhile: Done once, when rows have been asked for the first time.
    """

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def days(self) -> dict[date, Mapping[str, int]]:
        return {date.fromisoformat(day): one.whole() for day, one in self._guards.items()}

    async def rows(
        self,
        table: str,
        *,
        first: date | None = None,
        last: date | None = None,
        group: str | None = None,
    ) -> AsyncIterator[Row]:
        found = [row async for row in super().rows(table, first=first, last=last, group=group)]
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        for row in found:
            yield row

    def change(self, category: str, **values: str | int | Decimal) -> None:
        """Change a row behind everybody's back."""
        of_day = self._rows["category_kpis"][DAY.isoformat()]
        of_day[:] = [{**row, **values} if row["category"] == category else row for row in of_day]

    def lose(self, category: str) -> None:
        of_day = self._rows["category_kpis"][DAY.isoformat()]
        of_day[:] = [row for row in of_day if row["category"] != category]


class Shop:
    """One day of three files, published."""

    def __init__(self, folder: Path) -> None:
        self.state = State()
        self.pipeline = Pipeline(folder / "work")
        self.pipeline.state = self.state
        self._folder = folder

    async def upload(self, *uploads: Upload) -> None:
        for path in write(self._folder / str(await self.state.head()), uploads):
            await self.pipeline.validate(path)

    async def audit(self) -> Audit:
        return await audit(
            contract=self.pipeline.contract,
            workspace=self.pipeline.workspace,
            state=self.state,
            tables=ALL_TABLES,
        )

    async def one_item_more(self) -> None:
        second = await self.state.head() + 1
        await self.upload(Upload("order_items", (("3", "1", "1", "", "1.00"),), second))

    async def begin_the_next_state(self) -> None:
        """A writer of order_kpis alone: of the other tables nothing is known then."""
        await self.one_item_more()
        (row,) = [row async for row in self.state.rows("order_kpis")]
        more = {**row, "total_revenue": Decimal("13.00"), "total_items_sold": 3}
        await self.state.publish(DayKpis(order_date=DAY, tables={"order_kpis": [more]}), HEAD + 1)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(tmp_path)
    await shop.upload(*UPLOADS)
    await shop.pipeline.transform()
    yield shop
    shop.pipeline._executor.shutdown()


async def test_a_day_that_is_published_meanwhile_is_left_out(shop: Shop) -> None:
    await shop.one_item_more()
    shop.state.meanwhile = shop.pipeline.transform
    shop.state.lose("Toys")
    assert await shop.audit() == Audit(as_of=HEAD, days=0, differences=(), unsettled=1)
    assert await shop.audit() == Audit(as_of=HEAD + 1, days=1, differences=())


async def test_files_that_are_committed_meanwhile_are_of_no_account(shop: Shop) -> None:
    shop.state.meanwhile = shop.one_item_more
    assert await shop.audit() == RIGHT


async def test_what_is_left_of_the_elder_state_is_judged(shop: Shop) -> None:
    await shop.begin_the_next_state()
    assert await shop.audit() == RIGHT
    shop.state.change("Toys", daily_revenue=Decimal("5.01"))
    (wrong,) = (await shop.audit()).differences
    assert (wrong.table, wrong.group) == ("category_kpis", "Toys")
    assert wrong.expected is not None
    assert (wrong.expected["daily_revenue"], wrong.expected["as_of"]) == (Decimal("5.00"), HEAD)


async def test_what_a_later_state_may_have_done_is_left_out(shop: Shop) -> None:
    await shop.begin_the_next_state()
    shop.state.lose("Swim")
    shop.state.change("Toys", daily_revenue=Decimal("6.00"), as_of=HEAD + 1)
    assert await shop.audit() == Audit(as_of=HEAD, days=0, differences=(), unsettled=1)
    shop.state.change("Toys", as_of=HEAD + 2)
    assert [one.group for one in (await shop.audit()).differences] == ["Toys"]
    # Whoever put it may have read a head that the audit had not seen.
    shop.state.meanwhile = shop.one_item_more
    assert (await shop.audit()).differences == ()
