"""Sums brought up to date by difference are those made of all orders, and so are the KPIs."""

from __future__ import annotations

import asyncio
import csv
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.aggregation.calendar import Days
from kpi.aggregation.products import Products
from kpi.aggregation.slice_sums import day_scheme
from kpi.aggregation.sums import DAY, NO_SUMS, Added, Grain, Scheme
from kpi.aggregation.tables import DEFAULT_TABLES
from kpi.contract.arrow_types import arrow_type
from kpi.contract.loading import built_in, parse_contract
from kpi.kernels.keys import keys_of
from tests.support.profiles import examples
from tests.support.random_uploads import RandomUploads
from tests.support.shops import ALL_TABLES, HEADERS
from worker.index import day_sums
from worker.transform import (
    changed_days,
    day_summing,
    order_sums,
    pending_work,
    sums_upkeep,
    transform,
)
from worker.transform.day_loader import latest_products
from worker.transform.limits import TransformLimits
from worker.transform.order_sums import OrderRows, Rows, added, read_orders, state_before
from worker.transform.pending_work import PendingWork, find_pending_work
from worker.transform.task import TransformTask

MANY = 12
"""Touched orders that no step of a history has more than."""

WITHOUT_SUMS = TransformLimits(summed_orders=10**9, summed_at_once=10**9)

SCHEME = day_scheme(with_categories=True, with_products=True)

STATUSES = ("shipped", "returned", "")

BY_UPDATE = built_in().text.replace(
    'key = ["id"]\nprice_per', 'key = ["id"]\nversion = "created_at"\nprice_per'
)
CONTRACTS = (
    built_in(),
    built_in("string-ids"),
    parse_contract(BY_UPDATE, source="by update"),
    parse_contract(
        built_in().text.replace(
            'folder = "order_items"', 'folder = "order_items"\nreplaces = "file"'
        ),
        source="whole files",
    ),
    parse_contract(
        built_in().text.replace('"UTC"    # whose', '"Asia/Tokyo"    # whose'), source="Tokyo"
    ),
)

HEADER = {**HEADERS, "order_items": (*HEADERS["order_items"], "created_at")}


