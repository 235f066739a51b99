"""Audits of stores that were changed by hand, and of days that are being published."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from kpi.aggregation.tables import KPI_TABLES
from tests.support.samples import adoption, category_row, order_row
from tests.support.shops import ALL_TABLES, Pipeline, Upload, write
from worker.maintenance import open_days
from worker.maintenance.audit import Audit, audit
from worker.state import DayKpis, Progress, Row
from worker.state.memory import MemoryState
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits

DAY, SECOND, LATER = date(2025, 3, 1), date(2025, 3, 2), date(2025, 3, 7)
UPLOADS = (
    Upload("products", (("1", "Toys"), ("2", "Swim")), 1),
    Upload("orders", (("1", "7", "", f"{DAY}T10:00:00"),), 2),
    Upload("order_items", (("1", "1", "1", "", "5.00"), ("2", "1", "2", "", "7.00")), 3),
)
HEAD = len(UPLOADS)
RIGHT = Audit(as_of=HEAD, days=1, differences=())

Place = tuple[str, date, str | None]


class State(MemoryState):
    """A state whose records a test can change by hand.

    As in DynamoDB, nothing is known of the tables that the last writer of a day left alone.

    Attributes:
        meanwhile: Awaited once, when rows have been read for the first time.
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

    def change(self, table: str, group: str | None = None, **values: str | int | Decimal) -> None:
        """Change the rows of the first day without a transaction."""
        of_day = self._rows[table][DAY.isoformat()]
        of_day[:] = [{**row, **values} if group in (None, name(row)) else row for row in of_day]

    def lose(self, category: str) -> None:
        """Delete a row of the first day."""
        of_day = self._rows["category_kpis"][DAY.isoformat()]
        of_day[:] = [row for row in of_day if name(row) != category]

    def lose_rows(self, day: date) -> None:
        for days in self._rows.values():
            days.pop(day.isoformat(), None)

    def insert(self, table: str, row: Row) -> None:
        """Put a row where no writer put one."""
        self._rows[table].setdefault(str(row["order_date"]), []).append(
            {key: row[key] for key in row if key != "as_of"}
        )

    def lose_guards(self, *days: date) -> None:
        for day in days or map(date.fromisoformat, list(self._guards)):
            del self._guards[day.isoformat()]

    def set_progress(self, **published: int) -> None:
        self._progress = Progress(published=published)

    def claim(self, sequence: int) -> None:
        """Let the guard of the first day say a sequence for `order_kpis`."""
        guard = self._guards[DAY.isoformat()]
        published = {**guard.published, "order_kpis": sequence}
        self._guards[DAY.isoformat()] = replace(guard, claim=sequence, published=published)


def name(row: Row) -> object:
    return row.get("category")


class Shop:
    """One day of three files."""

    def __init__(self, folder: Path) -> None:
        self.state = State()
        self.pipeline = Pipeline(folder / "work")
        self.pipeline.state = self.state
        self.limits = DEFAULT_LIMITS
        self._folder = folder

    async def upload(self, *uploads: Upload) -> None:
        for path in write(self._folder / str(await self.state.head()), uploads):
            await self.pipeline.validate(path)

    async def audit(
        self, first: date | None = None, last: date | None = None, sample: int | None = None
    ) -> Audit:
        return await audit(
            contract=self.pipeline.contract,
            workspace=self.pipeline.workspace,
            state=self.state,
            tables=ALL_TABLES,
            first=first,
            last=last,
            sample=sample,
            limits=self.limits,
        )

    async def order(self, *days: date) -> None:
        """Upload a file with an order on each day."""
        second = await self.state.head() + 1
        rows = tuple((str(day), "7", "", f"{day}T10:00:00") for day in days)
        numbered = tuple((str(10 + number), *row[1:]) for number, row in enumerate(rows))
        await self.upload(Upload("orders", numbered, second))

    async def one_item_more(self) -> None:
        second = await self.state.head() + 1
        await self.upload(Upload("order_items", (("3", "1", "1", "", "1.00"),), second))

    def change_toys(self, revenue: str) -> None:
        amount = Decimal(revenue)
        self.state.change("category_kpis", "Toys", daily_revenue=amount, avg_order_value=amount)

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


