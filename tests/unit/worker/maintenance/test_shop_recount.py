"""Faults of language 2 that the engine's own recomputation shares, and the recount finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import kpi.aggregation.shop_lookups
import kpi.aggregation.shop_money
import kpi.aggregation.shop_slice
import kpi.contract.conditions
import kpi.kernels.fixed_point
import kpi.kernels.hash_index
import kpi.kernels.keys
import kpi.mapping.dates
import kpi.mapping.fill
import kpi.mapping.mapper
import kpi.mapping.numbers
import worker.transform.latest_versions
import worker.transform.shop.loader
import worker.transform.shop.precedence
import worker.transform.shop.versions
from tests.language.audited import publish_and_audit
from worker.maintenance.audit import Audit

pytestmark = pytest.mark.slow

DAY = "2025-03-01"
HEAD = """language = 2
name = "shop"
day = "Europe/Istanbul"
times = "America/New_York"
currency = "EUR"
"""
ORDERS = """
[orders]
version = "changed"
returned = { status = "iade edildi" }
deleted = { status = "gone" }
[orders.columns]
order_id = "Order"
created_at = "Date"
user_id = "User"
status = "Status"
changed = "Changed"
"""
KEYED = (
    HEAD
    + """
[[files]]
match = "orders*.csv"
feeds = ["orders"]
[[files]]
match = "lines*.csv"
feeds = ["order_items"]
numbers = "1.234,50"
[[files]]
match = "back*.csv"
feeds = ["refunds"]
[[files]]
match = "goods*.csv"
feeds = ["products"]
[[files]]
match = "kinds*.csv"
feeds = ["kinds"]
"""
    + ORDERS
    + """