def _weeks(orders: pa.Table, days: Days) -> Days:
    """Number ISO weeks and statuses: a grain that no KPI table has."""
    statuses = pc.index_in(orders.column("status").combine_chunks(), pa.array(STATUSES)).fill_null(
        3
    )
    periods: Days = ((days + 3) // 7 * 4 + statuses.to_numpy()).astype("int32")
    return periods


WEEK_AND_STATUS = Grain(name="week and status", periods=_weeks)


class Shop(RandomUploads):
    """A shop with a random history, kept at two grains by difference beside the product's sums."""

    def __init__(self, seed: int, home: Path) -> None:
        chance = random.Random(seed)
        super().__init__(chance, chance.choice(CONTRACTS), home)
        self.limits = TransformLimits(
            summed_orders=1,
            summed_at_once=self.random.choice([1, 9]),
            summed_customers=self.random.choice([4, 99]),
            touched_orders=self.random.choice([2, MANY, MANY, MANY]),
            unindexed_files=self.random.choice([0, 64]),
            tail_records=self.random.choice([1, 64]),
            unpacked_files=2,
        )
        self.tables = self.random.choice([ALL_TABLES, DEFAULT_TABLES])
        self.kept = {grain.name: Added() for grain in (DAY, WEEK_AND_STATUS)}
        self.differences = 0

    def rows(self, dataset: str) -> list[tuple[str, ...]]:
        draw = self.random
        if dataset == "orders":
            return [
                (
                    str(draw.randint(1, 6)),
                    str(draw.randint(1, 3)),
                    draw.choice(STATUSES),
                    f"2026-03-{draw.choice(['01', '02', '09'])}T{draw.choice(['12', '20'])}:00:00",
                )
                for _ in range(draw.randint(1, 4))
            ]
        if dataset == "products":
            return [
                (str(draw.randint(1, 3)), draw.choice(["Toys", "Books"]))
                for _ in range(draw.randint(1, 2))
            ]
        return [
            (
                str(draw.randint(1, 8)),
                str(draw.randint(1, 6)),
                str(draw.randint(1, 3)),
                draw.choice(STATUSES),
                f"{draw.randint(0, 9)}.50",
                f"2026-03-0{draw.randint(1, 3)}T00:00:00",
            )
            for _ in range(draw.randint(1, 4))
        ]

    async def upload(self) -> None:
        dataset = self.random.choice(["orders", "orders", "order_items", "order_items", "products"])
        path = self.home / dataset / f"{self.random.randint(1, 4)}.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER[dataset])
            writer.writerows(self.rows(dataset))
        await self.commit(path)

    async def step(self) -> None:
        """A few files and rulings, one transform; hold everything against what is made anew."""
        for _ in range(self.random.choice([1, 1, 2, 4])):
            if self.sources and self.random.random() < 0.25:
                await self.rule()
            else:
                await self.upload()
        task = TransformTask(
            contract=self.contract,
            workspace=self.pipeline.workspace,
            state=self.state,
            tables=self.tables,
            limits=self.limits,
        )
        work = await find_pending_work(task)
        if work is None:
            return
        self.differences += bool(work.sums and work.sums.pages)
        for grain in (DAY, WEEK_AND_STATUS):
            await self._check_grain(work, grain)
        before = dict(self.store._objects)
        await self._transform(self.tables, limits=self.limits)
        if self.random.random() < 0.15:
            self.store._objects = before  # it was killed before it wrote any sums
        with_sums = [await self.pipeline.rows(name) for name in sorted(self.tables)]
        objects = dict(self.store._objects)
        await self._transform(self.tables, limits=WITHOUT_SUMS, everything=True)
        self.store._objects = objects  # that transform keeps no sums
        assert with_sums == [await self.pipeline.rows(name) for name in sorted(self.tables)]
        if self.random.random() < 0.1:  # of other tables there are other sums
            self.tables = self.random.choice([ALL_TABLES, DEFAULT_TABLES])

    async def _transform(self, tables: frozenset[str], **options: Any) -> None:
        await transform(
            contract=self.contract,
            workspace=self.pipeline.workspace,
            state=self.state,
            tables=tables,
            **options,
        )

    async def _check_grain(self, work: PendingWork, grain: Grain) -> None:
        """Sums of a grain by difference are those of every order."""
        snapshot = work.snapshot
        kind = arrow_type(self.contract.datasets["orders"].columns["order_id"])
        products = Products(*await latest_products(snapshot.products))
        now = order_sums.State(places=snapshot.history.places, products=products)
        every = pa.array([str(one) for one in range(1, 7)]).cast(kind)
        made = added(snapshot, await read_orders(snapshot, every), now, _keys, SCHEME, grain)
        ids = work.touched.ids(kind)
        if work.changed is not None and ids is not None:
            rows = await read_orders(snapshot, ids)
            before = await state_before(snapshot, work.since, products)
            self.kept[grain.name] = moved(
                self.kept[grain.name],
                added(snapshot, rows, before, _keys, SCHEME, grain),
                added(snapshot, rows, now, _keys, SCHEME, grain),
            )
            assert self.kept[grain.name] == made
        self.kept[grain.name] = made


def _keys(column: pa.ChunkedArray) -> Any:
    return keys_of([column])


def moved(kept: Added, before: Added, now: Added, scheme: Scheme = SCHEME) -> Added:
    """Take what some orders added from sums that are kept, and add what they add now."""
    found = Added()
    for period in kept.sums.keys() | before.sums.keys() | now.sums.keys():
        total = kept.sums.get(period, NO_SUMS).plus(before.sums.get(period, NO_SUMS), -1)
        total = total.plus(now.sums.get(period, NO_SUMS), 1)
        customers = Counter(kept.customers.get(period, Counter()))
        customers.subtract(before.customers.get(period, Counter()))
        customers.update(now.customers.get(period, Counter()))
        assert min(customers.values(), default=0) >= 0
        left = +customers
        assert scheme.is_sound(total, len(left))
        if not total.is_zero:
            found.sums[period] = total
        if left:
            found.customers[period] = left
    return found


async def run_shop(seed: int, steps: int = 8) -> Shop:
    with tempfile.TemporaryDirectory() as home:
        shop = Shop(seed, Path(home))
        for _ in range(steps):
            await shop.step()
        return shop


@examples(0.06)
@given(seed=st.integers(0, 2**32))
def test_sums_by_difference_are_those_of_all_orders(seed: int) -> None:
    asyncio.run(run_shop(seed))


def _old_values_at_the_head() -> Any:
    async def state(snapshot: Any, _: int, now: Products) -> order_sums.State:
        return order_sums.State(places=snapshot.history.places, products=now)

    return patch.object(day_summing, "state_before", state)


def _categories_at_the_head() -> Any:
    async def state(snapshot: Any, sequence: int, now: Products) -> order_sums.State:
        return replace(await state_before(snapshot, sequence, now), products=now)

    return patch.object(day_summing, "state_before", state)


def _orders_of_moved_items_stay() -> Any:
    async def read(*args: Any) -> OrderRows:
        found = await read_orders(*args)
        items = found.items
        mine = pc.is_in(items.table.column("order_id"), found.ids)
        kept = Rows(
            table=items.table.filter(mine),
            ranks=items.ranks[mine.to_numpy()],
            dataset=items.dataset,
        )
        return replace(found, items=kept)

    return patch.object(day_summing, "read_orders", read)


def _category_changes_touch_no_order() -> Any:
    async def days(*args: Any) -> Days:
        return await changed_days_of_products(*args[:4])

    changed_days_of_products: Any = changed_days.days_of_products
    return patch.object(changed_days, "days_of_products", days)


def _customers_never_leave() -> Any:
    updated: Any = sums_upkeep._updated

    async def mutant(*given: Any) -> Any:
        *others, before, now, day = given
        return await updated(*others, replace(before, customers={}), now, day)

    return patch.object(sums_upkeep, "_updated", mutant)


def _sums_of_any_sequence() -> Any:
    async def opened(workspace: Any, *_: Any) -> Any:
        return await day_sums._read_manifest(workspace)

    return patch.object(pending_work, "open_sums", opened)


MUTANTS: dict[str, Callable[[], Any]] = {
    "old values at the head": _old_values_at_the_head,
    "categories at the head": _categories_at_the_head,
    "items moved to another order": _orders_of_moved_items_stay,
    "category changes": _category_changes_touch_no_order,
    "customers of the new version only": _customers_never_leave,
    "sums of another sequence": _sums_of_any_sequence,
}


FOUND_IN = {
    "categories at the head": 2,
    "items moved to another order": 8,
    "category changes": 1,
    "customers of the new version only": 3,
    "sums of another sequence": 20,
}
"""Mutant -> the seed that noticed it last, which is tried first."""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_makes_other_kpis(name: str) -> None:
    for seed in (FOUND_IN.get(name, 0), *range(30)):
        with MUTANTS[name](), patch.object(Shop, "_check_grain", _unchecked):
            try:
                asyncio.run(run_shop(seed))
            except AssertionError:
                return
    pytest.fail("no history noticed it")


async def _unchecked(*_: object) -> None:
    """Leave the grains: their sums are not the product's."""
