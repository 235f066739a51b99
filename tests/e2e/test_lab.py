"""Real lab data, where it lies beside the checkout, and what others published for it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.support import oracle
from tests.support.shops import run

LAB = Path(__file__).parents[3] / "shared" / "data" / "lab"


@pytest.mark.skipif(not LAB.exists(), reason="the lab data is not here; it is not part of shopkpi")
def test_lab_data_gives_published_counts_and_oracle_rows(tmp_path: Path) -> None:
    files = {name: sorted((LAB / name).glob("*.csv")) for name in oracle.COLUMNS}
    rows = run(tmp_path, [path for paths in files.values() for path in paths])
    assert rows == oracle.kpis(files)
    with (LAB / "published_order_kpi.csv").open() as file:
        published = {row["order_date"]: row for row in csv.DictReader(file)}
    assert len(rows["order_kpis"]) == len(published) == 31
    for row in rows["order_kpis"]:
        known = published[str(row["order_date"])]
        assert row["total_orders"] == int(known["total_orders"])
        assert row["unique_customers"] == int(known["unique_customers"])
