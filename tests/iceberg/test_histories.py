"""Random histories: each table has the rows that a model counts, whatever was written when."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from kpi.contract.loading import built_in, parse_contract
from tests.iceberg.tables import publish, read
from tests.language.files import FIRST_SECOND, File
from tests.language.product import write
from tests.language.shops import RandomShop, shops
from tests.support.profiles import examples
from tests.support.shops import HEADERS, Pipeline
from worker.objects.location import locate
from worker.recount.shop.contract import read_contract
from worker.recount.shop.dates import Moment
from worker.recount.shop.files import read_table
from worker.recount.shop.latest import FedFile, latest_rows
from worker.recount.shop.rows import FileRows
from worker.recount.shop.texts import RefusedError
from worker.state import Ruling
from worker.state.records import Decision
from worker.transform.limits import TransformLimits
from worker.transform.snapshot import open_snapshot
from worker.validate.discovery import find_inputs
from worker.validate.validate_source import validate

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TINY = TransformLimits(unindexed_files=0, tail_records=1, read_rows=1, lookup_points=4)

DATASETS = ("orders", "order_items", "products")


@st.composite
def events(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Uploads of few keys under few names, rulings, and publications between them."""
    found: list[tuple[Any, ...]] = []
    for number in range(draw(st.integers(3, 9))):
        kind = draw(st.sampled_from(("put", "put", "put", "rule", "publish")))
        if kind == "put":
            dataset = draw(st.sampled_from(DATASETS))
            keys = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
            name = f"{draw(st.integers(0, 2))}.csv"
            found.append((kind, dataset, name, number if draw(st.booleans()) else 0, keys))
        elif kind == "rule":
            found.append(
                (
                    kind,
                    draw(st.sampled_from(("retraction", "restoration"))),
                    draw(st.integers(0, 8)),
                )
            )
        else:
            found.append((kind,))
    return found


def text_of(dataset: str, version: int, keys: Sequence[int]) -> str:
    rows = {
        "orders": lambda key: f"{key},{key % 2},s{version},2025-03-0{1 + version % 3}T23:30:00",
        "order_items": lambda key: f"{key},{1 + key % 3},{key},,{version}.50",
        "products": lambda key: f"{key},c{version}",
    }[dataset]
    return "\n".join([",".join(HEADERS[dataset]), *map(rows, keys)]) + "\n"


async def model_of(pipeline: Pipeline) -> dict[str, Counter[str]]:
    """Take the latest row of each key by reading the files that count one after the other."""
    assert pipeline.state is not None
    head = await pipeline.state.head()
    snapshot = await open_snapshot(pipeline.state, head, pipeline.workspace, pipeline.contract)
    found = {}
    for catalog in snapshot.catalogs:
        latest: dict[tuple[Any, ...], dict[str, Any]] = {}
        for file in catalog.files:
            path = Path("/") / pipeline.workspace.absolute(file.key)
            for row in pq.read_table(path).to_pylist():
                latest[tuple(row[name] for name in catalog.dataset.key)] = row
        found[catalog.dataset.name] = Counter(map(shown, latest.values()))
    return found


def shown(row: dict[str, Any]) -> str:
    """Show a row without what is null or computed."""
    texts = {name: value for name, value in row.items() if value is not None and name != "_day"}
    return str(sorted((name, str(value)) for name, value in texts.items()))


