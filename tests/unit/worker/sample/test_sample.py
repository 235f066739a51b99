from __future__ import annotations

import csv
import gzip
import hashlib
import io
import uuid
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from worker.errors import ConfigError
from worker.sample import DATASETS, SampleReport, SampleSpec, write_sample
from worker.sample.dirt import OUTCOMES
from worker.sample.rows import BLOCK_ROWS

LAB_COLUMNS = {
    "orders": "order_id,user_id,status,created_at,returned_at,shipped_at,delivered_at,num_of_item",
    "order_items": "id,order_id,user_id,product_id,status,created_at,shipped_at,delivered_at,"
    "returned_at,sale_price",
    "products": "id,sku,cost,category,name,brand,retail_price,department",
}
# Columns that no KPI reads; none in Olist's layout.
UNREAD = {
    LAB_COLUMNS["orders"]: {"returned_at", "shipped_at", "delivered_at", "num_of_item"},
    LAB_COLUMNS["order_items"]: {
        *("user_id", "created_at", "shipped_at", "delivered_at", "returned_at"),
    },
    LAB_COLUMNS["products"]: {"sku", "cost", "name", "brand", "retail_price", "department"},
}
OLIST_COLUMNS = {
    "orders": "order_id,customer_id,order_status,order_purchase_timestamp",
    "order_items": "order_id,order_item_id,product_id,price",
    "products": "product_id,product_category_name",
}


def file_bytes(report: SampleReport, dataset: str) -> list[bytes]:
    return [file.path.read_bytes() for file in report.files if file.dataset == dataset]


def rows(report: SampleReport, dataset: str) -> list[dict[str, str]]:
    """Rows as the csv module reads them, which knows nothing of how they were made."""
    texts = [data.decode() for data in file_bytes(report, dataset)]
    return [row for text in texts for row in csv.DictReader(io.StringIO(text, newline=""))]


def digest(report: SampleReport) -> dict[str, str]:
    return {f.path.name: hashlib.sha256(f.path.read_bytes()).hexdigest() for f in report.files}


def is_broken(row: list[bytes], columns: list[str], *, integer_ids: bool) -> bool:
    """Whether the built-in or the Olist contract would reject the row."""
    if len(row) != len(columns):
        return True
    unread = UNREAD.get(",".join(columns), set())
    try:
        fields = {
            name: value.decode()
            for name, value in zip(columns, row, strict=True)
            if name not in unread  # becomes null, whatever it is
        }
    except UnicodeDecodeError:
        return True
    if not all(fields.values()):
        return True
    try:
        for name, value in fields.items():
            if value and name.endswith(("_at", "timestamp")):
                datetime.fromisoformat(value)
            elif name in {"num_of_item", "order_item_id"} and int(value) < 0:
                return True
            elif integer_ids and (name == "id" or name.endswith("_id")):
                int(value)
            elif name in {"cost", "price", "retail_price", "sale_price"} and Decimal(value) < 0:
                return True
    except (ValueError, InvalidOperation):
        return True
    return False


@pytest.mark.parametrize("layout", ["default", "olist"])
@pytest.mark.parametrize("dirty", [0.0, 0.1])
def test_same_spec_gives_same_bytes_another_seed_others(
    tmp_path: Path, layout: Any, dirty: float
) -> None:
    spec = SampleSpec(orders=500, layout=layout, dirty=dirty, products=50)
    once, again, other = (
        write_sample(tmp_path / name, s)
        for name, s in (("a", spec), ("b", spec), ("c", replace(spec, seed=1)))
    )
    assert digest(once) == digest(again)
    assert not set(digest(once).values()) & set(digest(other).values())


def test_a_spec_gives_the_same_bytes_forever(tmp_path: Path) -> None:
    """Benchmarks are comparable only as long as a spec gives the same bytes."""
    report = write_sample(tmp_path, SampleSpec(orders=1000, dirty=0.05, products=100))
    joined = b"".join(file.path.read_bytes() for file in report.files)
    assert (
        hashlib.sha256(joined).hexdigest()
        == "2325025ae84b18e1e41159ec071377cc97732ef4a79308e0af479f0b378086e8"
    )


