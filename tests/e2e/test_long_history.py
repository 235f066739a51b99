"""Questions of one file or day decode few records, however long the history is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import commands
from tests.support.commands import Shopkpi
from worker.state.entry import Entry

FILES = 140
"""More than the 128 records after which a transform writes a checkpoint."""

DECODED = 110
"""Entries that a question may decode: the last 32 of the checkpoint, for each of its readers."""

DAY = ("--from", "2025-03-06", "--to", "2025-03-06", "--format", "json")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shopkpi:
    """A command line beside a shop of many files, with a checkpoint of its ledger."""
    home = tmp_path_factory.mktemp("long")
    folder = home / "shop" / "orders"
    folder.mkdir(parents=True)
    for number in range(FILES):
        day = f"2025-03-{number % 28 + 1:02d}"
        rows = [f"{number * 20 + one},7,{day}\n" for one in range(12)]
        rows[3] = "x,7,2025-03-01\n" if number == 5 else rows[3]
        text = "order_id,user_id,created_at\n" + "".join(rows)
        (folder / f"{number:03d}.csv").write_text(text)
    run = partial(commands.shopkpi, home)
    done = run("run", "shop", "--format", "json")
    assert done.code == 0, done.err
    assert (Path(home) / ".shopkpi" / "index" / "uploads.json").exists()
    return run


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the entries decoded."""
    found: list[str] = []
    parse = Entry.from_json

    def counted(data: bytes) -> Entry:
        entry = parse(data)
        found.append(entry.source_id)
        return entry

    monkeypatch.setattr(Entry, "from_json", counted)
    monkeypatch.setattr("worker.maintenance.recount.AUTOMATIC_RECORDS", FILES // 2)
    return found


@pytest.fixture
def receipt(shop: Shopkpi) -> dict[str, Any]:
    """The receipt of the file with a reject, found by its name in the whole ledger."""
    (found,) = shop("ledger", "005.csv", "--format", "json").json
    assert found["rows_rejected"] == 1
    assert isinstance(found, dict)
    return found


def test_a_receipt_by_its_id(shop: Shopkpi, receipt: dict[str, Any], decoded: list[str]) -> None:
    done = shop("ledger", receipt["source_id"], "--format", "json")
    assert done.json == [receipt]
    assert 0 < len(decoded) <= DECODED


def test_rejects_by_their_id(shop: Shopkpi, receipt: dict[str, Any], decoded: list[str]) -> None:
    done = shop("rejects", receipt["source_id"], "--format", "json")
    assert [one["row"] for one in done.json] == [5]
    assert 0 < len(decoded) <= DECODED


def test_kpis_of_a_day(shop: Shopkpi, decoded: list[str]) -> None:
    assert shop("query", "orders", *DAY).json[0]["total_orders"] == 59
    assert len(decoded) <= DECODED


def test_an_audit_of_a_day(shop: Shopkpi, decoded: list[str]) -> None:
    done = shop("audit", *DAY)
    assert done.code == 0, done.out
    assert done.events[-1]["days"] == 1
    assert 0 < len(decoded) <= DECODED


def test_an_audit_of_all_days_reads_the_ledger(shop: Shopkpi, decoded: list[str]) -> None:
    assert shop("audit", "--recount", "0", "--format", "json").code == 0
    assert len({*decoded}) == FILES


def test_an_unknown_id_is_searched_for_among_names(shop: Shopkpi) -> None:
    done = shop("ledger", "0123456789abcdef", "--format", "json")
    assert done.code == 2
    assert "no source object in the ledger has this id or name" in done.err
