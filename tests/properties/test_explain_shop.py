"""Steps of a day of language 2 are what a snapshot of every single sequence gives."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.aggregation.calendar import to_day
from tests.properties.test_shop_sums import Shop
from tests.support.profiles import examples
from tests.support.shops import ALL_TABLES
from worker.explain.as_of import changes_between, rows_as_of
from worker.explain.published import explain
from worker.explain.steps import Question, rows_of_steps
from worker.transform.computed_rows import computed_rows
from worker.transform.day_ranges import ALL_DAYS
from worker.transform.shop.snapshot import open_shop_snapshot

DAYS = ("2025-03-01", "2025-03-02")

Rows = dict[str, dict[str, dict[str, object]]]
"""KPI table -> day -> its rows, joined with their group."""


async def build(seed: int, home: str) -> Shop:
    shop = Shop(seed, Path(home))
    for number in range(10):
        if number > 4 and shop.random.random() < 0.25:
            await shop.rule()
        else:
            await shop.upload()
        if number == 4:
            await shop.pipeline.transform()
    return shop


async def rows_at(shop: Shop, sequence: int) -> Rows:
    """Compute every day from a snapshot that knows nothing of later records."""
    found: Rows = {name: {day: {} for day in DAYS} for name in ALL_TABLES}
    if not sequence:
        return found
    snapshot = await open_shop_snapshot(
        shop.state, sequence, shop.pipeline.workspace, shop.contract
    )
    days = np.array([to_day(date.fromisoformat(day)) for day in DAYS], np.int32)
    async for _, computed in computed_rows(snapshot, days, ALL_TABLES):
        for name, rows in computed.items():
            for (day, group), row in rows.items():
                found[name][str(day)][group] = dict(row)
    return found


def question(shop: Shop) -> Question:
    return Question(
        state=shop.state,
        workspace=shop.pipeline.workspace,
        contract=shop.contract,
        tables=ALL_TABLES,
        limits=shop.limits,
    )


async def check(seed: int, home: str) -> None:
    shop = await build(seed, home)
    head = await shop.state.head()
    expected = [await rows_at(shop, sequence) for sequence in range(head + 1)]
    for day in DAYS:
        found = await explain(question(shop), date.fromisoformat(day))
        assert not found.wrong, "the steps do not add up to the published rows"
        for sequence in range(1, head + 1):
            for name in ALL_TABLES:
                steps = rows_of_steps(found.steps, sequence, name)
                assert steps == expected[sequence][name][day], (sequence, name)
    before, after = sorted(shop.random.sample(range(head + 1), 2))
    changes = [one async for one in changes_between(question(shop), before, after)]
    for name in ALL_TABLES:
        for side, sequence in (("before", before), ("after", after)):
            then, now, of = expected[before][name], expected[after][name], expected[sequence][name]
            rows = [
                row
                for day in DAYS
                for group, row in sorted(of[day].items())
                if then[day].get(group) != now[day].get(group)
            ]
            shown = [getattr(one, side) for one in changes if one.table == name]
            assert [row for row in shown if row is not None] == rows
        of_all = [row async for row in rows_as_of(question(shop), after, name, None, ALL_DAYS)]
        assert len(of_all) == sum(len(rows) for rows in expected[after][name].values())


@examples(0.02)
@given(seed=st.integers(0, 2**32))
@example(seed=6)  # a line moves to another order
@example(seed=1015)  # a refund of the day names no order
def test_steps_are_the_rows_at_every_sequence(seed: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(check(seed, home))
