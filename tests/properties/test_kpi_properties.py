"""Any files, in any order of arrival, with any repetition, give the KPI rows of DuckDB.

Rows are dirty, upload times are equal, and tables and ranges of days are published apart. Half of
the tests run with the limits of the product. The others run under strain: blocks, row groups and
batches hold a few rows, and hashes of texts collide. Neither may change a row.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kpi.kernels.hash_index
import kpi.validation.arrow_csv
from kpi.aggregation.tables import table_names
from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import Contract
from kpi.kernels.arrays import Words
from kpi.kernels.key_hashing import KeyHasher
from tests.support import oracle
from tests.support.profiles import examples
from tests.support.shops import ALL_TABLES, Pipeline
from worker.maintenance.audit import audit
from worker.objects import ObjectStore
from worker.objects.local import FolderStore
from worker.objects.location import Location
from worker.transform import Report, transform
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits
from worker.validate.stream import BlockSizes

# What is written must not wait for a disk: nothing here tests that it survives a power failure.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

Row = tuple[str, ...]
DATASETS = ("orders", "order_items", "products")


@dataclass(frozen=True)
class Shop:
    """A contract, how its files look to the oracle, and values that meet often."""

    contract: Contract
    layout: oracle.Layout
    headers: dict[str, Row]
    order_ids: Row
    item_ids: Row
    product_ids: Row
    stamps: Row
    prices: Row
    quantities: Row = ()
    statuses: Row = ("delivered", "returned", "RETURNED", "")
    has_item_status: bool = True


def lenient(contract: Contract, *changes: tuple[str, str]) -> Contract:
    """The contract, but no number of rejects refuses a file."""
    text = contract.text
    for old, new in (("max_reject_rate = 0.10", "max_reject_rate = 1"), *changes):
        assert old in text
        text = text.replace(old, new)
    return parse_contract(text, source="test")


ITEM_HEADER = ("id", "order_id", "product_id", "status", "sale_price")
DEFAULT_HEADERS = {
    "orders": ("order_id", "user_id", "status", "created_at"),
    "order_items": ITEM_HEADER,
    "products": ("id", "category"),
}
INTEGERS = (
    *("1", "2", "3", "4", "5", "-7", "70000000000"),
    *("9223372036854775807", "-9223372036854775808"),
)
TEXTS = ("a", "b", "B", "ä", "0", "00", "a b", "x" * 20, "x" * 21)
UUIDS = (
    *(f"{first}0000000-0000-4000-8000-{last:012d}" for first in "0f" for last in (0, 1)),
    "f0000000-0000-7000-8000-00000000000a",
    "F0000000-0000-7000-8000-00000000000A",
    "ABCDEFAB-CDEF-ABCD-EFAB-CDEFABCDEFAB",
    "abcdefab-cdef-abcd-efab-cdefabcdefab",
)
STAMPS = (
    *("2025-03-01T00:00:00", "2025-03-01T23:59:59", "2025-03-02T12:00:00"),
    *("2024-02-29T22:59:59", "2025-03-31T22:30:00", "1969-12-31T23:59:59"),
)
PRICES = ("0.00", "0.01", "19.99", "1000000.00", "0.05", "333.33", "8.7")
CATEGORIES = ("Beauty", "Toys, Games", "Dé\ncor", 'Quo"ted')
OLIST_TEXT = built_in("olist").text.replace(
    'name = "olist"', 'name = "o"\n[limits]\nmax_reject_rate = 0.10'
)

SHOPS = {
    "integers": Shop(
        contract=lenient(built_in()),
        layout=oracle.DEFAULT,
        headers=DEFAULT_HEADERS,
        order_ids=INTEGERS,
        item_ids=INTEGERS,
        product_ids=INTEGERS[:5],
        stamps=STAMPS,
        prices=PRICES,
    ),
    "texts": Shop(
        contract=lenient(built_in("string-ids")),
        layout=oracle.Layout(ids="VARCHAR"),
        headers=DEFAULT_HEADERS,
        order_ids=TEXTS,
        item_ids=TEXTS,
        product_ids=TEXTS[:5],
        stamps=STAMPS,
        prices=PRICES,
    ),
    "UUIDs": Shop(
        contract=lenient(built_in("uuid-ids")),
        layout=oracle.Layout(ids="UUID"),
        headers=DEFAULT_HEADERS,
        order_ids=UUIDS,
        item_ids=UUIDS,
        product_ids=UUIDS[:5],
        stamps=STAMPS,
        prices=PRICES,
    ),
    "units of Berlin": Shop(
        contract=lenient(
            built_in(),
            ('business_time_zone = "UTC"', 'business_time_zone = "Europe/Berlin"'),
            ('price_per = "line"', 'price_per = "unit"'),
            ('"decimal", required', '"decimal", scale = 3, required'),
            ("product_id = {", 'quantity = { type = "integer", min = 0 }\nproduct_id = {'),
        ),
        layout=oracle.Layout(
            business_zone="Europe/Berlin", scale=4, quantity=True, unit_price=True
        ),
        headers={**DEFAULT_HEADERS, "order_items": (*ITEM_HEADER, "quantity")},
        order_ids=INTEGERS,
        item_ids=INTEGERS,
        product_ids=INTEGERS[:5],
        stamps=STAMPS,
        prices=("0.005", "0.015", "1.125", "20"),
        quantities=("", "0", "1", "3"),
    ),
    "composite keys": Shop(
        contract=lenient(parse_contract(OLIST_TEXT, source="test")),
        layout=oracle.OLIST,
        headers={
            "orders": ("order_id", "customer_id", "order_status", "order_purchase_timestamp"),
            "order_items": ("order_item_id", "order_id", "product_id", "price"),
            "products": ("product_id", "product_category_name"),
        },
        order_ids=TEXTS,
        item_ids=("1", "2", "3"),
        product_ids=TEXTS[:5],
        stamps=tuple(stamp.replace("T", " ") for stamp in STAMPS),
        prices=PRICES,
        statuses=("delivered", "returned", "Canceled", ""),
        has_item_status=False,
    ),
}


@dataclass(frozen=True)
class Upload:
    """A file: its rows (None for a dirty one), its name, and when it was uploaded."""

    dataset: str
    name: str
    second: int
    rows: tuple[Row | None, ...]


@dataclass(frozen=True)
class Step:
    """A transform: of which tables, and of all days or first of some."""

    tables: frozenset[str]
    until: date | None = None


@dataclass(frozen=True)
class History:
    """Files, the rounds in which they arrive, and the transform after each round."""

    uploads: tuple[Upload, ...]
    rounds: tuple[tuple[int, ...], ...]
    steps: tuple[Step, ...]
    block_bytes: int
    repeat: bool


DIRT: dict[str, str] = {
    "orders": "9,only two",
    "order_items": '9,"never closed,1',
    "products": "9,Books,one too many",
}
STEPS = st.builds(
    Step,
    st.sampled_from([ALL_TABLES, ALL_TABLES, table_names(["order"]), table_names(["category"])]),
    st.sampled_from([None, None, date(2025, 3, 1), date(2025, 3, 2)]),
)


def rows_of(shop: Shop, dataset: str) -> st.SearchStrategy[Row]:
    pick = st.sampled_from
    if dataset == "orders":
        users = pick(shop.order_ids[:3])
        return st.tuples(pick(shop.order_ids), users, pick(shop.statuses), pick(shop.stamps))
    if dataset == "products":
        return st.tuples(pick(shop.product_ids), pick(CATEGORIES))
    columns = [pick(shop.item_ids), pick(shop.order_ids), pick(shop.product_ids)]
    if shop.has_item_status:
        columns.append(pick(shop.statuses))
    columns.append(pick(shop.prices))
    if shop.quantities:
        columns.append(pick(shop.quantities))
    return st.tuples(*columns)


@st.composite
def histories(draw: st.DrawFn, shop: Shop) -> History:
    datasets = draw(st.lists(st.sampled_from(DATASETS), min_size=2, max_size=8))
    names = draw(st.permutations(range(len(datasets))))
    uploads = []
    for name, dataset in zip(names, datasets, strict=True):
        row: st.SearchStrategy[Row | None] = rows_of(shop, dataset)
        rows = draw(st.lists(st.one_of(row, row, row, st.none()), max_size=12))
        second = draw(st.integers(0, 3))  # often the same: then the URL decides
        uploads.append(Upload(dataset, f"{name}.csv", second, tuple(rows)))
    arrival = draw(st.permutations(range(len(uploads))))
    cuts = sorted(draw(st.sets(st.integers(1, len(uploads)), max_size=3)))
    rounds = [tuple(arrival[a:b]) for a, b in pairwise([0, *cuts, len(uploads)])]
    return History(
        uploads=tuple(uploads),
        rounds=tuple(rounds),
        steps=tuple(draw(STEPS) for _ in rounds),
        block_bytes=draw(st.sampled_from([30, 70, 200, 10**6])),
        repeat=draw(st.booleans()),
    )


def write(folder: Path, shop: Shop, uploads: Sequence[Upload], *, dirty: bool) -> list[Path]:
    paths = []
    for upload in uploads:
        path = folder / upload.dataset / upload.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(shop.headers[upload.dataset])
            for row in upload.rows:
                if row is not None:
                    writer.writerow(row)
                elif dirty:
                    file.write(DIRT[upload.dataset] + "\n")
        time_ns = (1_700_000_000 + upload.second) * 10**9
        os.utime(path, ns=(time_ns, time_ns))
        paths.append(path)
    return paths


def in_order(folder: Path, uploads: Sequence[Upload]) -> dict[str, list[Path]]:
    """Files of each dataset from the earliest version to the latest."""
    files: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    for upload in uploads:
        files[upload.dataset].append((upload.second, folder / upload.dataset / upload.name))
    return {dataset: [path for _, path in sorted(of)] for dataset, of in files.items()}


STRAINED_LIMITS = TransformLimits(
    batch_orders=2,
    scattered_batch_orders=3,
    read_rows=4,
    single_pass_rows=4,
    pass_hashes=3,
    lookup_rows=2,
    unindexed_files=0,
    stride_pointers=3,
    tail_records=1,
)
INDEXED_LIMITS = TransformLimits(unindexed_files=0, tail_records=1, unpacked_files=1)


@contextlib.contextmanager
def strained() -> Iterator[None]:
    """Lower the limits that only gigabytes reach to a few rows, and let hashes collide."""
    hash_rows = KeyHasher.hash_rows

    def colliding(hasher: KeyHasher, columns: Sequence[pa.ChunkedArray]) -> tuple[Words, Words]:
        high, low = hash_rows(hasher, columns)
        return high & np.uint64(7 << 61), low

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kpi.validation.arrow_csv, "ARROW_BLOCK_BYTES", 60)
        patch.setattr(kpi.kernels.hash_index, "DENSE_MAX_SLOTS_PER_KEY", -(10**6))
        patch.setattr(KeyHasher, "hash_rows", colliding)
        yield


async def run_history(
    home: Path, shop: Shop, history: History, block_sizes: BlockSizes, limits: TransformLimits
) -> tuple[dict[str, list[dict[str, object]]], Report]:
    paths = write(home / "in", shop, history.uploads, dirty=True)
    async with Pipeline(home / "work", shop.contract, block_sizes) as pipeline:
        assert pipeline.state is not None

        async def bring_up(step: Step, **options: object) -> Report:
            assert pipeline.state is not None
            return await transform(
                contract=shop.contract,
                workspace=pipeline.workspace,
                state=pipeline.state,
                tables=step.tables,
                limits=limits,
                **options,  # type: ignore[arg-type]  # days
            )

        for arrived, step in zip(history.rounds, history.steps, strict=True):
            for number in arrived:
                entry = await pipeline.validate(paths[number])
                upload = history.uploads[number]
                assert entry.rows_read == len(upload.rows)
                assert entry.rows_rejected == upload.rows.count(None)
                assert entry.rows_clean == entry.rows_read - entry.rows_rejected
                if history.repeat:
                    assert await pipeline.validate(paths[number]) == entry
            if step.until is not None:
                await bring_up(step, last=step.until)
            await bring_up(step)
            if history.repeat:
                assert not (await bring_up(step)).days
        report = await bring_up(Step(ALL_TABLES))
        rows = await pipeline.all_rows()
        recomputed = await pipeline.transform(everything=True, limits=limits)
        assert await pipeline.all_rows() == rows
        assert recomputed.waiting == report.waiting
        entries = await pipeline.state.entries()
        effects = await pipeline.state.effects([entry.source_id for entry in entries])
        assert sum(report.waiting.values()) == sum(
            report.waiting.get(entry.source_id, 0) for entry in entries
        )
        assert set(effects) <= {entry.source_id for entry in entries}
        audited = await audit(
            contract=shop.contract,
            workspace=pipeline.workspace,
            state=pipeline.state,
            tables=ALL_TABLES,
            recount_days=10,
            open_objects=open_folder,
        )
        assert audited.differences == ()
        assert not audited.recount.clean_files
    return rows, report


async def open_folder(_: Location) -> ObjectStore:
    return FolderStore()


@pytest.mark.parametrize("strain", [False, True], ids=["plain", "strained"])
@pytest.mark.parametrize("name", SHOPS)
def test_any_history_gives_the_rows_of_the_oracle(name: str, strain: bool) -> None:
    shop = SHOPS[name]

    @examples(0.1 if strain else 0.2)
    @given(histories(shop))
    def check(history: History) -> None:
        patches: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        blocks = BlockSizes()
        limits = INDEXED_LIMITS if history.repeat else DEFAULT_LIMITS
        if strain:
            blocks = BlockSizes(history.block_bytes, history.block_bytes // 3)
            patches, limits = strained(), STRAINED_LIMITS
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder, patches:
            home = Path(folder)
            rows, report = asyncio.run(run_history(home, shop, history, blocks, limits))
            write(home / "clean", shop, history.uploads, dirty=False)
            files = in_order(home / "clean", history.uploads)
            waiting = sum(report.waiting.values())
            assert (rows, waiting) == oracle.kpis_and_waiting(files, shop.layout)
        if max(len(price.partition(".")[2]) for price in shop.prices) <= 2:
            revenue: dict[object, Decimal] = defaultdict(Decimal)
            for row in rows["category_kpis"]:
                revenue[row["order_date"]] += row["daily_revenue"]  # type: ignore[operator]  # a Decimal
            for row in rows["order_kpis"]:
                assert revenue[row["order_date"]] == row["total_revenue"]

    check()
