"""`plan` prints ranges or slices, or writes them where --output says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import shopkpi


def put_orders(tmp_path: Path) -> str:
    file = tmp_path / "orders" / "1.csv"
    file.parent.mkdir()
    rows = "".join(f"{number},7,x,2025-03-01\n" for number in range(100))
    file.write_text(f"order_id,user_id,status,created_at\n{rows}")
    return "orders/1.csv"


def test_output_gets_what_would_be_printed(tmp_path: Path) -> None:
    source = put_orders(tmp_path)
    printed = shopkpi(tmp_path, "plan", source, "--split-bytes", "500")
    written = shopkpi(tmp_path, "plan", source, "--split-bytes", "500", "--output", "p.json")
    assert (written.code, written.out) == (0, "")
    ranges = json.loads((tmp_path / "p.json").read_bytes())
    assert ranges == printed.json
    assert len(ranges) > 2
    ends = [int(one["range"].split("-")[1]) for one in ranges]
    assert [int(one["range"].split("-")[0]) for one in ranges] == [0, *ends[:-1]]
    assert ends[-1] == (tmp_path / source).stat().st_size


@pytest.mark.parametrize("words", [[], ["orders/1.csv", "--days", "3"]])
def test_source_or_days_are_expected(tmp_path: Path, words: list[str]) -> None:
    done = shopkpi(tmp_path, "plan", *words)
    assert done.code == 2
    assert "expected SOURCE or --days, one of them" in done.err