@pytest.mark.parametrize("ids", ["integer", "uuid"])
def test_clean_sample_is_consistent(tmp_path: Path, ids: Any) -> None:
    spec = SampleSpec(orders=2000, days=40, products=300, ids=ids, start=date(2024, 2, 10))
    report = write_sample(tmp_path, spec)
    assert [file.kinds for file in report.files] == [Counter()] * 3
    orders, items, products = (rows(report, dataset) for dataset in DATASETS)
    for dataset, columns in LAB_COLUMNS.items():
        assert file_bytes(report, dataset)[0].split(b"\n")[0].decode() == columns
    by_id = {order["order_id"]: order for order in orders}
    assert len(by_id) == spec.orders
    assert len({item["id"] for item in items}) == len(items)
    assert {item["product_id"] for item in items} <= {product["id"] for product in products}
    sizes = Counter(item["order_id"] for item in items)
    assert sizes == {order["order_id"]: int(order["num_of_item"]) for order in orders}
    assert all(item["user_id"] == by_id[item["order_id"]]["user_id"] for item in items)
    for row in orders + items:
        reached = {
            "processing": 0, "cancelled": 0, "shipped": 1, "delivered": 2, "returned": 3,
        }[row["status"]]  # fmt: skip
        dates = [row[f"{name}_at"] for name in ("created", "shipped", "delivered", "returned")]
        assert all(dates[: reached + 1])
        assert not any(dates[reached + 1 :])
        assert dates[: reached + 1] == sorted(dates[: reached + 1])
        assert all(text == datetime.fromisoformat(text).isoformat() for text in dates if text)
    days = {date.fromisoformat(order["created_at"][:10]) for order in orders}
    assert days == {spec.start + timedelta(day) for day in range(spec.days)}


