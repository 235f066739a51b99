"""Sums of days of language 2 by difference make the rows that all orders make."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.aggregation.calendar import Days
from kpi.aggregation.shop_facts import ShopFacts
from kpi.aggregation.sums import NO_SUMS, Added
from kpi.aggregation.tables import DEFAULT_TABLES
from kpi.contract.loading import parse_contract
from tests.properties.test_sums import moved
from tests.support.profiles import examples
from tests.support.random_uploads import RandomUploads
from tests.support.shops import ALL_TABLES
from worker.transform import Report, sums_upkeep, transform
from worker.transform.limits import TransformLimits
from worker.transform.shop import changed_days, order_ids, order_sums, summing
from worker.transform.shop.changed_files import ChangedFiles
from worker.transform.shop.order_sums import FilePart
from worker.transform.touched_orders import TouchedOrders

ORDER_IDS = pa.array([str(one) for one in range(1, 6)])

WITHOUT_SUMS = TransformLimits(summed_orders=10**9, summed_at_once=10**9)

HEADERS = {
    "orders": "Order,Date,Status,User,Cut,Cur,Changed",
    "lines": "Line,Order,SKU,Qty,Price,Was,State",
    "refunds": "Refund,Order,Day,Amount,Line",
    "products": "SKU,Kind",
    "people": "User,Person",
}

CONTRACT = """
language = 2
day = "as written"
currency = "EUR"
[limits]
max_reject_rate = 1.0
[[files]]
match = "orders*.csv"
feeds = ["orders"]
[[files]]
match = "lines*.csv"
feeds = ["order_items"]
{replaces}
[[files]]
match = "refunds*.csv"
feeds = ["refunds"]
[[files]]
match = "products*.csv"
feeds = ["products"]
[[files]]
match = "people*.csv"
feeds = ["people"]
[orders]
excluded = {{ status = "void" }}
{version}
{deleted}
[orders.columns]
order_id = "Order"
created_at = "Date"
status = "Status"
user_id = {{ from = "User"{user} }}
discount = "Cut"
currency = "Cur"
changed = "Changed"
[order_items]
key = {key}
returned = {{ state = "back" }}
[order_items.columns]
line = "Line"
order_id = "Order"
product_id = "SKU"
quantity = "Qty"
after_discount = "Price"
before_discount = "Was"
state = "State"
[refunds]
key = {refund_key}
[refunds.columns]
id = "Refund"
order_id = "Order"
amount = "Amount"
{refund_day}
{refund_item}
[products.columns]
id = "SKU"
category = "Kind"
[references.people]
key = "User"
"""


def contract_text(draw: random.Random) -> str:
    key = draw.choice(['"line"', '["order_id", "line"]', '"order"', '"row"'])
    names_lines = "line" in key and draw.random() < 0.5
    return CONTRACT.format(
        replaces=draw.choice(["", 'replaces = "file"', 'replaces = "all"']),
        version=draw.choice(["", 'version = "changed"']),
        deleted=draw.choice(["", 'deleted = { status = "gone" }']),
        user=draw.choice(
            ["", "", ', via = "people.Person"', ', via = "people.Person", required = true']
        ),
        key=key,
        refund_key=draw.choice(['"id"', '"order"', '"row"']),
        refund_day=draw.choice(["", 'created_at = "Day"']),
        refund_item='item = "Line"' if names_lines else "",
    )


def _weeks(days: Days) -> Days:
    """Number ISO weeks: a grain that no KPI table has."""
    periods: Days = ((days + 3) // 7).astype(np.int32)
    return periods


def _joined(days: Added) -> Added:
    """Add up the days of each week."""
    found = Added()
    for day, sums in days.sums.items():
        (week,) = _weeks(np.array([day])).tolist()
        found.sums[week] = found.sums.get(week, NO_SUMS).plus(sums, 1)
    for day, customers in days.customers.items():
        (week,) = _weeks(np.array([day])).tolist()
        found.customers[week] = found.customers.get(week, Counter()) + customers
    return found


class Weeks:
    """Holds sums of weeks by difference against those of all orders, where a transform makes some.

    Attributes:
        checked: How often.
    """

    def __init__(self) -> None:
        self.checked = 0
        self._kept: dict[int, Added] = {}

    @contextmanager
    def checks(self) -> Iterator[None]:
        """Check whatever transforms in the block add by difference."""
        real: Any = order_sums.added
        both: Any = summing.ShopSumming.both_states
        made: list[tuple[Any, ...]] = []

        async def noted(*args: Any) -> Any:
            made.append(args)
            return await real(*args)

        async def both_states(of: Any, sequence: int, *args: Any) -> tuple[Added, Added]:
            made.clear()
            found = await both(of, sequence, *args)
            every = await order_sums.read_order_rows(of.work.snapshot, ORDER_IDS, of._columns)
            (_, earlier, keys), (_, state, _) = made
            before, now = [await real(*one, _weeks) for one in made]
            start = self._kept.get(sequence) or await real(every, earlier, keys, _weeks)
            self._kept = {of.work.head: await real(every, state, keys, _weeks)}
            assert _joined(await real(every, state, keys)) == self._kept[of.work.head]
            assert moved(start, before, now, of.scheme) == self._kept[of.work.head]
            self.checked += 1
            return found

        with (
            patch.object(summing, "added", noted),
            patch.object(summing.ShopSumming, "both_states", both_states),
        ):
            yield


class Shop(RandomUploads):
    """A shop with a random history, of which every day has sums."""

    def __init__(self, seed: int, home: Path) -> None:
        chance = random.Random(seed)
        super().__init__(chance, parse_contract(contract_text(chance), source="test"), home)
        self.limits = TransformLimits(
            summed_orders=1,
            summed_at_once=self.random.choice([1, 9]),
            summed_customers=self.random.choice([9, 99, 99]),
            touched_orders=self.random.choice([3, 99, 99, 99]),
            unindexed_files=self.random.choice([0, 64]),
            held_reference_rows=self.random.choice([0, 1000]),
            tail_records=self.random.choice([1, 64]),
            unpacked_files=2,
        )
        self.tables = self.random.choice([ALL_TABLES, DEFAULT_TABLES])
        self.weeks = Weeks()

    def row(self, dataset: str) -> str:
        draw = self.random
        order, day = draw.randint(1, 5), f"2025-03-0{draw.choice([1, 1, 2])}"
        amount = f"{draw.randint(0, 9)}.5"
        rows: dict[str, tuple[object, ...]] = {
            "orders": (
                order,
                day,
                draw.choice(["", "", "void", "gone"]),
                draw.choice(["", "7", "8", "9", "ann"]),
                draw.choice(["", "0.25"]),
                draw.choice(["", "", "", "USD"]),
                draw.randint(1, 3),
            ),
            "lines": (
                draw.randint(1, 7),
                order,
                draw.choice("AB"),
                draw.choice(["1", "2", ""]),
                amount,
                draw.choice(["", "12"]),
                draw.choice(["", "", "back"]),
            ),
            "refunds": (
                draw.randint(1, 4),
                order if draw.random() < 0.6 else "",
                draw.choice([day, ""]),
                amount,
                draw.choice(["", draw.randint(1, 7)]),
            ),
            "products": (draw.choice("AB"), draw.choice(["Toys", "Books"])),
            "people": (draw.choice(["7", "ann"]), draw.choice(["p1", "p2"])),
        }
        return ",".join(map(str, rows[dataset]))

    async def upload(self) -> None:
        names = ["orders", "orders", "lines", "lines", "refunds", "products", "people"]
        dataset = self.random.choice(names)
        path = self.home / f"{dataset}{self.random.randint(1, 3)}.csv"
        rows = [self.row(dataset) for _ in range(self.random.randint(1, 4))]
        path.write_text("\n".join([HEADERS[dataset], *rows]) + "\n", "utf-8")
        await self.commit(path)

    async def step(self) -> None:
        """A few files and rulings, one transform; hold the rows against those of all orders."""
        for _ in range(self.random.choice([1, 1, 2, 4]) if self.sources else 9):
            if self.sources and self.random.random() < 0.25:
                await self.rule()
            else:
                await self.upload()
        before = dict(self.store._objects)
        with self.weeks.checks():
            report = await self._transform(limits=self.limits)
        assert "sums_rebuilt" not in report.notes
        if self.random.random() < 0.1:
            self.store._objects = before  # it was killed before it wrote any sums
        with_sums = [await self.pipeline.rows(name) for name in sorted(self.tables)]
        objects = dict(self.store._objects)
        await self._transform(limits=WITHOUT_SUMS, everything=True)
        self.store._objects = objects  # that transform keeps no sums
        assert with_sums == [await self.pipeline.rows(name) for name in sorted(self.tables)]

    async def _transform(self, **options: Any) -> Report:
        return await transform(
            contract=self.contract,
            workspace=self.pipeline.workspace,
            state=self.state,
            tables=self.tables,
            **options,
        )


async def run_shop(seed: int, steps: int = 8) -> Shop:
    with tempfile.TemporaryDirectory() as home:
        shop = Shop(seed, Path(home))
        for _ in range(steps):
            await shop.step()
    return shop


def test_weeks_are_checked_and_no_periods_of_others_pass() -> None:
    assert asyncio.run(run_shop(4)).weeks.checked >= 3
    with (
        patch.object(ShopFacts, "of_periods", lambda facts, _: facts),
        pytest.raises(AssertionError),
    ):
        asyncio.run(run_shop(4))


@examples(0.04)
@given(seed=st.integers(0, 2**32))
def test_sums_by_difference_make_the_rows_of_all_orders(seed: int) -> None:
    asyncio.run(run_shop(seed))


def _old_values_at_the_head() -> Any:
    return patch.object(ChangedFiles, "earlier", lambda files: files.snapshot)


def _references_at_the_head() -> Any:
    class Files(ChangedFiles):
        def sources(self, dataset: str) -> set[str]:
            return set() if dataset in ("products", "people") else super().sources(dataset)

    return patch.object(summing, "ChangedFiles", Files)


def _orders_of_moved_lines_stay() -> Any:
    async def with_keys(_: Any, __: Any, parts: list[FilePart], ___: Any) -> list[FilePart]:
        return parts

    return patch.object(order_sums, "_with_keys", with_keys)


def _references_touch_no_order() -> Any:
    rows_with, add, silent = order_ids.rows_with, TouchedOrders.add, [False]

    async def rows(*args: Any) -> AsyncIterator[Any]:
        async for table in rows_with(*args):
            silent[0] = True
            yield table
            silent[0] = False

    class Touched(TouchedOrders):
        def add(self, order_ids: Any) -> None:
            if not silent[0]:
                add(self, order_ids)

    changed = patch.object(changed_days, "rows_with", rows)
    return _both(changed, patch.object(TouchedOrders, "add", Touched.add))


def _both(one: Any, other: Any) -> Any:
    class Both:
        def __enter__(self) -> None:
            one.__enter__()
            other.__enter__()

        def __exit__(self, *given: object) -> None:
            other.__exit__(*given)
            one.__exit__(*given)

    return Both()


def _refunds_of_any_order() -> Any:
    read = order_sums.read_order_rows

    async def mutant(*args: Any) -> Any:
        found = await read(*args)
        return replace(
            found, parts={name: one for name, one in found.parts.items() if name != "refunds"}
        )

    return patch.object(summing, "read_order_rows", mutant)


def _customers_never_leave() -> Any:
    updated: Any = sums_upkeep._updated

    async def mutant(*given: Any) -> Any:
        *others, before, now, day = given
        return await updated(*others, replace(before, customers={}), now, day)

    return patch.object(sums_upkeep, "_updated", mutant)


MUTANTS: dict[str, Callable[[], Any]] = {
    "old values at the head": _old_values_at_the_head,
    "references at the head": _references_at_the_head,
    "lines moved to another order": _orders_of_moved_lines_stay,
    "references touch no order": _references_touch_no_order,
    "refunds left out": _refunds_of_any_order,
    "customers of the new version only": _customers_never_leave,
}

FOUND_IN = {
    "references at the head": 14,
    "lines moved to another order": 11,
    "references touch no order": 7,
    "refunds left out": 4,
}
"""Mutant -> the seed that noticed it last, which is tried first."""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_makes_other_rows(name: str) -> None:
    for seed in (FOUND_IN.get(name, 0), *range(30)):
        with MUTANTS[name](), patch.object(Weeks, "checks", lambda _: nullcontext()):
            try:
                asyncio.run(run_shop(seed))
            except AssertionError:
                return
    pytest.fail("no history noticed it")