@given(events(), st.sampled_from(("rows", "file")), st.sampled_from((1, 4, 1_000_000)))
@examples(0.06)
def test_tables_of_any_history_have_the_latest_row_of_each_key(
    history: list[tuple[Any, ...]], replaces: str, span_rows: int
) -> None:
    contract = parse_contract(f'replaces = "{replaces}"\n' + built_in().text, source="test")

    async def check(pipeline: Pipeline) -> None:
        await pipeline.transform(limits=TINY)
        await publish(pipeline, limits=TINY, span_rows=span_rows)
        for dataset, expected in (await model_of(pipeline)).items():
            table = read(pipeline.workspace, f"current_{dataset}")
            assert Counter(map(shown, table.to_pylist())) == expected, dataset

    async def work(home: Path) -> None:
        sources: list[str] = []
        async with Pipeline(home / "ws", contract) as pipeline:
            for number, event in enumerate(history):
                if event[0] == "put":
                    _, dataset, name, version, keys = event
                    path = home / dataset / name
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(text_of(dataset, version, keys))
                    os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
                    sources.append((await pipeline.validate(path)).source_id)
                elif event[0] == "rule" and sources:
                    await rule(pipeline, event[1], sources[event[2] % len(sources)], number)
                elif sources:
                    await check(pipeline)
            if sources:
                await check(pipeline)

    with tempfile.TemporaryDirectory() as home:
        asyncio.run(work(Path(home)))


async def rule(pipeline: Pipeline, kind: Decision, source_id: str, number: int) -> None:
    assert pipeline.state is not None
    await pipeline.state.rule(
        Ruling(
            kind=kind,
            ruling_id=f"{kind} {number}",
            source_id=source_id,
            url="",
            reason="",
            recorded_at=datetime.now(UTC),
        )
    )


# ---- language 2


@given(shops(), st.data())
@examples(0.06)
def test_tables_of_any_shop_have_the_rows_that_the_recount_has(
    shop: RandomShop, data: st.DataObject
) -> None:
    files = sorted(shop.files, key=lambda file: file.second)
    stops = data.draw(st.sets(st.integers(0, len(files) - 1), max_size=2)) | {len(files) - 1}
    span_rows = data.draw(st.sampled_from((1, 1_000_000)))

    async def work(home: Path) -> None:
        contract = parse_contract(shop.contract, source="test")
        async with Pipeline(home / "ws", contract) as pipeline:
            accepted = False
            for number, file in enumerate(files):
                write(home / "in", file, "utf-8")
                inputs = await find_inputs(
                    [(pipeline._store, locate(str(home / "in" / file.name)))], contract
                )
                if inputs.sources:
                    entry, _ = await validate(inputs.sources[0], pipeline.context())
                    accepted |= entry.verdict == "accepted"
                if number in stops and accepted:
                    await pipeline.transform(limits=TINY)
                    await publish(pipeline, limits=TINY, span_rows=span_rows)
                    compare(pipeline, shop.contract, files[: number + 1])

    with tempfile.TemporaryDirectory() as home:
        asyncio.run(work(Path(home)))


def compare(pipeline: Pipeline, text: str, files: Sequence[File]) -> None:
    shop = read_contract(text)
    fed: dict[str, list[FedFile]] = {name: [] for name in shop.tables}
    last: dict[str, str] = {}
    for file in files:
        if last.get(file.name) == file.text:
            continue
        last[file.name] = file.text
        uploaded = datetime.fromtimestamp(FIRST_SECOND + file.second, UTC)
        data = [file.text.encode()]
        try:
            table = read_table(shop, shop.entries_for(file.name), file.name, partial(iter, data))
            rows = list(FileRows(shop, table, uploaded.date().replace(year=uploaded.year + 1)))
        except RefusedError:
            continue
        for dataset in table.entry.feeds:
            mine = [row for name, row in rows if name == dataset]
            fed[dataset].append(
                FedFile(
                    name=file.name,
                    entry=table.entry.number,
                    replaces=table.entry.replaces,
                    read=partial(iter, mine),
                )
            )
    for dataset, of_dataset in fed.items():
        found = read(pipeline.workspace, f"current_{dataset}")
        latest = latest_rows(shop.tables[dataset], of_dataset, lambda _: True)
        expected = [shown({k: plain(v) for k, v in row.values.items()}) for row in latest]
        texts = [shown(numbers(row)) for row in found.to_pylist()]
        assert Counter(texts) == Counter(expected), dataset


def plain(value: Any) -> Any:
    return value.microseconds if isinstance(value, Moment) else value


def numbers(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (value - EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else value
        for name, value in row.items()
        if name != "_row"
    }
