"""What one upload costs as history grows: counts of requests and units, and CPU a file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from benchmarks import ours
from benchmarks.cases.busy_day import busy_day
from benchmarks.cases.cloud import create_tables
from benchmarks.cases.counting import Counted, count
from benchmarks.cases.engines import Found
from benchmarks.cases.long_ledgers import long_ledgers
from benchmarks.emulator import client_environment, put_objects, running_ministack, upload
from benchmarks.measure import measure
from benchmarks.results import Row, Runs
from benchmarks.rounds import Bench
from benchmarks.tap import Tap, tapped

FILE_ORDERS = 20
HISTORIES = (50, 1_000)
FEW_FILES, MANY_FILES = 500, 5_000
FIRST_DAY = date(2015, 1, 1)
FIRST_MTIME = 1_500_000_000


def growth(bench: Bench) -> Found:
    """Count one upload's transform after short and long histories, and what many files cost."""
    is_whole = bench.orders >= 1_000_000
    histories = HISTORIES if is_whole else tuple(one // 5 for one in HISTORIES)
    logs = bench.scratch / "logs" / "growth"
    transforms: list[Counted] = []
    known: list[Counted] = []
    for files in histories:
        with running_ministack(logs / "ministack.log") as endpoint, tapped(endpoint) as tap:
            transforms.append(_one_more_day(bench, files, endpoint, tap, logs))
            known.append(_known_files(files, tap, logs))
    counts = [files if is_whole else files // 10 for files in (FEW_FILES, MANY_FILES)]
    few, many = (_run_files(bench, files) for files in counts)
    rows = [*_transform_rows(histories, transforms), *_known_rows(histories, known)]
    rows += [*busy_day(bench), *long_ledgers(bench)]
    each = [runs.cpu_s[0] / files for runs, files in zip((few, many), counts, strict=True)]
    rows.append(
        Row(
            what=f"CPU a file, {counts[1]:,} small files in one run, of {counts[0]:,}",
            ours=f"{1000 * each[1]:.1f} ms",
            other=f"{1000 * each[0]:.1f} ms",
            best=each[1] / each[0],
            limit=1.2,
        )
    )
    return rows, [few, many], "each transform published one day, each run all files"


def _transform_rows(histories: Sequence[int], found: Sequence[Counted]) -> list[Row]:
    short, long = found
    what = f"of one upload's transform after {histories[1]:,} files, after {histories[0]}"

    def row(name: str, values: tuple[int, int], limit: float | None) -> Row:
        return Row(
            what=f"{name} {what}",
            ours=str(values[1]),
            other=str(values[0]),
            best=values[1],
            unit="",
            limit=limit,
        )

    return [
        row("S3 GET", (short.gets, long.gets), 250),
        row("S3 HEAD", (short.heads, long.heads), 0),
        row("S3 PUT and LIST", (short.puts, long.puts), None),
        row("DynamoDB requests", (short.units.requests, long.units.requests), None),
        row("read units", (short.units.read, long.units.read), 200),
        row("write units", (short.units.write, long.units.write), 60),
        Row(
            what=f"price {what}",
            ours=f"${long.dollars:.6f}",
            other=f"${short.dollars:.6f}",
            best=long.dollars / short.dollars,
            limit=1.3,
        ),
    ]


def _known_rows(histories: Sequence[int], found: Sequence[Counted]) -> list[Row]:
    short, long = found
    return [
        Row(
            what=f"DynamoDB requests of `run` over {histories[1] + 1:,} known files, "
            f"of {histories[0] + 1}",
            ours=str(long.units.requests),
            other=str(short.units.requests),
            best=long.units.requests,
            unit="",
            limit=200,
        )
    ]


def _one_more_day(bench: Bench, files: int, endpoint: str, tap: Tap, logs: Path) -> Counted:
    """Publish a history, upload one more day, and count its transform."""
    folder = history(bench.scratch / "growth", files)
    environment = client_environment(tap.endpoint_url)
    upload(endpoint, "clean", [])
    upload(endpoint, "incoming", [])
    keys = [(path, f"{path.parent.name}/{path.name}") for path in sorted(folder.glob("*/*.csv"))]
    put_objects(endpoint, "incoming", keys)
    state = {"workspace": "s3://clean", "state": "dynamodb://growth"}
    create_tables(state["state"], logs, environment)
    measure(
        ours.command("run", "s3://incoming", **state),
        log=logs / "history.log",
        environment=environment,
        sample=False,
    )
    new = bench.scratch / "growth" / "new.csv"
    new.write_text(_orders(files))
    put_objects(endpoint, "incoming", [(new, "orders/new.csv")])
    measure(
        ours.command("validate", "s3://incoming/orders/new.csv", **state),
        log=logs / "validate.log",
        environment=environment,
        sample=False,
    )
    usage, counted = count(ours.command("transform", **state), tap, logs)
    if ours.published(usage)["days"] != 1:
        raise ours.WrongResult("expected one day to be published")
    return counted


def _known_files(files: int, tap: Tap, logs: Path) -> Counted:
    """Count a run that finds nothing new."""
    state = {"workspace": "s3://clean", "state": "dynamodb://growth"}
    usage, counted = count(ours.command("run", "s3://incoming", **state), tap, logs)
    known = sum(one.get("files", 1) for one in ours.events(usage, "source.known"))
    if known != files + 2:
        raise ours.WrongResult(f"expected {files + 2} known files, got {known}")
    return counted


def _run_files(bench: Bench, files: int) -> Runs:
    """Run a folder of many small files, on the disk."""
    folder = history(bench.scratch / "growth", files)
    out = bench.folder("growth") / str(files)
    shutil.rmtree(out, ignore_errors=True)
    usage = measure(
        ours.command("run", folder, workspace=out),
        log=bench.scratch / "logs" / "growth" / f"{files}.log",
    )
    committed = len(ours.events(usage, "source.committed"))
    if committed != files + 1:
        raise ours.WrongResult(f"expected {files + 1} source objects, got {committed}")
    return Runs.of(f"{files:,} small files", [usage])


def history(scratch: Path, files: int) -> Path:
    """Write files of 20 orders and of their items, a day each pair, and one of products."""
    folder = scratch / str(files)
    if (folder / "products").exists():
        return folder
    for name in ("orders", "order_items"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(files // 2):
        for name, text in (("orders", _orders(number)), ("order_items", _items(number))):
            path = folder / name / f"{number:06d}.csv"
            path.write_text(text)
            os.utime(path, (FIRST_MTIME + number, FIRST_MTIME + number))
    (folder / "products").mkdir()
    products = "".join(f"{one},SKU{one},1.00,C{one % 10},n,b,2.00,d\n" for one in range(1, 1001))
    header = "id,sku,cost,category,name,brand,retail_price,department\n"
    (folder / "products" / "1.csv").write_text(header + products)
    return folder


def _orders(number: int) -> str:
    day = FIRST_DAY + timedelta(days=number)
    rows = (
        f"{one},{one % 997},delivered,{day}T{one % 24:02d}:00:00,,,,1\n" for one in _ids(number)
    )
    return (
        "order_id,user_id,status,created_at,returned_at,shipped_at,delivered_at,num_of_item\n"
        + "".join(rows)
    )


def _items(number: int) -> str:
    day = FIRST_DAY + timedelta(days=number)
    rows = (
        f"{one},{one},{one % 997},{one % 1000 + 1},delivered,{day}T{one % 24:02d}:00:00,,,,"
        f"{one % 50 + 1}.00\n"
        for one in _ids(number)
    )
    return (
        "id,order_id,user_id,product_id,status,created_at,shipped_at,delivered_at,returned_at,"
        "sale_price\n" + "".join(rows)
    )


def _ids(number: int) -> range:
    return range(number * FILE_ORDERS + 1, (number + 1) * FILE_ORDERS + 1)
