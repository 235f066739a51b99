"""Ranges, slices of days, audits and moves: what many workers do, gives what one does."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import Contract
from tests.e2e.test_newcomer import lines, shopkpi
from tests.support.profiles import examples
from tests.support.shops import Pipeline
from worker.errors import StoreError
from worker.runtime.memory_budget import READ_BLOCK_BYTES
from worker.sample import SampleSpec, write_sample
from worker.state import Entry
from worker.validate.range_planner import plan_ranges
from worker.validate.range_task import commit_ranges, validate_range
from worker.validate.stream import BlockSizes

WHEN = re.compile(r"\d+,\d{4}-\d\d-\d\dT[\d:]+\+00:00")
"""`as_of` and `published_at` of a row in CSV."""

HEADER = "order_id,user_id,status,created_at\n"
records = st.one_of(
    st.integers(0, 99).map(lambda number: f"{number},7,delivered,2025-03-01T10:00:00\n"),
    st.sampled_from(
        [
            '5,"7","deli,ve""red\nx",2025-03-02T10:00:00\n',
            "6,x,delivered,2025-03-01T10:00:00\n",
            '7,8,5" pipe,2025-03-01T10:00:00\n',
            '8,8,"never closed,2025-03-01T10:00:00\n',
            "9,8\n",
            "\n",
            "10,8,returned,2025-03-03T10:00:00\r\n",
        ]
    ),
)


def lenient(limit: int = 4096) -> Contract:
    text = built_in().text.replace("max_reject_rate = 0.10", "max_reject_rate = 1")
    return parse_contract(
        text.replace("max_record_bytes = 16777216", f"max_record_bytes = {limit}"), source="test"
    )


async def in_ranges(
    home: Path, path: Path, split_bytes: int, seed: int, block_sizes: BlockSizes
) -> tuple[Entry, object]:
    async with Pipeline(home, lenient(), block_sizes) as pipeline:
        source = await pipeline.source(path)
        ranges = await plan_ranges(source, pipeline.contract, split_bytes, block_sizes)
        assert [one.start for one in ranges[1:]] == [one.end for one in ranges[:-1]]
        random.Random(seed).shuffle(ranges)
        for one in ranges:
            entry, new = await validate_range(source, one, pipeline.context())
            assert new == (one == ranges[-1])
        await pipeline.transform()
        return entry, await pipeline.all_rows()


@given(
    st.lists(records, min_size=1, max_size=25),
    st.integers(1, 400),
    st.integers(0, 9),
    st.sampled_from([20, 90, READ_BLOCK_BYTES]),
)
@examples(0.4)
@example(['8,8,"never closed,2025-03-01T10:00:00\n'] * 3, 40, 1, 20)
@example(['5,"7","x",2025-03-02T10:00:00\n'] * 9, 70, 1, 30)
def test_any_ranges_give_the_rows_of_the_whole(
    rows: list[str], split: int, seed: int, block_bytes: int
) -> None:
    sizes = BlockSizes(block_bytes, block_bytes // 2)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        path = home / "in" / "orders" / "a.csv"
        path.parent.mkdir(parents=True)
        path.write_bytes((HEADER + "".join(rows)).encode())

        async def whole() -> tuple[Entry, object]:
            async with Pipeline(home / "whole", lenient(), sizes) as pipeline:
                entry = await pipeline.validate(path)
                await pipeline.transform()
                return entry, await pipeline.all_rows()

        one, of_one = asyncio.run(whole())
        many, of_many = asyncio.run(in_ranges(home / "ranges", path, split, seed, sizes))
    assert of_many == of_one
    assert (many.rows_read, many.rows_clean, many.reasons) == (
        one.rows_read,
        one.rows_clean,
        one.reasons,
    )


async def test_an_object_is_not_committed_before_all_its_ranges(tmp_path: Path) -> None:
    write_sample(tmp_path, SampleSpec(orders=300, days=2))
    async with Pipeline(tmp_path / "work") as pipeline:
        assert pipeline.state is not None
        source = await pipeline.source(tmp_path / "orders" / "orders_part1.csv")
        first, *_ = await plan_ranges(source, pipeline.contract, 8000)
        entry, new = await validate_range(source, first, pipeline.context())
        assert (entry.sequence, new) == (0, False)
        assert await pipeline.state.find(source.source_id) is None
        with pytest.raises(StoreError, match=f"nothing from byte {first[1]}"):
            await commit_ranges(source, pipeline.context())


def test_many_workers_by_commands_give_the_rows_of_one_run(tmp_path: Path) -> None:
    write_sample(tmp_path / "shop", SampleSpec(orders=3000, days=9, dirty=0.01))
    lines(shopkpi("run", "shop", "--workspace", "one", "--format", "json", cwd=tmp_path))
    many = ("--workspace", "many")
    for path in sorted((tmp_path / "shop").rglob("*.csv")):
        file = str(path.relative_to(tmp_path))
        plan = shopkpi("plan", file, "--split-bytes", "60000", "--output", "p.json", cwd=tmp_path)
        assert plan.code == 0, plan.err
        for batch in json.loads((tmp_path / "p.json").read_text()):
            lines(shopkpi("validate", file, *many, "--range", batch["range"], cwd=tmp_path))
        done = lines(shopkpi("validate", file, *many, "--commit-ranges", cwd=tmp_path))
        assert done[-1]["event"] == "source.known"
    slices = json.loads(shopkpi("plan", *many, "--days", "2", cwd=tmp_path).out)
    for one in slices:
        lines(shopkpi("transform", *many, "--from", one["from"], "--to", one["to"], cwd=tmp_path))
    last = lines(shopkpi("transform", *many, cwd=tmp_path))[-1]
    assert (last["event"], last["days"]) == ("kpis.published", 0)
    for question in (("query", "orders"), ("query", "category"), ("rejects", "orders_part1.csv")):
        answers = [
            WHEN.sub(
                "", shopkpi(*question, "--workspace", place, "--format", "csv", cwd=tmp_path).out
            )
            for place in ("one", "many")
        ]
        assert answers[0] == answers[1]
        assert answers[0].count("\n") > 5


def test_an_audit_finds_what_was_changed_behind_our_back(tmp_path: Path) -> None:
    write_sample(tmp_path / "shop", SampleSpec(orders=500, days=3))
    lines(shopkpi("run", "shop", "--format", "json", cwd=tmp_path))
    clean = shopkpi("audit", cwd=tmp_path)
    assert (clean.code, json.loads(clean.out)["days"]) == (0, 3)
    with sqlite3.connect(tmp_path / ".shopkpi" / "shopkpi.db") as db:
        db.execute("UPDATE order_kpi_rows SET total_orders = 1 WHERE order_date = '2025-01-02'")
        db.execute("DELETE FROM category_kpi_rows WHERE category = 'Beauty'")
    found = shopkpi("audit", cwd=tmp_path)
    assert found.code == 3
    events = [json.loads(line) for line in found.out.splitlines()]
    assert events[-1]["differences"] == 4
    lines(shopkpi("transform", "--all", cwd=tmp_path))
    assert shopkpi("audit", "--sample", "2", cwd=tmp_path).code == 0


def test_raw_files_move_once_the_ledger_has_their_verdict(tmp_path: Path) -> None:
    (tmp_path / "shop" / "orders").mkdir(parents=True)
    (tmp_path / "shop" / "orders" / "good.csv").write_text(HEADER + "1,7,delivered,2025-03-01\n")
    (tmp_path / "shop" / "orders" / "bad.csv").write_text("nothing\n")
    early = shopkpi("archive", "shop/orders/good.csv", "--to", "old", cwd=tmp_path)
    assert (early.code, (tmp_path / "shop" / "orders" / "good.csv").exists()) == (1, True)
    lines(shopkpi("run", "shop/orders", "--format", "json", cwd=tmp_path))
    for name in ("good.csv", "bad.csv"):
        lines(shopkpi("archive", f"shop/orders/{name}", "--to", "old", cwd=tmp_path))
    assert not list((tmp_path / "shop" / "orders").iterdir())
    assert [path.name for path in (tmp_path / "old" / "archive").rglob("*.csv")] == ["good.csv"]
    (verdict,) = (tmp_path / "old" / "quarantine").rglob("bad.csv.verdict.json")
    assert json.loads(verdict.read_text())["verdict"] == "refused"
    assert (verdict.parent / "bad.csv").read_text() == "nothing\n"