def places(found: Audit) -> list[Place]:
    return [(one.table, one.order_date, one.group) for one in found.differences]


async def test_rows_of_an_earlier_state_than_their_day_are_wrong(shop: Shop) -> None:
    await shop.order(SECOND)  # the ledger's head is 4, that of the tables 3
    shop.state.change("order_kpis", total_revenue=Decimal("0.00"), total_items_sold=0)
    found = await shop.audit()
    assert places(found) == [("order_kpis", DAY, None)]
    assert found.differences[0].expected is not None
    assert found.differences[0].expected["as_of"] == HEAD


async def test_a_guard_beyond_the_ledger_hides_no_wrong_row(shop: Shop) -> None:
    shop.state.change("order_kpis", total_orders=999)
    shop.state.claim(999)
    found = await shop.audit()
    assert places(found) == [("order_kpis", DAY, None)]
    assert found.differences[0].expected is not None
    assert found.differences[0].expected["as_of"] == HEAD


async def test_a_progress_record_beyond_the_ledger_counts_as_its_head(shop: Shop) -> None:
    shop.state.set_progress(**dict.fromkeys(ALL_TABLES, 999))
    assert await shop.audit() == RIGHT


@pytest.mark.parametrize("batch_orders", [1, 500_000])
@pytest.mark.parametrize("day", ["0001-01-01", "2024-12-31", "2025-03-05", "2025-03-09"])
async def test_a_row_of_a_day_without_orders_is_wrong(
    shop: Shop, day: str, batch_orders: int
) -> None:
    shop.limits = TransformLimits(batch_orders=batch_orders, scattered_batch_orders=batch_orders)
    await shop.order(SECOND, LATER)
    await shop.pipeline.transform()
    assert (await shop.audit()).days == 3
    empty = date.fromisoformat(day)
    shop.state.insert("order_kpis", order_row(empty))
    shop.state.insert("category_kpis", category_row(empty, "Toys"))
    found = await shop.audit()
    assert places(found) == [("category_kpis", empty, "Toys"), ("order_kpis", empty, None)]
    assert {one.expected for one in found.differences} == {None}
    assert found.days == 4
    assert places(await shop.audit(first=empty, last=empty)) == places(found)
    assert places(await shop.audit(first=DAY, last=SECOND)) == []


async def test_without_a_progress_record_a_day_has_its_own_sequence(shop: Shop) -> None:
    await shop.order(SECOND)
    await shop.pipeline.transform()
    # A later item changes the first day, which is not published again.
    await shop.one_item_more()
    await shop.pipeline.transform(first=SECOND)
    assert places(await shop.audit()) == []
    shop.state.set_progress()
    behind = dict.fromkeys(sorted(KPI_TABLES), 0)
    assert await shop.audit() == Audit(as_of=0, days=2, differences=(), behind=behind)
    shop.state.change("order_kpis", total_items_sold=3)
    shop.state.lose("Swim")
    found = await shop.audit()
    assert places(found) == [("category_kpis", DAY, "Swim"), ("order_kpis", DAY, None)]
    orders = found.differences[1].expected
    assert orders is not None
    assert orders["total_items_sold"] == 2


@pytest.mark.parametrize("sample", [None, 5])
async def test_a_promised_day_without_rows_is_wrong(shop: Shop, sample: int | None) -> None:
    shop.state.lose_guards()
    shop.state.lose_rows(DAY)
    found = await shop.audit(sample=sample)
    assert {one.order_date for one in found.differences} == {DAY}
    assert {one.published for one in found.differences} == {None}
    assert (found.days, found.unpublished) == (1, ())


async def test_a_day_without_a_guard_is_compared(shop: Shop) -> None:
    shop.state.lose_guards()
    assert await shop.audit() == RIGHT
    shop.state.change("order_kpis", total_orders=999)
    assert places(await shop.audit()) == [("order_kpis", DAY, None)]
    shop.state.set_progress()  # nothing says that the rows were published
    assert ("order_kpis", DAY, None) in places(await shop.audit())


