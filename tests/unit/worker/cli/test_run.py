"""Options of `validate` that go with one source, or not with each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import shopkpi


@pytest.mark.parametrize("option", ["--version-id=1", "--range=0-9", "--commit-ranges"])
def test_option_of_one_source_with_two_is_refused(tmp_path: Path, option: str) -> None:
    done = shopkpi(tmp_path, "validate", "a.csv", "b.csv", option)
    assert done.code == 2
    assert f"{option.split('=', maxsplit=1)[0]} goes with one SOURCE" in done.err


def test_range_and_commit_exclude_each_other(tmp_path: Path) -> None:
    done = shopkpi(tmp_path, "validate", "a.csv", "--range=0-9", "--commit-ranges")
    assert done.code == 2
    assert "expected --range or --commit-ranges, not both" in done.err


def test_commit_without_all_ranges_says_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "orders" / "1.csv"
    file.parent.mkdir()
    file.write_bytes(b"order_id,customer_id,status,created_at\n1,1,x,2025-03-01T00:00:00\n")
    done = shopkpi(tmp_path, "validate", "orders/1.csv", "--commit-ranges")
    assert done.code == 1
    size = file.stat().st_size
    assert f"not all ranges are in: nothing from byte 0 of {size} on" in done.err


def test_only_a_table_shows_the_header_of_a_refused_file(tmp_path: Path) -> None:
    file = tmp_path / "shop" / "orders" / "1.csv"
    file.parent.mkdir(parents=True)
    file.write_text("Jane Doe,hunter2,[red]x:smile:\nJohn,y,z\n")
    table = shopkpi(tmp_path, "run", "shop", "--format", "table")
    assert table.code == 0
    assert "its first record: Jane Doe, hunter2, [red]x:smile:" in table.out
    events = shopkpi(tmp_path, "validate", "shop", "--workspace=w", "--format", "json")
    ledger = shopkpi(tmp_path, "ledger", "--format", "json")
    for text in (events.out, events.err, ledger.out):
        assert "hunter2" not in text
        assert "Jane" not in text
    assert "none of them known" in ledger.out