def test_a_shop_looks_like_one(tmp_path: Path) -> None:
    report = write_sample(tmp_path, SampleSpec(orders=20_000, products=1000))
    orders, items, products = (rows(report, dataset) for dataset in DATASETS)
    assert 2.45 < len(items) / len(orders) < 2.55
    assert {order["status"] for order in orders} == {
        "processing", "shipped", "delivered", "returned", "cancelled",
    }  # fmt: skip
    assert len({product["category"] for product in products}) == 26
    names = [product["name"] for product in products]
    assert any('"' in name for name in names)
    assert any("," in name for name in names)
    hours = Counter(order["created_at"][11:13] for order in orders)
    assert hours["20"] > 5 * hours["04"] > 0
    for column, share in (("product_id", 0.1), ("user_id", 0.01)):
        counts = Counter(item[column] for item in items).most_common()
        best = sum(count for _, count in counts[: len(counts) // 100])
        assert best > share * len(items), "the best hundredth has several times its share"
    created = [order["created_at"] for order in orders]
    late = sum(before > after for before, after in pairwise(created))
    assert 0 < late < len(created) / 4, "ids ascend roughly in time"
    assert [int(item["id"]) for item in items] == list(range(1, len(items) + 1))
    ids = [int(item["order_id"]) for item in items]
    assert ids == sorted(ids)


def test_ids_across_blocks_and_digit_groups_are_whole(tmp_path: Path) -> None:
    """More orders than a block, and items past 10,000, where digits are made in groups of four."""
    spec = SampleSpec(orders=BLOCK_ROWS + 100, products=20_001)
    report = write_sample(tmp_path, spec)
    assert [int(row["order_id"]) for row in rows(report, "orders")] == [*range(1, spec.orders + 1)]
    assert [row["id"] for row in rows(report, "products")] == [
        str(number) for number in range(1, spec.products + 1)
    ]


def test_uuids_are_unique_version_4_and_out_of_order(tmp_path: Path) -> None:
    report = write_sample(tmp_path, SampleSpec(orders=300, ids="uuid", products=30))
    ids = [row["order_id"] for row in rows(report, "orders")]
    assert all(str(uuid.UUID(text)) == text and uuid.UUID(text).version == 4 for text in ids)
    assert len(set(ids)) == 300
    assert ids != sorted(ids)


def test_olist_layout(tmp_path: Path) -> None:
    report = write_sample(tmp_path, SampleSpec(orders=300, layout="olist", products=50))
    orders, items, products = (rows(report, dataset) for dataset in DATASETS)
    for dataset, columns in OLIST_COLUMNS.items():
        assert file_bytes(report, dataset)[0].split(b"\n")[0].decode() == columns
    by_order: dict[str, list[int]] = {order["order_id"]: [] for order in orders}
    for item in items:
        by_order[item["order_id"]].append(int(item["order_item_id"]))
    assert all(places == [*range(1, len(places) + 1)] for places in by_order.values())
    assert all(len(row["order_id"]) == 32 and int(row["order_id"], 16) for row in orders)
    assert [*by_order] != sorted(by_order)
    assert {item["product_id"] for item in items} <= {row["product_id"] for row in products}
    for order in orders:
        datetime.strptime(order["order_purchase_timestamp"], "%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize("layout", ["default", "olist"])
@pytest.mark.parametrize("ids", ["integer", "uuid"])
@pytest.mark.parametrize(("orders", "dirty"), [(20, 0.001), (4000, 0.02), (500, 0.5)])
def test_dirt_is_what_the_report_says(
    tmp_path: Path, layout: Any, ids: Any, orders: int, dirty: float
) -> None:
    spec = SampleSpec(orders=orders, dirty=dirty, layout=layout, ids=ids, products=200, files=2)
    report = write_sample(tmp_path, spec)
    clean = write_sample(tmp_path / "clean", replace(spec, dirty=0.0))
    integer_ids = layout == "default" and ids == "integer"
    found: Counter[str] = Counter()
    for file, clean_file in zip(report.files, clean.files, strict=True):
        # Latin-1 reads any byte and gives it back.
        text = io.StringIO(file.path.read_bytes().decode("latin-1"), newline="")
        columns, *table = list(csv.reader(text))
        broken = [
            is_broken([v.encode("latin-1") for v in row], columns, integer_ids=integer_ids)
            for row in table
        ]
        assert sum(broken) == file.dirty_rows
        assert len(table) == file.rows == clean_file.rows + file.duplicate_rows
        outcomes = (file.dirty_rows, file.nulled_rows, file.duplicate_rows, file.orphan_rows)
        assert sum(file.kinds.values()) == sum(outcomes)
        width = 2 if layout == "olist" and file.dataset == "order_items" else 1
        keys = Counter(
            tuple(row[:width]) for row, bad in zip(table, broken, strict=True) if not bad
        )
        assert sum(count - 1 for count in keys.values()) == file.duplicate_rows
        found += file.kinds
    for dataset in DATASETS:
        files = [file for file in report.files if file.dataset == dataset]
        wanted = dirty * sum(file.rows - file.duplicate_rows for file in files)
        faulty = sum(file.dirty_rows + file.nulled_rows for file in files)
        assert faulty == pytest.approx(wanted, rel=0.02, abs=13)
    assert set(found) == {
        kind for kind in OUTCOMES if kind != "unread_value" or layout == "default"
    }


def test_orphans_are_items_of_nothing(tmp_path: Path) -> None:
    spec = SampleSpec(orders=2000, dirty=0.02, products=200)
    report = write_sample(tmp_path, spec)
    clean = write_sample(tmp_path / "clean", replace(spec, dirty=0.0))
    parents = {row["order_id"] for row in rows(clean, "orders")}
    products = {row["id"] for row in rows(clean, "products")}
    text = file_bytes(report, "order_items")[0].decode("latin-1")
    items = list(csv.DictReader(io.StringIO(text, newline="")))
    [file] = [file for file in report.files if file.dataset == "order_items"]
    for column, known in (("order_id", parents), ("product_id", products)):
        numbers = [item[column] for item in items if item[column].isdecimal()]
        kind = f"orphan_{column.removesuffix('_id')}"
        assert sum(number not in known for number in numbers) == file.kinds[kind] > 0


def test_later_versions_end_as_the_clean_sample(tmp_path: Path) -> None:
    """Whatever is superseded, the last version of a key is the row of the clean sample."""
    spec = SampleSpec(orders=3000, dirty=0.05, products=200)
    report = write_sample(tmp_path, spec)
    clean_report = write_sample(tmp_path / "clean", replace(spec, dirty=0.0))
    clean = {row["order_id"]: row for row in rows(clean_report, "orders")}
    text = file_bytes(report, "orders")[0].decode("latin-1")
    versions: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(text, newline="")):
        versions.setdefault(row["order_id"], []).append(row)
    twice = {key: found for key, found in versions.items() if key and len(found) == 2}
    assert all(found[1] == clean[key] for key, found in twice.items())
    assert any(found[0] != found[1] for found in twice.values())
    assert any(found[0] == found[1] for found in twice.values())


def test_dirt_is_spread_evenly(tmp_path: Path) -> None:
    report = write_sample(tmp_path, SampleSpec(orders=40_000, dirty=0.01, files=4))
    for dataset in ("orders", "order_items"):
        counts = [file.dirty_rows for file in report.files if file.dataset == dataset]
        assert max(counts) - min(counts) < 0.1 * max(counts)


@pytest.mark.parametrize("files", [3, 12])
def test_files_only_split_the_rows(tmp_path: Path, files: int) -> None:
    spec = SampleSpec(orders=BLOCK_ROWS + 5, products=100)
    whole = write_sample(tmp_path / "whole", spec)
    split = write_sample(tmp_path / "split", replace(spec, files=files))
    for dataset in DATASETS:
        parts = file_bytes(split, dataset)
        assert len(parts) == files
        header = parts[0].split(b"\n", 1)[0] + b"\n"
        assert all(part.startswith(header) for part in parts)
        joined = header + b"".join(part[len(header) :] for part in parts)
        assert [joined] == file_bytes(whole, dataset)
    names = [file.path.name for file in split.files if file.dataset == "orders"]
    assert names == sorted(names)
    assert names[0] == {3: "orders_part1.csv", 12: "orders_part01.csv"}[files]


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_compressed_files_hold_the_same_rows(tmp_path: Path, compression: Any) -> None:
    spec = SampleSpec(orders=200, products=20)
    plain = write_sample(tmp_path / "plain", spec)
    packed = [
        write_sample(tmp_path / name, replace(spec, compression=compression)) for name in "ab"
    ]
    assert digest(packed[0]) == digest(packed[1])
    for plain_file, file in zip(plain.files, packed[0].files, strict=True):
        assert file.path.name == f"{plain_file.path.name}.{compression}"
        assert file.bytes == file.path.stat().st_size < plain_file.bytes
        if compression == "gz":
            text = gzip.decompress(file.path.read_bytes())
        else:
            with pa.CompressedInputStream(pa.OSFile(str(file.path)), "zstd") as stream:
                text = stream.read()
        assert text == plain_file.path.read_bytes()


@pytest.mark.parametrize("layout", ["default", "olist"])
@pytest.mark.parametrize("orders", [0, 1])
@pytest.mark.parametrize("dirty", [0.0, 0.01])
def test_tiny_samples(tmp_path: Path, layout: Any, orders: int, dirty: float) -> None:
    spec = SampleSpec(orders=orders, dirty=dirty, layout=layout, products=1, files=3)
    report = write_sample(tmp_path, spec)
    by_dataset = {file.dataset: file for file in report.files}
    assert by_dataset["orders"].rows >= orders
    assert bool(by_dataset["order_items"].rows) == bool(orders)
    assert by_dataset["orders"].bytes == by_dataset["orders"].path.stat().st_size > 0


def test_progress_ends_at_the_bytes_written(tmp_path: Path) -> None:
    seen: list[int] = []
    report = write_sample(tmp_path, SampleSpec(orders=2 * BLOCK_ROWS), progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 2
    assert seen[-1] == sum(file.bytes for file in report.files)


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(
        ConfigError, match=r"orders is -1.*dirty is 0\.9.*products is 0.*ids is 'x'"
    ):
        SampleSpec(orders=-1, dirty=0.9, products=0, ids="x")  # type: ignore[arg-type]


def test_samples_do_not_mix_but_may_be_written_again(tmp_path: Path) -> None:
    spec = SampleSpec(orders=10, files=2)
    write_sample(tmp_path, spec)
    write_sample(tmp_path, spec)
    with pytest.raises(ConfigError, match="orders_part2"):
        write_sample(tmp_path, replace(spec, files=1))
    assert not (tmp_path / "orders" / "orders_part3.csv").exists()
