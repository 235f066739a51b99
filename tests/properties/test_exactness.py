"""Any split into files, any order of arrival, any repetition: the rows of the oracle."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.contract.loading import built_in
from tests.support import oracle
from tests.support.profiles import examples
from tests.support.shops import Pipeline, Record, Upload, write

STATUSES = ("delivered", "returned", "Returned", "")
CATEGORIES = ("Beauty", "Toys, Games", 'Quo"ted', "Décor", "Zubehör")
DAYS = ("2025-03-01", "2025-03-02", "2025-03-31", "2024-02-29")


def texts_of(ids: str, prefix: str) -> st.SearchStrategy[str]:
    """A few ids, so that keys meet often: integers far apart, UUIDs in two spellings, or texts."""
    if ids == "integer":
        return st.sampled_from(["1", "2", "3", "70000000000", "-5", "9223372036854775807"])
    if ids == "uuid":
        digits = prefix.encode().hex()
        names = [
            f"{digits}000000-0000-{version}000-0000-00000000000{n}"
            for version in "47"
            for n in "aB"
        ]
        return st.sampled_from(
            [*names, names[0].upper(), f"{digits}{'f' * 6}-ffff-ffff-ffff-{'f' * 12}"]
        )
    return st.sampled_from([f"{prefix}{name}" for name in ("a", "B", "ä", "00", "0", "a b")])


@st.composite
def histories(draw: st.DrawFn, ids: str) -> tuple[list[Upload], list[list[int]], bool]:
    """Uploads, the order in which they are validated (in rounds), and whether events repeat."""
    clock = st.builds(
        "{:02d}:{:02d}:{:02d}".format, *[st.integers(0, 23)], *[st.integers(0, 59)] * 2
    )
    stamp = st.builds("{}T{}".format, st.sampled_from(DAYS), clock)
    status = st.sampled_from(STATUSES)
    price = st.integers(0, 10**6).map(lambda cents: f"{Decimal(cents) / 100:.2f}")
    order, product = texts_of(ids, "o"), texts_of(ids, "p")
    strategies: dict[str, st.SearchStrategy[Record]] = {
        "orders": st.tuples(order, texts_of(ids, "u"), status, stamp),
        "order_items": st.tuples(texts_of(ids, "i"), order, product, status, price),
        "products": st.tuples(product, st.sampled_from(CATEGORIES)),
    }
    files = draw(st.lists(st.sampled_from(list(strategies)), min_size=1, max_size=7))
    seconds = draw(st.lists(st.integers(0, 50), min_size=7, max_size=7, unique=True))
    uploads = [
        Upload(dataset, tuple(draw(st.lists(strategies[dataset], max_size=8))), second)
        for dataset, second in zip(files, seconds, strict=False)
    ]
    arrival = draw(st.permutations(range(len(uploads))))
    cuts = sorted(draw(st.sets(st.integers(0, len(uploads)), max_size=3)))
    edges = [0, *cuts, len(uploads)]
    rounds = [list(arrival[a:b]) for a, b in pairwise(edges)]
    return uploads, rounds, draw(st.booleans())


async def run_history(
    home: Path, uploads: list[Upload], rounds: list[list[int]], repeat: bool, contract: str
) -> tuple[dict[str, list[dict[str, object]]], int]:
    paths = write(home / "in", uploads)
    async with Pipeline(home / "work", built_in(contract)) as pipeline:
        waiting: dict[str, int] = {}
        for arrived in rounds:
            for number in arrived:
                entry = await pipeline.validate(paths[number])
                assert entry.rows_read == entry.rows_clean + entry.rows_rejected
                assert entry.rows_rejected == 0
                if repeat:
                    assert await pipeline.validate(paths[number]) == entry
            report = await pipeline.transform()
            waiting = report.waiting
            if repeat:
                assert not (await pipeline.transform()).days
        rows = await pipeline.all_rows()
        # What was brought up to date step by step equals what one computation of all gives.
        anew = await pipeline.transform(everything=True)
        assert await pipeline.all_rows() == rows
        assert anew.waiting == waiting
    return rows, sum(waiting.values())


def expected(home: Path, uploads: list[Upload], ids: str) -> dict[str, oracle.Rows]:
    files: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    for number, upload in enumerate(uploads):
        path = home / "in" / upload.dataset / f"{number:03d}.csv"
        files[upload.dataset].append((upload.second, path))
    kind = {"integer": "BIGINT", "uuid": "UUID", "string": "VARCHAR"}[ids]
    return oracle.kpis(
        {name: [path for _, path in sorted(of)] for name, of in files.items()}, ids=kind
    )


def waiting_items(uploads: list[Upload], ids: str) -> int:
    """Latest items of orders that no file has."""
    spelled = str.lower if ids == "uuid" else str
    orders = {spelled(row[0]) for one in uploads if one.dataset == "orders" for row in one.records}
    latest = {
        spelled(row[0]): spelled(row[1])
        for one in sorted(uploads, key=lambda upload: upload.second)
        if one.dataset == "order_items"
        for row in one.records
    }
    return sum(order not in orders for order in latest.values())


@pytest.mark.parametrize(
    ("ids", "contract"),
    [("integer", "default"), ("string", "string-ids"), ("uuid", "uuid-ids")],
)
def test_any_history_gives_the_rows_of_the_oracle(ids: str, contract: str) -> None:
    @examples(0.6)
    @given(histories(ids))
    def check(history: tuple[list[Upload], list[list[int]], bool]) -> None:
        uploads, rounds, repeat = history
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            rows, waiting = asyncio.run(run_history(home, uploads, rounds, repeat, contract))
            assert rows == expected(home, uploads, ids)
            assert waiting == waiting_items(uploads, ids)
        revenue: dict[object, Decimal] = defaultdict(Decimal)
        for row in rows["category_kpis"]:
            revenue[row["order_date"]] += Decimal(str(row["daily_revenue"]))
        for row in rows["order_kpis"]:
            assert revenue[row["order_date"]] == row["total_revenue"]

    check()
