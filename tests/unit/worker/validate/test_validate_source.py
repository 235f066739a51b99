"""The validation task: entries say what was in the file, and no row is lost."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import worker.validate.validate_source
from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import Contract
from tests.support.shops import Pipeline
from worker.errors import ConfigError, SourceError
from worker.objects import ObjectInfo
from worker.objects.local import FolderStore
from worker.state import Entry
from worker.validate.source_validation import SourceValidation
from worker.validate.stream import DEFAULT_BLOCK_SIZES, BlockSizes
from worker.validate.validate_source import validate

HEADER = "order_id,user_id,status,created_at\n"
ROW = "1,7,delivered,2025-03-01T10:00:00\n"


def put(home: Path, content: bytes | str, name: str = "orders/1.csv") -> Path:
    path = home / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


async def receipt(
    home: Path,
    content: bytes | str,
    contract: Contract | None = None,
    block_sizes: BlockSizes = DEFAULT_BLOCK_SIZES,
    *,
    sha256: bool = False,
) -> Entry:
    async with Pipeline(home / "work", contract, block_sizes) as pipeline:
        return await pipeline.validate(put(home, content), sha256=sha256)


@pytest.fixture(
    params=[BlockSizes(7, 100), BlockSizes(64, 20), BlockSizes(1000, 200), BlockSizes(1000, 0)],
    ids=str,
)
def small_blocks(request: pytest.FixtureRequest) -> BlockSizes:
    """Blocks that are many in a small file, as in an object of gigabytes."""
    block_sizes: BlockSizes = request.param
    return block_sizes


GOOD = HEADER + "".join(ROW.replace("1", str(number), 1) for number in range(1, 60))


@pytest.mark.parametrize(
    "content",
    [
        GOOD.encode(),
        gzip.compress(GOOD.encode(), mtime=0),
        gzip.compress(GOOD.encode(), mtime=0)[:-20],
        b"",
        b"no header of ours\n" * 50,
        HEADER.encode() + b"x\n" * 50,
        HEADER.encode("utf-16"),
    ],
)
async def test_the_digest_is_that_of_the_whole_file(
    tmp_path: Path, content: bytes, small_blocks: BlockSizes
) -> None:
    entry = await receipt(tmp_path, content, block_sizes=small_blocks, sha256=True)
    assert entry.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("size", [20, 10_000])
async def test_a_file_refused_early_has_the_digest_of_all_bytes(
    tmp_path: Path, size: int, small_blocks: BlockSizes
) -> None:
    content = b"PK\x03\x04" + b"workbook" * (size // 8)
    entry = await receipt(tmp_path, content, block_sizes=small_blocks, sha256=True)
    assert entry.verdict == "refused"
    assert entry.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("rate", "rows", "rejected", "accepted"),
    [
        ("0.29", 100, 29, True),  # in floating point 0.29 * 100 is less than 29
        ("0.29", 100, 30, False),
        ("0.1", 30, 3, True),
        ("0.07", 100, 7, True),
        ("0", 10, 0, True),
        ("0", 10, 1, False),
        ("1", 10, 10, True),
        ("0.5", 1, 1, False),
    ],
)
async def test_the_share_of_rejects_is_counted_exactly(
    tmp_path: Path, rate: str, rows: int, rejected: int, accepted: bool
) -> None:
    text = built_in().text.replace("max_reject_rate = 0.10", f"max_reject_rate = {rate}")
    bad = ROW.replace("1", "x", 1) * rejected
    content = HEADER + bad + ROW * (rows - rejected)
    entry = await receipt(tmp_path, content, parse_contract(text, source="test"))
    assert (entry.verdict == "accepted") == accepted
    assert entry.rows_read == rows == entry.rows_clean + entry.rows_rejected


async def test_a_clean_file_has_nullability_and_the_pruning_statistics(
    tmp_path: Path, small_blocks: BlockSizes
) -> None:
    entry = await receipt(tmp_path, GOOD, block_sizes=small_blocks)
    footer = pq.read_metadata(tmp_path / "work" / entry.parts[0].key)
    schema = footer.schema.to_arrow_schema()
    columns = built_in().datasets["orders"].columns
    assert {field.name for field in schema if field.nullable} == {
        column.name for column in columns.values() if not column.required
    }
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        ranged = [group.column(index) for index in range(group.num_columns)]
        with_statistics = {one.path_in_schema for one in ranged if one.statistics is not None}
        assert with_statistics == {"order_id", "created_at"} == set(entry.parts[0].ranges)


async def test_ids_of_any_length_are_joined(tmp_path: Path) -> None:
    """Parquet keeps no statistics of texts beyond 4 KiB: such a row group may hold any id."""
    text = built_in("string-ids").text.replace(" max_bytes = 1024,", "")
    long = "z" * 5000
    orders = [f"a{number:03d},u,x,2025-03-01\n" for number in range(300)]
    contract = parse_contract(text, source="test")
    async with Pipeline(tmp_path / "work", contract, BlockSizes(3000, 100)) as pipeline:
        await pipeline.validate(
            put(tmp_path, HEADER + "".join(orders) + f"{long},u,x,2025-03-02\n")
        )
        await pipeline.transform()
        items = f"id,order_id,product_id,status,sale_price\ni1,{long},p,x,5.00\n"
        await pipeline.validate(put(tmp_path, items, "order_items/1.csv"))
        report = await pipeline.transform()
        rows = await pipeline.rows("order_kpis")
    assert report.waiting == {}
    assert [(row["total_orders"], str(row["total_revenue"])) for row in rows] == [
        (300, "0.00"),
        (1, "5.00"),
    ]


async def test_ids_at_both_ends_of_64_bits_survive(
    tmp_path: Path, small_blocks: BlockSizes
) -> None:
    ids = [2**63 - 1, -(2**63), 0, -1, 2**63 - 2, 1, -(2**63) + 1]
    orders = HEADER + "".join(f"{one},{-1 - one},x,2025-03-01\n" for one in ids)
    items = "id,order_id,product_id,status,sale_price\n" + "".join(
        f"{-1 - one},{one},{one},x,1.00\n" for one in ids
    )
    async with Pipeline(tmp_path / "work", None, small_blocks) as pipeline:
        await pipeline.validate(put(tmp_path, orders))
        await pipeline.validate(put(tmp_path, items, "order_items/1.csv"))
        report = await pipeline.transform()
        (row,) = await pipeline.rows("order_kpis")
    assert report.waiting == {}
    assert (row["total_orders"], row["unique_customers"], row["total_items_sold"]) == (7, 7, 7)


async def test_a_file_cleaned_before_a_column_existed_counts(
    tmp_path: Path,
) -> None:
    items = "id,order_id,product_id,sale_price\n1,1,1,5.00\n"
    old = parse_contract(
        "\n".join(line for line in built_in().text.splitlines() if not line.startswith("status")),
        source="old",
    )
    new = parse_contract(
        built_in().text.replace(
            "product_id = {", 'quantity = { type = "integer" }\nproduct_id = {'
        ),
        source="new",
    )
    async with Pipeline(tmp_path / "work", old) as pipeline:
        await pipeline.validate(put(tmp_path, "order_id,user_id,created_at\n1,7,2025-03-01\n"))
        await pipeline.validate(put(tmp_path, items, "order_items/1.csv"))
        await pipeline.transform()
    more = "id,order_id,product_id,status,sale_price,quantity\n2,1,1,returned,3.00,4\n"
    async with Pipeline(tmp_path / "work", new) as pipeline:
        await pipeline.validate(put(tmp_path, more, "order_items/2.csv"))
        await pipeline.transform()
        (row,) = await pipeline.rows("order_kpis")
        (category,) = await pipeline.rows("category_kpis")
    assert (str(row["total_revenue"]), row["total_items_sold"]) == ("8.00", 5)
    assert str(category["avg_return_rate"]) == "1.0000"


def with_column(line: str, key: str = '["id"]') -> Contract:
    text = built_in().text.replace("[order_items.columns]", f"[order_items.columns]\n{line}")
    return parse_contract(
        text.replace('key = ["id"]\nprice_per', f"key = {key}\nprice_per"), source="changed"
    )


async def test_rows_cleaned_under_an_unlike_contract_are_named(tmp_path: Path) -> None:
    """Not as damage, which a retry may cure."""
    old = with_column('size = { type = "integer" }')
    new = with_column('size = { type = "integer", required = true }', '["id", "size"]')
    items = "id,order_id,product_id,sale_price,size\n1,1,1,5.00,\n"
    async with Pipeline(tmp_path / "work", old) as pipeline:
        await pipeline.validate(put(tmp_path, "order_id,user_id,created_at\n1,7,2025-03-01\n"))
        await pipeline.validate(put(tmp_path, items, "order_items/1.csv"))
        await pipeline.validate(put(tmp_path, items, "order_items/2.csv"))
    async with Pipeline(tmp_path / "work", new) as pipeline:
        with pytest.raises(ConfigError, match="another contract: expected a value of size"):
            await pipeline.transform()


async def test_a_slower_worker_rewriting_the_same_rows_disturbs_nobody(
    tmp_path: Path,
) -> None:
    """Two workers may validate one object: the second replaces the first one's clean object."""
    async with Pipeline(tmp_path / "work") as pipeline:
        path = put(tmp_path, GOOD)
        await pipeline.validate(path)
        (clean,) = (tmp_path / "work" / "clean").rglob("*.parquet")
        data, replaced = clean.read_bytes(), 0
        read = FolderStore.read

        async def read_late(self: FolderStore, info: ObjectInfo, start: int, end: int) -> bytes:
            nonlocal replaced
            if info.key.endswith(".parquet") and replaced < 2:
                replaced += 1
                clean.unlink()
                clean.write_bytes(data)
            return await read(self, info, start, end)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FolderStore, "read", read_late)
            await pipeline.transform()
        assert replaced == 2
        (row,) = await pipeline.rows("order_kpis")
    assert row["total_orders"] == 59


