"""Every step of an explanation is what the oracle makes of the files that count then."""

from __future__ import annotations

import asyncio
import csv
import random
import tempfile
from collections import defaultdict
from datetime import date
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kpi.aggregation.tables import KPI_TABLES
from kpi.contract.loading import built_in, parse_contract
from tests.support import oracle
from tests.support.histories import RecordedUploads
from tests.support.profiles import examples
from tests.support.shops import ALL_TABLES, HEADERS
from worker.explain.as_of import changes_between, rows_as_of
from worker.explain.published import explain
from worker.explain.steps import Question, Step, rows_of_steps
from worker.state import Row
from worker.transform.day_ranges import ALL_DAYS
from worker.transform.limits import TransformLimits

DAYS = ("2026-03-01", "2026-03-02")
STATUSES = ("shipped", "returned")

CONTRACTS = (
    built_in(),
    built_in("string-ids"),
    parse_contract(
        built_in().text.replace(
            'folder = "order_items"', 'folder = "order_items"\nreplaces = "file"'
        ),
        source="whole files",
    ),
)


class Shop(RecordedUploads):
    """A shop with few orders, whose files come in any order and are taken back at random."""

    def __init__(self, seed: int, home: Path) -> None:
        chance = random.Random(seed)
        super().__init__(chance, chance.choice(CONTRACTS), home)
        self.commits, self.rulings = [], []

    def rows(self, dataset: str) -> list[tuple[str, ...]]:
        draw = self.random
        if dataset == "orders":
            return [
                (
                    str(draw.randint(1, 4)),
                    str(draw.randint(1, 3)),
                    draw.choice(STATUSES),
                    f"{draw.choice(DAYS)}T12:00:00",
                )
                for _ in range(draw.randint(1, 3))
            ]
        if dataset == "products":
            return [(str(draw.randint(1, 2)), draw.choice(["Toys", "Books"]))]
        return [
            (
                str(draw.randint(1, 5)),
                str(draw.randint(1, 4)),
                str(draw.randint(1, 2)),
                draw.choice(STATUSES),
                f"{draw.randint(0, 9)}.50",
            )
            for _ in range(draw.randint(1, 3))
        ]

    async def step(self) -> None:
        """Commit a file, or rule on one."""
        if self.sources and self.random.random() < 0.25:
            await self.rule_and_record()
            return
        dataset = self.random.choice(["orders", "orders", "order_items", "order_items", "products"])
        path = self.home / dataset / f"{self.random.randint(1, 3)}.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADERS[dataset])
            writer.writerows(self.rows(dataset))
        await self.commit(path)
        entry = await self.state.find(self.sources[-1])
        assert entry is not None
        self.record(entry, path)

    def expected(self, sequence: int) -> dict[str, oracle.Rows]:
        """Return the rows of every KPI table by the files that count at a sequence."""
        layout = oracle.Layout(ids="VARCHAR" if self.contract.name == "string-ids" else "BIGINT")
        return oracle.kpis(self.files_at(sequence), layout)

    def question(self) -> Question:
        return Question(
            state=self.state,
            workspace=self.pipeline.workspace,
            contract=self.contract,
            tables=ALL_TABLES,
            limits=TransformLimits(unindexed_files=self.random.choice([0, 64]), tail_records=1),
        )


async def build(seed: int, home: str) -> Shop:
    shop = Shop(seed, Path(home))
    for number in range(shop.random.randint(4, 9)):
        await shop.step()
        if number == 3 or shop.random.random() < 0.2:
            await shop.pipeline.transform()
    return shop


def by_group(table: str, rows: oracle.Rows, day: str) -> dict[str, dict[str, object]]:
    key = KPI_TABLES[table].group_key
    return {str(row[key]) if key else "": row for row in rows if row["order_date"] == day}


def moved_groups(steps: list[Step]) -> dict[str, set[int]]:
    """Return KPI table -> the sequences at which a row of it changed."""
    found: dict[str, set[int]] = defaultdict(set)
    for step in steps:
        for change in step.changes:
            found[change.table].add(step.sequence)
    return found


async def check_steps(seed: int, home: str) -> None:
    shop = await build(seed, home)
    head = await shop.state.head()
    expected = {sequence: shop.expected(sequence) for sequence in range(head + 1)}
    for day in DAYS:
        found = await explain(shop.question(), date.fromisoformat(day))
        assert not found.wrong, "the steps do not add up to the published rows"
        moved = moved_groups(list(found.steps))
        before: dict[str, dict[str, Row]] = {name: {} for name in ALL_TABLES}
        for sequence in range(1, head + 1):
            for name in ALL_TABLES:
                rows = rows_of_steps(found.steps, sequence, name)
                assert rows == by_group(name, expected[sequence][name], day)
                assert (rows != before[name]) == (sequence in moved[name])
                before[name] = rows


async def check_earlier_sequences(seed: int, home: str) -> None:
    shop = await build(seed, home)
    head = await shop.state.head()
    sequences = sorted(shop.random.sample(range(head + 1), 3))
    expected = {sequence: shop.expected(sequence) for sequence in sequences}
    for sequence, tables in expected.items():
        name = shop.random.choice(sorted(ALL_TABLES))
        rows: oracle.Rows = [
            {key: value for key, value in row.items() if key != "as_of"}
            async for row in rows_as_of(shop.question(), sequence, name, None, ALL_DAYS)
        ]
        assert rows == tables[name]
    for before, after in pairwise(sequences):
        changes = [one async for one in changes_between(shop.question(), before, after)]
        assert all(one.before != one.after for one in changes)
        for name in ALL_TABLES:
            for side, sequence in (("before", before), ("after", after)):
                found = [getattr(one, side) for one in changes if one.table == name]
                same = [row for row in expected[before][name] if row in expected[after][name]]
                rows = [row for row in expected[sequence][name] if row not in same]
                assert [row for row in found if row is not None] == rows


@examples(0.07)
@given(seed=st.integers(0, 2**32))
def test_earlier_sequences_and_their_differences_are_the_oracle(seed: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(check_earlier_sequences(seed, home))


@examples(0.07)
@given(seed=st.integers(0, 2**32))
def test_steps_are_the_oracle_after_every_record(seed: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(check_steps(seed, home))
