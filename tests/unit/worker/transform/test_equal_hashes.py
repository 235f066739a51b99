"""A hash that makes ids equal merges no rows: KPIs are those of the real hash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kpi.contract.loading import built_in
from kpi.kernels.key_hashing import KeyHasher
from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS, sales
from tests.language.files import File
from tests.language.product import check
from tests.support.shops import Pipeline, Upload, write
from worker.transform.limits import TransformLimits

pytestmark = pytest.mark.slow

really_hash = KeyHasher.hash_rows


def one_hash(_: KeyHasher, columns: list[pa.ChunkedArray]) -> tuple[Any, Any]:
    """All ids have one hash."""
    zeros = np.zeros(len(columns[0]), np.uint64)
    return zeros, zeros


def hash_of_a_pair(hasher: KeyHasher, columns: list[pa.ChunkedArray]) -> tuple[Any, Any]:
    """`...2` has the hash of `...1`: two orders, customers, products, items."""
    return really_hash(
        hasher,
        [
            pc.replace_substring_regex(one, "2$", "1") if pa.types.is_string(one.type) else one
            for one in columns
        ],
    )


DAY, NEXT = "2025-03-01", "2025-03-02"
UPLOADS = (
    Upload("products", (("p1", "Toys"), ("p2", "Hats"), ("p3", "Swim")), 0),
    Upload(
        "orders",
        (
            ("A1", "u1", "Shipped", f"{DAY}T10:00:00"),
            ("A2", "u2", "Returned", f"{DAY}T11:00:00"),
            ("A3", "u1", "Shipped", f"{NEXT}T12:00:00"),
        ),
        1,
    ),
    Upload(
        "order_items",
        (
            ("1", "A1", "p1", "", "5000.00"),
            ("2", "A1", "p2", "", "0.02"),
            ("3", "A2", "p2", "", "7.33"),
            ("4", "A3", "p3", "", "1.50"),
            ("12", "A12", "p1", "", "9.00"),  # an order that never comes
        ),
        2,
    ),
    # Later versions: of the second of each pair.
    Upload("orders", (("A2", "u9", "Shipped", f"{NEXT}T23:30:00"),), 3),
    Upload("order_items", (("2", "A2", "p1", "", "2.50"),), 4),
    Upload("products", (("p2", "Caps"),), 5),
)


async def kpi_rows(home: Path, limits: TransformLimits) -> dict[str, list[dict[str, object]]]:
    async with Pipeline(home / "work", built_in("string-ids")) as pipeline:
        for path in write(home / "shop", UPLOADS):
            assert (await pipeline.validate(path)).verdict == "accepted"
            await pipeline.transform(limits=limits)
        return await pipeline.all_rows()


@pytest.mark.parametrize("stub", [one_hash, hash_of_a_pair])
@pytest.mark.parametrize(
    "limits", [TransformLimits(), TransformLimits(single_pass_rows=1, pass_hashes=2)]
)
async def test_ids_of_one_hash_stay_apart(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stub: Callable[..., Any],
    limits: TransformLimits,
) -> None:
    expected = await kpi_rows(tmp_path / "expected", limits)
    monkeypatch.setattr(KeyHasher, "hash_rows", stub)
    assert await kpi_rows(tmp_path / "found", limits) == expected


@pytest.mark.parametrize("stub", [one_hash, hash_of_a_pair])
def test_ids_of_one_hash_stay_apart_in_language_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stub: Callable[..., Any]
) -> None:
    """`check` compares with a reference that knows no hash."""
    monkeypatch.setattr(KeyHasher, "hash_rows", stub)
    files = [
        File("sales1.csv", sales(f"A1,{DAY},p1,1,5", f"A2,{DAY},p2,2,7", f"A3,{NEXT},p1,1,1"), 0),
        File("sales2.csv", sales(f"A2,{NEXT},p1,1,9", f"A12,{DAY},p2,1,3"), 1),
    ]
    found = check(tmp_path, HEAD + FILES + ORDERS + ITEMS + 'category = "SKU"\n', files)
    assert found.orders[DAY]["total_orders"] == 2