async def test_a_sample_finds_days_that_were_never_published(shop: Shop) -> None:
    await shop.order(SECOND, date(2025, 3, 3), date(2025, 3, 4))
    await shop.pipeline.transform()
    found = await shop.audit(sample=2)
    assert (found.days, places(found)) == (2, [])
    shop.state.lose_rows(SECOND)
    shop.state.lose_guards(SECOND)
    # Three days may have an order and no guard: the lost one, and the two around the others.
    found = await shop.audit(sample=3)
    assert {one.order_date for one in found.differences} == {SECOND}
    assert found.days == 4


@pytest.mark.slow
@pytest.mark.parametrize("sample", [None, 1000])
async def test_the_first_and_the_last_day_are_compared(shop: Shop, sample: int | None) -> None:
    await shop.order(date(1, 1, 2), date(9999, 12, 29))
    await shop.pipeline.transform()
    found = await shop.audit(sample=sample)
    assert (found.days, places(found)) == (3, [])


async def test_a_day_published_meanwhile_is_unsettled(shop: Shop) -> None:
    await shop.one_item_more()
    shop.state.meanwhile = shop.pipeline.transform
    shop.state.lose("Toys")
    assert await shop.audit() == Audit(as_of=HEAD, days=0, differences=(), unsettled=1)
    assert await shop.audit() == Audit(as_of=HEAD + 1, days=1, differences=())


async def test_files_committed_meanwhile_change_nothing(shop: Shop) -> None:
    shop.state.meanwhile = shop.one_item_more
    assert await shop.audit() == RIGHT


async def test_what_is_left_of_an_earlier_state_is_compared(shop: Shop) -> None:
    await shop.begin_the_next_state()
    behind = dict.fromkeys(sorted(KPI_TABLES), HEAD)
    assert await shop.audit() == replace(RIGHT, behind=behind)
    shop.state.change("category_kpis", "Toys", daily_revenue=Decimal("5.01"))
    (wrong,) = (await shop.audit()).differences
    assert (wrong.table, wrong.group) == ("category_kpis", "Toys")
    assert wrong.expected is not None
    assert (wrong.expected["daily_revenue"], wrong.expected["as_of"]) == (Decimal("5.00"), HEAD)


async def test_what_a_later_state_may_have_done_is_unsettled(shop: Shop) -> None:
    await shop.begin_the_next_state()
    behind = dict.fromkeys(sorted(KPI_TABLES), HEAD)
    unsettled = Audit(as_of=HEAD, days=0, differences=(), unsettled=1, behind=behind)
    shop.change_toys("6.00")
    assert await shop.audit() == unsettled
    shop.change_toys("7.00")
    assert [one.group for one in (await shop.audit()).differences] == ["Toys"]
    # Whoever put it may have read a head that the audit had not seen.
    another = Upload("order_items", (("4", "1", "1", "", "1.00"),), HEAD + 2)
    shop.state.meanwhile = lambda: shop.upload(another)
    assert (await shop.audit()).differences == ()


async def test_a_row_that_every_state_has_is_not_lost_by_a_later_one(shop: Shop) -> None:
    await shop.begin_the_next_state()
    shop.state.lose("Swim")
    (lost,) = (await shop.audit()).differences
    assert (lost.group, lost.published) == ("Swim", None)


async def test_an_open_day_of_very_many_states_is_unsettled(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.begin_the_next_state()
    shop.state.change("category_kpis", "Toys", daily_revenue=Decimal("5.01"))
    monkeypatch.setattr(open_days, "MAX_OPEN_STATES", 0)
    found = await shop.audit()
    assert (found.differences, found.unsettled) == ((), 1)


async def test_an_open_day_of_two_contracts_is_unsettled(shop: Shop) -> None:
    await shop.begin_the_next_state()
    shop.state.change("category_kpis", "Toys", daily_revenue=Decimal("5.01"))
    await shop.state.adopt(replace(adoption(), text=shop.pipeline.contract.text), replaces=0)
    assert (await shop.audit()).differences == ()
