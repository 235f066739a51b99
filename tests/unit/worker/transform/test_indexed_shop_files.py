"""Transforms of language 2 with a key index: one more file opens the files of its keys alone."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kpi.contract.loading import parse_contract
from tests.language.files import File
from tests.language.product import write
from tests.support.shops import Pipeline
from tests.unit.worker.transform.histories import Watched
from worker.transform.limits import TransformLimits

DAYS = 8
LIMITS = TransformLimits(unindexed_files=0)
SETTINGS = """language = 2
name = "indexed"
day = "UTC"
not_after = "2026-12-31"
[[files]]
match = "products*"
feeds = ["products"]
[[files]]
match = "refunds*"
feeds = ["refunds"]
{files}
[orders.columns]
order_id = "Order"
created_at = "Date"
user_id = "User"
[order_items]
key = {key}
[order_items.columns]
order_id = "Order"
line = "Line"
{sku}
unit_price = "Price"
[refunds]
key = "row"
[refunds.columns]
order_id = "Order"
amount = "Amount"
[products.columns]
id = "id"
category = "kind"
"""
ONE = '[[files]]\nmatch = "sales*"\nfeeds = ["orders", "order_items"]\n'
TWO = """[[files]]
match = "orders*"
feeds = ["orders"]
[[files]]
match = "items*"
feeds = ["order_items"]
"""
KEYS = ('"line"', '["order_id", "line"]', '"order"', '"row"')


def ident(number: int) -> str:
    """An id that tells nothing of its neighbours."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def sales(number: int, *orders: int, date: int | None = None) -> list[File]:
    """Orders of one day of March 2025, each with a line of one of four products."""
    day = f"2025-03-{date or number:02d}T12:00:00"
    heads = [f"{ident(one)},{day},{ident(one % 3)}" for one in orders]
    lines = [f"{ident(one)},{ident(100 + one % 4)},{one}.50" for one in orders]
    rows = [f"{head},{line}" for head, line in zip(heads, lines, strict=True)]
    return [File(f"sales{number:02d}.csv", _text("Order,Date,User,Line,SKU,Price", rows), number)]


def apart(number: int, *orders: int, date: int | None = None) -> list[File]:
    """The same in a file of orders and one of lines."""
    (both,) = sales(number, *orders, date=date)
    rows = [line.split(",") for line in both.text.splitlines()[1:]]
    heads = [",".join(row[:3]) for row in rows]
    lines = [",".join((row[0], *row[3:])) for row in rows]
    return [
        File(f"orders{number:02d}.csv", _text("Order,Date,User", heads), number),
        File(f"items{number:02d}.csv", _text("Order,Line,SKU,Price", lines), number),
    ]


def _text(header: str, rows: list[str]) -> str:
    return "\n".join([header, *rows]) + "\n"


def products(second: int, *rows: str) -> File:
    return File(f"products{second}.csv", _text("id,kind", list(rows)), second)


@asynccontextmanager
async def shop(
    home: Path, key: str, files: str = ONE, sku: str = 'product_id = "SKU"'
) -> AsyncIterator[tuple[Pipeline, Watched]]:
    """A shop of some days, whose ids are in an index."""
    watched = Watched()
    contract = parse_contract(SETTINGS.format(key=key, files=files, sku=sku), source="indexed")
    async with Pipeline(home, contract) as pipeline:
        pipeline.workspace = replace(pipeline.workspace, store=watched)
        history = [products(0, *(f"{ident(100 + one)},C{one}" for one in range(4)))]
        made = sales if files == ONE else apart
        # Commits come in another order than uploads, as those of concurrent workers do.
        for number in range(DAYS, 0, -1):
            history += made(number, 2 * number, 2 * number + 1)
        await add(pipeline, home / "in", *history)
        watched.opened.clear()
        yield pipeline, watched


REQUIRED = """product_id = "SKU"
category = { from = "SKU", via = "products.category", required = true }"""
"""A line waits for its product."""


async def test_a_product_opens_the_files_of_lines_that_wait_for_it(tmp_path: Path) -> None:
    async with shop(tmp_path, '"order"', sku=REQUIRED) as (pipeline, watched):
        (new,) = sales(DAYS + 1, 50)
        waits = replace(new, text=new.text.replace(ident(102), ident(500)))
        await add(pipeline, tmp_path / "new", waits)
        watched.opened.clear()
        product = products(90, f"{ident(500)},C9")
        assert (await add(pipeline, tmp_path / "new", product))[0] == [DAYS + 1]
        assert clean_files_opened(watched) <= 4
        await check(pipeline)


async def add(pipeline: Pipeline, folder: Path, *files: File) -> tuple[list[int], object]:
    for file in files:
        write(folder, file, "utf-8")
        await pipeline.validate(folder / file.name)
    report = await pipeline.transform(limits=LIMITS)
    return [one.day for one in report.days], report.notes


