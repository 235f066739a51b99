"""Cases of a shop's daily life: one more day, many small files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import kpis, ours
from benchmarks.cases.engines import MEMORY_MIB, Found, shopkpi
from benchmarks.data import Sample, next_day, sample
from benchmarks.measure import Usage, measure, warm
from benchmarks.results import Row, memory, seconds
from benchmarks.rounds import Bench, Subject, measure_rounds

DAY_ORDERS = 10_000
SMALL_FILES = 500
SMALL_ROWS = 1_000


def day(bench: Bench) -> Found:
    """One more day after a year is in: each run adds the next day to the same workspace."""
    year = sample(bench.scratch, orders=bench.orders)
    orders = min(DAY_ORDERS, bench.orders // 10)
    numbers = range(1, bench.repeats + 1)
    days = [next_day(bench.scratch, year, number, orders=orders) for number in numbers]
    workspace = bench.folder("day-year")
    first = shopkpi("year", year)
    before = measure(first.command(workspace), log=bench.scratch / "logs" / "day" / "year.log")
    first.check(before, workspace)
    warm([path for one in days for path in one.files])
    waiting: Iterator[Sample] = iter(days)
    given: list[Sample] = []

    def command(_: Path) -> list[str]:
        given.append(next(waiting))
        return ours.command("run", given[-1].folder, workspace=workspace)

    def check(usage: Usage, _: Path) -> None:
        ours.check_rows(usage, given[-1])
        done = ours.published(usage)
        if done["days"] != 1 or done["waiting_items"]:
            raise ours.WrongResult(f"expected one day and no waiting items, got {done}")

    subject = Subject(name="one more day", command=command, check=check)
    found = measure_rounds(bench, "day", [subject])["one more day"]
    _check_totals(workspace, [year, *days])
    lines = [ours.published(usage) for usage in found.usages]
    share = max(line["clean_bytes_read"] / line["clean_bytes"] for line in lines)
    rows = [
        seconds("wall of one more day, start-up included", found.runs, 1.5),
        Row(
            what="bytes read from the clean zone, of all",
            ours=f"{max(line['clean_bytes_read'] for line in lines) / 1e6:.1f} MB",
            other=f"{lines[0]['clean_bytes'] / 1e6:.1f} MB",
            best=100 * share,
            unit="%",
            limit=5.0,
        ),
        memory("peak memory", found.runs, MEMORY_MIB),
    ]
    return rows, [found.runs], "one day was published, and the totals are those of all samples"


def small(bench: Bench) -> Found:
    """500 files of 1,000 rows in one run: a sample of as many rows, cut into as many files."""
    files = SMALL_FILES if bench.orders >= 1_000_000 else SMALL_FILES // 10
    # 2.5 items to an order: two in seven files hold orders.
    of_orders = files * 2 // 7
    orders = of_orders * SMALL_ROWS
    parents = sample(bench.scratch, orders=orders, files=of_orders)
    children = sample(bench.scratch, orders=orders, files=files - of_orders)
    whole = sample(bench.scratch, orders=orders)
    inputs = [
        parents.folder / "orders",
        children.folder / "order_items",
        whole.folder / "products",
    ]
    warm([path for folder in inputs for path in folder.iterdir()])

    def check(usage: Usage, _: Path) -> None:
        ours.check_rows(usage, whole)
        ours.published(usage)
        committed = len(ours.events(usage, "source.committed"))
        if committed != files + 1:
            raise ours.WrongResult(f"expected {files + 1} source objects, got {committed}")

    subject = Subject(
        name=f"{files} small files",
        command=lambda out: ours.command("run", *inputs, workspace=out),
        check=check,
    )
    found = measure_rounds(bench, "small", [subject, shopkpi("three files", whole)])
    mine = found[subject.name]
    kpis.check_same(
        ours.found_kpis(mine.out), ours.found_kpis(found["three files"].out), exact=True
    )
    rows = [
        seconds(f"wall of {files} files of 1,000 rows", mine.runs, 10.0),
        memory("peak memory", mine.runs, MEMORY_MIB),
    ]
    proof = "one transform, and the KPIs equal those of the same rows in three files"
    return rows, [one.runs for one in found.values()], proof


def _check_totals(workspace: Path, given: list[Sample]) -> None:
    result = ours.found_kpis(workspace)
    orders = sum(one.rows["orders"] for one in given)
    items = sum(one.rows["order_items"] for one in given)
    counted = int(kpis.total(result, "total_orders")), int(kpis.total(result, "total_items_sold"))
    if counted != (orders, items):
        raise ours.WrongResult(f"expected {orders} orders and {items} items, got {counted}")