async def test_a_source_changed_while_it_is_read_is_not_committed(tmp_path: Path) -> None:
    read = FolderStore.read
    path = put(tmp_path, GOOD)

    async def read_and_change(self: FolderStore, info: ObjectInfo, start: int, end: int) -> bytes:
        if start == 0 and info.key.endswith("1.csv"):
            path.write_text(GOOD + ROW)
        return await read(self, info, start, end)

    async with Pipeline(tmp_path / "work") as pipeline:
        assert pipeline.state is not None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FolderStore, "read", read_and_change)
            with pytest.raises(SourceError, match="changed while it was being read"):
                await pipeline.validate(path)
        assert await pipeline.state.head() == 0
        assert (await pipeline.validate(path)).rows_read == 60


async def test_a_name_of_any_bytes_is_a_name(tmp_path: Path) -> None:
    name = b"caf\xe9 \xff.csv".decode("utf-8", "surrogateescape")
    async with Pipeline(tmp_path / "work") as pipeline:
        assert pipeline.state is not None
        entry = await pipeline.validate(put(tmp_path, GOOD, f"orders/{name}"))
        assert await pipeline.state.find(entry.source_id) == entry
    assert entry.url.endswith("orders/caf\\xe9 \\xff.csv")
    assert entry.rows_clean == 59


async def test_what_parses_is_imported_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a quarter of a second, in which the first bytes come."""
    in_main_thread: list[bool] = []
    import_now = worker.validate.validate_source.import_source_validation

    def import_and_note() -> type[SourceValidation]:
        in_main_thread.append(threading.current_thread() is threading.main_thread())
        return import_now()

    monkeypatch.setattr(
        worker.validate.validate_source, "import_source_validation", import_and_note
    )
    await receipt(tmp_path, GOOD)
    assert in_main_thread == [False]


async def test_of_two_workers_at_once_one_commits(tmp_path: Path) -> None:
    path = put(tmp_path, HEADER + ROW)
    async with Pipeline(tmp_path, built_in()) as pipeline:
        source = await pipeline.source(path)
        both = [validate(source, pipeline.context()) for _ in range(2)]
        (first, is_first), (second, is_second) = await asyncio.gather(*both)
        assert first == second
        assert {is_first, is_second} == {True, False}
        assert (await validate(source, pipeline.context()))[1] is False
