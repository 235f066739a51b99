"""Faults of the product that its own recomputation shares, and the recount finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import kpi.aggregation.calendar
import kpi.aggregation.day_slice
import kpi.kernels.fixed_point
import kpi.kernels.hash_index
import kpi.kernels.keys
import kpi.validation.slow_path
import kpi.validation.timestamps
import worker.maintenance.recount
import worker.transform.intervals
import worker.transform.latest_versions
from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import Contract
from tests.support.shops import ALL_TABLES, Pipeline, Upload, write
from worker.maintenance.audit import Audit, audit
from worker.objects import ObjectStore
from worker.objects.local import FolderStore
from worker.objects.location import Location

pytestmark = pytest.mark.slow

DAY = date(2025, 3, 1)
STRINGS = built_in("string-ids")
ISTANBUL = parse_contract(
    STRINGS.text.replace('business_time_zone = "UTC"', 'business_time_zone = "Europe/Istanbul"')
    .replace('source_time_zone = "UTC"', 'source_time_zone = "Europe/Istanbul"')
    .replace('returned = ["returned"]', 'returned = ["iade edildi"]'),
    source="Istanbul",
)

ORDERS = (
    ("A1", "u1", "Shipped", f"{DAY}T10:00:00"),
    ("A2", "u2", "\u0130ADE ED\u0130LD\u0130", f"{DAY}T00:30:00"),
    ("A3", "u1", "Shipped", f"{DAY}T23:30:00"),
)
ITEMS = (
    ("1", "A1", "p1", "", "10.005"),
    ("2", "A1", "p2", "", "0.02"),
    ("3", "A2", "p1", "", "7.333"),
    ("4", "A3", "p3", " ", "1.50"),
)
PRODUCTS = (("p1", "Toys"), ("p2", "Hats "), ("p3", "Swim"))
UPLOADS = (
    Upload("products", PRODUCTS, 0),
    Upload("orders", ORDERS, 1),
    Upload("order_items", ITEMS, 2),
    # Later versions: another customer, another price.
    Upload("orders", (("A3", "u9", "Shipped", f"{DAY}T23:30:00"),), 3),
    Upload("order_items", (("4", "A3", "p3", "", "2.50"),), 4),
)


async def open_folder(_: Location) -> ObjectStore:
    return FolderStore()


async def run_and_audit(
    home: Path,
    contract: Contract = ISTANBUL,
    uploads: tuple[Upload, ...] = UPLOADS,
    *,
    recount_days: int | None = 1,
    tamper: Callable[[Path], object] = lambda _: None,
) -> Audit:
    async with Pipeline(home / "work", contract) as pipeline:
        for path in write(home / "shop", uploads):
            assert (await pipeline.validate(path)).verdict == "accepted"
        await pipeline.transform()
        tamper(home / "shop")
        assert pipeline.state is not None
        return await audit(
            contract=pipeline.contract,
            workspace=pipeline.workspace,
            state=pipeline.state,
            tables=ALL_TABLES,
            first=DAY,
            last=DAY,
            recount_days=recount_days,
            open_objects=open_folder,
        )


async def test_without_a_fault_nothing_differs(tmp_path: Path) -> None:
    found = await run_and_audit(tmp_path)
    assert (found.days, found.differences) == (1, ())
    assert found.recount.days == {DAY}
    assert (len(found.recount.raw_files), len(found.recount.clean_files)) == (5, 0)


@dataclass(frozen=True)
class Mutant:
    """A fault: a function of the product, and what is in its place."""

    where: object
    name: str
    fault: Callable[..., Any]


def one_key(columns: list[pa.ChunkedArray], _: object = None) -> kpi.kernels.keys.Keys:
    return kpi.kernels.keys.Keys(*np.zeros((2, len(columns[0])), np.uint64))


def miss_one_key(index: Any, keys: Any) -> Any:
    found = really_find(index, keys)
    if len(found):
        found[keys.high == keys.high.min()] = -1
    return found


def no_trim(text: pa.Array, _: object) -> Any:
    return kpi.validation.text.Trimmed(text, np.zeros(len(text), bool))


def first_rows(keys: Any) -> Any:
    latest = really_latest(keys)
    if keys.low is None or len(keys) < 2:
        return latest
    return ~latest | (np.bincount(keys.high.argsort().argsort(), minlength=len(keys)) == 0)


def floor(numerators: Any, denominators: Any, scale: int = 0) -> Any:
    return numerators // (denominators * 10**scale)


really_find = kpi.kernels.hash_index.KeyIndex.find
really_latest = kpi.kernels.keys.latest_rows

MUTANTS = {
    "hash": Mutant(worker.transform.latest_versions, "keys_of", one_key),
    "folding": Mutant(kpi.aggregation.day_slice, "fold", str.lower),
    "business zone": Mutant(kpi.aggregation.calendar, "to_local", lambda instants, _: instants),
    "source zone": Mutant(kpi.validation.timestamps, "to_utc", lambda local, _: local),
    "rounding": Mutant(kpi.kernels.fixed_point, "half_even", floor),
    "join": Mutant(kpi.kernels.hash_index.KeyIndex, "find", miss_one_key),
    "latest version": Mutant(worker.transform.latest_versions, "latest_rows", first_rows),
    "pruning": Mutant(
        worker.transform.intervals.IntervalSet, "intersects", lambda _, interval: interval is None
    ),
    "trimming": Mutant(kpi.validation.slow_path, "trim", no_trim),
}


@pytest.mark.parametrize("name", MUTANTS)
async def test_a_fault_is_found_by_the_recount_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    mutant = MUTANTS[name]
    monkeypatch.setattr(mutant.where, mutant.name, mutant.fault)
    blind = await run_and_audit(tmp_path / "blind", recount_days=0)
    assert blind.differences == ()
    found = await run_and_audit(tmp_path / "found")
    assert found.recount.days <= {DAY}
    assert found.differences


async def test_clean_files_are_read_where_raw_ones_are_gone_or_changed(tmp_path: Path) -> None:
    def tamper(shop: Path) -> None:
        orders, later = sorted((shop / "orders").iterdir())
        orders.unlink()
        later.write_text("order_id\n")

    found = await run_and_audit(tmp_path, tamper=tamper)
    assert (found.days, found.differences) == (1, ())
    assert (len(found.recount.raw_files), len(found.recount.clean_files)) == (3, 2)


async def test_files_of_another_contract_are_counted_from_clean_files(tmp_path: Path) -> None:
    strict = parse_contract(ISTANBUL.text.replace('name = "', 'name = "strict '), source="strict")
    assert strict.digest != ISTANBUL.digest
    async with Pipeline(tmp_path / "work", ISTANBUL) as pipeline:
        for path in write(tmp_path / "shop", UPLOADS):
            await pipeline.validate(path)
        await pipeline.transform()
        assert pipeline.state is not None
        found = await audit(
            contract=strict,
            workspace=pipeline.workspace,
            state=pipeline.state,
            tables=ALL_TABLES,
            recount_days=1,
            open_objects=open_folder,
        )
    assert found.differences == ()
    assert (len(found.recount.raw_files), len(found.recount.clean_files)) == (0, 5)


async def test_days_that_changed_last_are_counted(tmp_path: Path) -> None:
    days = [f"2025-03-{number:02d}" for number in range(1, 21)]
    orders = tuple((f"A{day}", "u", "", f"{day}T12:00:00") for day in days)
    uploads = [Upload("orders", orders, 1), Upload("order_items", ITEMS, 2)]
    async with Pipeline(tmp_path / "work", STRINGS) as pipeline:
        for path in write(tmp_path / "shop", uploads):
            await pipeline.validate(path)
        await pipeline.transform()
        late = Upload("orders", (("late", "u", "", "2025-03-07T12:00:00"),), 3)
        (path,) = write(tmp_path / "late", [late])
        await pipeline.validate(path)
        await pipeline.transform()
        assert pipeline.state is not None
        for _ in range(5):
            found = await audit(
                contract=STRINGS,
                workspace=pipeline.workspace,
                state=pipeline.state,
                recount_days=2,
                open_objects=open_folder,
            )
            assert found.differences == ()
            assert len(found.recount.days) == 2
            assert date(2025, 3, 7) in found.recount.days


async def test_a_day_is_counted_at_its_own_sequence(tmp_path: Path) -> None:
    async with Pipeline(tmp_path / "work", ISTANBUL) as pipeline:
        for path in write(tmp_path / "shop", UPLOADS):
            await pipeline.validate(path)
        await pipeline.transform()
        more = Upload("order_items", (("9", "A1", "p1", "", "3.00"),), 9)
        (path,) = write(tmp_path / "more", [more])
        await pipeline.validate(path)
        # Another day comes to the new head; this one does not.
        await pipeline.transform(first=date(2025, 4, 1))
        assert pipeline.state is not None
        found = await audit(
            contract=ISTANBUL,
            workspace=pipeline.workspace,
            state=pipeline.state,
            tables=ALL_TABLES,
            recount_days=1,
            open_objects=open_folder,
        )
        assert found.differences == ()
        assert found.recount.days == {DAY}


@pytest.mark.parametrize(("limit", "days", "omitted"), [(10**6, 1, False), (100, 0, True)])
async def test_large_uploads_are_counted_only_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, days: int, omitted: bool
) -> None:
    monkeypatch.setattr(worker.maintenance.recount, "AUTOMATIC_BYTES", limit)
    found = await run_and_audit(tmp_path, recount_days=None)
    assert len(found.recount.days) == days
    assert bool(found.recount.omitted) is omitted
