"""What the measured seconds cost by public price lists: `python -m benchmarks.cost`.

Prices are those that COST.md names with their sources; nothing here was run in AWS. The
tables of COST.md come from the outcomes of the last run of the case `clean`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import sample
from benchmarks.measure import ROOT
from benchmarks.report import GOAL_ORDERS, table
from benchmarks.results import Runs, load

# US dollars an hour, us-east-1, Linux on x86.
FARGATE_VCPU, FARGATE_GB = 0.04048, 0.004445
SPOT_SHARE = 0.5  # of the list price; AWS speaks of up to 70 % off, it moves with demand
GLUE_DPU = 0.44  # 4 vCPU and 16 GB
ATHENA_TB_SCANNED = 5.00

# US dollars a request or unit, us-east-1.
S3_GET, S3_PUT = 0.40e-6, 5.00e-6
DYNAMODB_READ, DYNAMODB_WRITE = 0.125e-6, 0.625e-6

TASK_VCPU, TASK_GB = 2, 4  # the least memory that Fargate gives to 2 vCPU
DPU_VCPU = 4

START_S = 30
"""Until a Fargate task reads its first byte: placing it and pulling the image. Not measured."""

RANGE_GB = 8
"""Bytes of one range of a huge file, in GB."""

START = "<!-- measured: `python -m benchmarks.cost` writes this -->"
END = "<!-- /measured -->"

PARQUET_SHARE = 0.06
"""Bytes that one KPI query reads of clean Parquet, of the bytes of its CSV."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One way to do the work.

    Attributes:
        name: Engine and service.
        dollars_per_gb: Per GB (10^9 bytes) of raw CSV.
        how: The calculation in words.
    """

    name: str
    dollars_per_gb: float
    how: str


def lines(runs: Sequence[Runs], *, gigabytes: float) -> list[Line]:
    """Compute what each way costs.

    Args:
        runs: Of the case `clean`: ours, and Spark's where it ran.
        gigabytes: Raw CSV of that case, in 10^9 bytes.
    """
    found = {one.name: one for one in runs}
    mine = found["shopkpi"].best_s / gigabytes
    hour = TASK_VCPU * FARGATE_VCPU + TASK_GB * FARGATE_GB
    fargate = mine / 3600 * hour
    of_task = f"Fargate, {TASK_VCPU} vCPU and {TASK_GB} GB"
    result = [
        Line(
            name=f"shopkpi, {of_task}",
            dollars_per_gb=fargate,
            how=f"{mine:.1f} s wall a GB at ${hour:.5f} an hour",
        ),
        Line(
            name=f"shopkpi, Spot, {of_task}",
            dollars_per_gb=fargate * SPOT_SHARE,
            how=f"the same at {SPOT_SHARE:.0%} of the price",
        ),
    ]
    spark = found.get("Spark local[2]")
    if spark is not None:
        core_hours = min(spark.cpu_s) / gigabytes / 3600
        measured = f"{core_hours * 3600:.0f} CPU seconds a GB"
        result += [
            Line(
                name="Spark, Glue",
                dollars_per_gb=core_hours / DPU_VCPU * GLUE_DPU,
                how=f"{measured} at {DPU_VCPU} vCPU a DPU, every core busy all the time",
            ),
        ]
    athena = ATHENA_TB_SCANNED / 1000 * (1 + 2 * PARQUET_SHARE)
    result.append(
        Line(
            name="SQL, Athena",
            dollars_per_gb=athena,
            how="CSV scanned once (CTAS to Parquet), and two KPI queries over a few columns",
        )
    )
    return result


def fan_out(runs: Sequence[Runs], *, gigabytes: float) -> list[tuple[str, ...]]:
    """10 TB in ranges: cells of seconds a GB, tasks, seconds a task, cost, hours at 100 and 1,000.

    Args:
        runs: Of the case `clean`; ours is looked at.
        gigabytes: Raw CSV of that case, in 10^9 bytes.
    """
    (mine,) = (one for one in runs if one.name == "shopkpi")
    each_s = START_S + RANGE_GB * mine.best_s / gigabytes
    tasks = math.ceil(10_000 / RANGE_GB)
    hour = TASK_VCPU * FARGATE_VCPU + TASK_GB * FARGATE_GB
    waves = (f"{math.ceil(tasks / at_once) * each_s / 60:.0f} min" for at_once in (100, 1_000))
    return [
        (
            f"{mine.best_s / gigabytes:.1f} s",
            f"{tasks:,}",
            f"{each_s:.0f} s",
            f"${tasks * each_s / 3600 * hour:.2f}",
            *waves,
        )
    ]


def section(runs: Sequence[Runs], *, gigabytes: float) -> str:
    """Render the tables of COST.md."""
    services = [
        (
            line.name,
            f"${line.dollars_per_gb:.5f}",
            f"${line.dollars_per_gb * 1000:.2f}",
            line.how,
        )
        for line in lines(runs, gigabytes=gigabytes)
    ]
    return "\n\n".join(
        (
            table(("way", "1 GB", "1 TB", "calculation"), services),
            table(
                ("*W*", "tasks for 10 TB", "each", "cost on Fargate", "100 at once", "1,000"),
                fan_out(runs, gigabytes=gigabytes),
            ),
        )
    )


def main() -> None:
    """Write the tables into COST.md, from the outcomes in a scratch folder (default: .bench)."""
    scratch = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".bench"
    (clean,) = (
        one for one in load(scratch / f"outcomes-{GOAL_ORDERS}.json") if one.case == "clean"
    )
    given = sample(scratch, orders=GOAL_ORDERS)
    written = section(clean.runs, gigabytes=given.size_bytes / 1e9)
    target = Path(__file__).with_name("COST.md")
    before, start, rest = target.read_text("utf-8").partition(START)
    _, end, after = rest.partition(END)
    measured = f"Measured {clean.measured_at[:10]} at commit {clean.commit}."
    target.write_text(f"{before}{start}\n{written}\n\n{measured}\n{end}{after}", "utf-8")
    print(written)


if __name__ == "__main__":
    main()