def clean_files_opened(watched: Watched) -> int:
    return sum("clean/" in key for key in watched.opened)


async def check(pipeline: Pipeline) -> None:
    """Hold KPIs and waiting rows against those of every day computed without an index."""
    assert pipeline.state is not None
    found, progress = await pipeline.all_rows(), await pipeline.state.progress()
    report = await pipeline.transform(everything=True)
    assert found == await pipeline.all_rows()
    assert progress.waiting == report.waiting


@pytest.mark.parametrize("key", KEYS)
async def test_one_more_file_opens_the_files_of_its_days(tmp_path: Path, key: str) -> None:
    async with shop(tmp_path, key) as (pipeline, watched):
        new = sales(DAYS + 1, 50, 51)
        assert await add(pipeline, tmp_path / "new", *new) == ([DAYS + 1], {})
        assert clean_files_opened(watched) <= 3  # its own two, and the products
        watched.opened.clear()
        # An old order moves to another day: that, and the one that it leaves, are computed.
        moved = sales(DAYS + 2, 6, date=7)
        assert (await add(pipeline, tmp_path / "new", *moved))[0] == [3, 7]
        assert clean_files_opened(watched) <= 7  # two of each day and of its own, and the products
        await check(pipeline)


@pytest.mark.parametrize("key", KEYS)
async def test_a_line_opens_the_files_of_its_order(tmp_path: Path, key: str) -> None:
    async with shop(tmp_path, key, TWO) as (pipeline, watched):
        late = apart(DAYS + 1, 6)[1:]
        assert (await add(pipeline, tmp_path / "new", *late))[0] == [3]
        assert clean_files_opened(watched) <= 4
        await check(pipeline)


async def test_a_line_that_moves_changes_both_days(tmp_path: Path) -> None:
    async with shop(tmp_path, '"line"', TWO) as (pipeline, _):
        (_, line) = apart(DAYS + 1, 6)
        moved = replace(line, text=line.text.replace(f"\n{ident(6)},", f"\n{ident(12)},"))
        assert (await add(pipeline, tmp_path / "new", moved))[0] == [3, 6]
        await check(pipeline)


async def test_a_category_opens_the_files_of_its_lines(tmp_path: Path) -> None:
    async with shop(tmp_path, '"order"') as (pipeline, watched):
        late = sales(DAYS + 1, 50)
        await add(pipeline, tmp_path / "new", *late, products(90, f"{ident(500)},C9"))
        only = replace(late[0], name="sales99.csv", second=99)
        only = replace(only, text=only.text.replace(ident(102), ident(500)))
        await add(pipeline, tmp_path / "new", only)
        watched.opened.clear()
        changed = products(100, f"{ident(500)},C8")
        assert (await add(pipeline, tmp_path / "new", changed))[0] == [DAYS + 1]
        assert clean_files_opened(watched) <= 7
        await check(pipeline)


async def test_a_whole_catalogue_opens_the_last_one_alone(tmp_path: Path) -> None:
    """A product comes back that the last catalogue does not have: an earlier one is looked for."""
    async with shop(tmp_path, '"order"') as (pipeline, watched):
        rows = [f"{ident(100 + one)},C{one}" for one in range(4)]
        catalogues = [products(20 + number, *rows) for number in range(10)]
        without = products(30, *rows[1:])
        await add(pipeline, tmp_path / "new", *catalogues, without)
        watched.opened.clear()
        changed = products(40, *rows[:3], f"{ident(103)},C9")
        days, _ = await add(pipeline, tmp_path / "new", changed)
        assert days == [1, 3, 5, 7]
        opened = {key for key in watched.opened if "clean/" in key}
        of_catalogues = len(opened) - 2 * len(days)
        assert of_catalogues <= 4
        await check(pipeline)


async def test_a_refund_opens_the_files_of_its_order(tmp_path: Path) -> None:
    async with shop(tmp_path, '"order"') as (pipeline, watched):
        refund = File("refunds1.csv", _text("Order,Amount", [f"{ident(6)},1.00"]), 90)
        assert await add(pipeline, tmp_path / "new", refund) == ([3], {})
        assert clean_files_opened(watched) <= 4
        await check(pipeline)


async def test_a_damaged_index_is_told_and_built_again(tmp_path: Path) -> None:
    async with shop(tmp_path, '"order"') as (pipeline, watched):
        (run,) = (tmp_path / "index").glob("*.run")
        run.write_bytes(run.read_bytes().replace(b"\0\0", b"\0\1"))
        new = sales(DAYS + 1, 50, 51)
        notes = {"index_rebuilt": 1}
        assert await add(pipeline, tmp_path / "new", *new) == ([DAYS + 1], notes)
        watched.opened.clear()
        assert await add(pipeline, tmp_path / "more", *sales(DAYS + 2, 52)) == ([DAYS + 2], {})
        assert clean_files_opened(watched) <= 4
        await check(pipeline)