[order_items]
key = ["Order", "Line"]
excluded = { product_id = "GIFT*" }
[order_items.columns]
Order = "Order"
Line = "Line"
order_id = "Order"
product_id = "SKU"
quantity = "Qty"
unit_price = "Price"
discount_percent = "Off"
category = { from = "Kind", via = "kinds.Name" }
[refunds]
key = "row"
[refunds.columns]
order_id = "Order"
amount = "Amount"
[products.columns]
id = "SKU"
category = "Kind"
[references.kinds]
key = "Kind"
valid_from = "From"
"""
)
KEYED_FILES = (
    ("goods1.csv", "SKU,Kind\nA,t\nB,h\n"),
    ("kinds1.csv", "Kind,From,Name\nt,2025-01-01,Toys\nt,2025-02-01,Games\nh,2025-01-01,Hats\n"),
    (
        "orders1.csv",
        "Order,Date,User,Status,Changed\n"
        f"1,{DAY} 01:00:00,u1,paid,1\n"
        f"2,{DAY} 02:00:00,u2,\u0130ADE ED\u0130LD\u0130,1\n"
        "3,2025-02-28 18:00:00,u1,paid,9\n"
        f"4,{DAY} 00:00:00,u4,paid,1\n",
    ),
    (
        "lines1.csv",
        "Order;Line;SKU;Qty;Price;Off;Kind\n1;1;A;3;1.000,005;33,3;t\n1;2;GIFTCARD;1;50;;\n"
        "2;1;B;1;7,50;;\n3;1;A;1;(2,25);;t\n4;1;B;1;9;;\n",
    ),
    ("back1.csv", "Order,Amount\n1,-2.50\n"),
    # A later upload of an earlier version, and a deletion.
    (
        "orders2.csv",
        f"Order,Date,User,Status,Changed\n3,{DAY} 03:00:00,u9,paid,5\n4,{DAY} 00:00:00,,gone,2\n",
    ),
    ("lines2.csv", "Order;Line;SKU;Qty;Price;Off;Kind\n1;1;A;2;1.000,005;33,3;t\n"),
)
"""Times are of New York, so that the days are those of Istanbul, seven hours later."""

EXPORT = """
[[files]]
match = "sales*.csv"
feeds = ["orders", "order_items"]
fill = "Order"
"""
EXPORT_COLUMNS = """
[orders.columns]
order_id = "Order"
created_at = "Date"
user_id = "User"
[order_items]
key = "KEY"
[order_items.columns]
order_id = "Order"
after_discount = "Total"
"""
FILLED = HEAD + EXPORT + EXPORT_COLUMNS
FILLED_FILES = (
    (
        "sales1.csv",
        f"Order,Date,User,Total\n1,{DAY},u1,5\n1,,,2\n2,{DAY},,3\n2,,u2,1\n3,{DAY},,4\n",
    ),
    ("sales2.csv", f"Order,Date,User,Total\n2,{DAY},u2,3.50\n"),
)
AGAIN = (*FILLED_FILES, ("sales1.csv", f"Order,Date,User,Total\n1,{DAY},u1,6\n"))


@dataclass(frozen=True)
class Scene:
    """A shop: its contract, and its files from the first upload to the last."""

    contract: str
    files: Sequence[tuple[str, str]]


KEYED_SCENE = Scene(KEYED, KEYED_FILES)
ORDER_SCENE = Scene(FILLED.replace("KEY", "order"), FILLED_FILES)
ROW_SCENE = Scene(FILLED.replace("KEY", "row"), AGAIN)


async def run_and_audit(
    home: Path, scene: Scene = KEYED_SCENE, *, tamper: Callable[[Path], object] = lambda _: None
) -> tuple[Audit, Audit]:
    """Publish a shop; audit a day by the engine alone, and with the recount."""
    files = [(name, text.encode()) for name, text in scene.files]
    return await publish_and_audit(home, scene.contract, files, day=DAY, tamper=tamper)


@pytest.mark.parametrize("scene", [KEYED_SCENE, ORDER_SCENE, ROW_SCENE])
async def test_without_a_fault_nothing_differs(tmp_path: Path, scene: Scene) -> None:
    _, found = await run_and_audit(tmp_path, scene)
    assert (found.days, found.differences, found.recount.refused) == (1, (), {})
    assert found.recount.days == {date.fromisoformat(DAY)}
    # Of a file that came again under its name, the bytes of the earlier version are gone.
    earlier = len(scene.files) - len({name for name, _ in scene.files})
    assert len(found.recount.raw_files) == len(scene.files) - earlier
    assert len(found.recount.clean_files) == earlier


async def test_clean_files_are_read_where_raw_ones_are_gone(tmp_path: Path) -> None:
    def tamper(folder: Path) -> None:
        for path in folder.iterdir():
            path.unlink()

    _, found = await run_and_audit(tmp_path, tamper=tamper)
    assert (found.days, found.differences) == (1, ())
    assert len(found.recount.clean_files) == len(KEYED_FILES)


@dataclass(frozen=True)
class Mutant:
    """A fault: a function of the engine, what is in its place, and a shop that shows it."""

    where: object
    name: str
    fault: Callable[..., Any]
    scene: Scene = KEYED_SCENE


def one_key(table: pa.Table, _: object) -> kpi.kernels.keys.Keys:
    return kpi.kernels.keys.Keys(*np.zeros((2, table.num_rows), np.uint64))


def miss_one_key(index: Any, keys: Any) -> Any:
    found = really_find(index, keys)
    if len(found):
        found[keys.high == keys.high.min()] = -1
    return found


def first_rows(keys: Any) -> Any:
    return (
        ~really_latest(keys)
        | (np.bincount(np.unique(keys.high, return_inverse=True)[1]) == 1)[
            np.unique(keys.high, return_inverse=True)[1]
        ]
    )


def floor(numerators: Any, denominators: Any, scale: int = 0) -> Any:
    return numerators // (denominators * 10**scale)


def any_day(_: object, __: object, wanted: Any, *___: object) -> Any:
    return np.where(wanted >= 0, 0, -1)


def across_groups(_: object, __: str, texts: pa.Array, *___: object) -> pa.Array:
    cells: list[str | None] = []
    for cell in texts.to_pylist():
        cells.append(cells[-1] if cell is None and cells else cell)
    return pa.array(cells, texts.type)


def all_rows(_: object, __: object, found: Any) -> Any:
    return np.ones(sum(len(one.rows) for one in found), bool)


def nothing_replaced(names: Any, **_: object) -> Any:
    return np.full(len(names), -1, np.int64)


def no_sign(texts: pa.Array, form: Any) -> Any:
    return np.abs(really_split(texts, form)[0]), really_split(texts, form)[1]


def no_refunds(table: pa.Table, _: object) -> Any:
    return np.zeros(table.num_rows, np.int64)


really_find = kpi.kernels.hash_index.KeyIndex.find
really_latest = kpi.kernels.keys.latest_rows
really_split = kpi.mapping.numbers._split_sign

VERSIONS = worker.transform.shop.versions
MUTANTS = {
    "hash": Mutant(VERSIONS, "key_columns", one_key),
    "folding": Mutant(kpi.contract.conditions, "fold", lambda text: text.strip().lower()),
    "day zone": Mutant(kpi.mapping.dates, "to_local", lambda instants, _: instants),
    "zone of times": Mutant(kpi.mapping.dates, "to_utc", lambda local, _: local),
    "rounding": Mutant(kpi.kernels.fixed_point, "half_even", floor),
    "join": Mutant(kpi.kernels.hash_index.KeyIndex, "find", miss_one_key),
    "latest version": Mutant(worker.transform.latest_versions, "latest_rows", first_rows),
    "deletion": Mutant(
        worker.transform.shop.loader, "deleted_rows", lambda _, table: np.zeros(len(table), bool)
    ),
    "reference": Mutant(kpi.aggregation.shop_lookups.ReferenceRows, "_in_force", any_day),
    "refunds": Mutant(kpi.aggregation.shop_slice, "refund_amounts", no_refunds),
    "excluded lines": Mutant(
        kpi.aggregation.shop_slice, "_holds", lambda _, table: np.zeros(len(table), bool)
    ),
    "signs": Mutant(kpi.mapping.numbers, "_split_sign", no_sign),
    "percent": Mutant(kpi.aggregation.shop_money, "_shares", lambda _: None),
    "fill": Mutant(kpi.mapping.fill.Filler, "_forward", across_groups, ORDER_SCENE),
    "order key": Mutant(VERSIONS.ShopVersions, "_latest", all_rows, ORDER_SCENE),
    "row key": Mutant(worker.transform.shop.precedence, "replaced_by", nothing_replaced, ROW_SCENE),
}


@pytest.mark.parametrize("name", MUTANTS)
async def test_a_fault_is_found_by_the_recount_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    mutant = MUTANTS[name]
    monkeypatch.setattr(mutant.where, mutant.name, mutant.fault)
    blind, found = await run_and_audit(tmp_path, mutant.scene)
    assert blind.differences == ()
    assert found.recount.days <= {date.fromisoformat(DAY)}
    assert found.differences
