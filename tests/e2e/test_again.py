"""Files that were refused before, and those whose dataset was named by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.files import ITEMS, ORDERS, put
from tests.support.commands import Shopkpi
from worker.state import Entry
from worker.validate import validate_source
from worker.validate.verdict import check_balance


def events(shopkpi: Shopkpi, *words: str) -> list[str]:
    return [event["event"] for event in shopkpi("run", "shop", *words, "--format", "json").events]


def test_a_file_refused_before_is_named_once(shopkpi: Shopkpi) -> None:
    put("shop/orders/a.csv", ORDERS + "1,7,shipped,2025-03-01T10:00:00\n")
    put("shop/orders/bad.csv", "nothing\n1\n")
    assert "run.refused_before" not in events(shopkpi)
    done = shopkpi("run", "shop", "--format", "json")
    (told,) = [event for event in done.events if event["event"] == "run.refused_before"]
    assert told["files"] == 1
    assert told["urls"][0].endswith("orders/bad.csv")
    shown = shopkpi("run", "shop", "--format", "table").out
    assert "refused before: 1 file: orders/bad.csv (--again" in shown.replace(
        "shop/orders", "orders"
    )


def test_again_validates_refused_files_under_the_same_contract(
    shopkpi: Shopkpi, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("shop/orders/a.csv", ORDERS + "1,7,shipped,2025-03-01T10:00:00\n")
    refuse = check_balance

    def refuse_all(entry: Entry) -> Entry:
        """Judge as an earlier release that was less tolerant."""
        return replace(
            refuse(entry), verdict="refused", reason="old", parts=(), rows_clean=0, rows_rejected=1
        )

    monkeypatch.setattr(validate_source, "check_balance", refuse_all)
    assert "source.refused" in events(shopkpi)
    known = len(shopkpi("ledger", "--format", "json").json)
    # Refused for the same reason once more, it leaves no second entry.
    assert "source.refused" not in events(shopkpi, "--again")
    assert len(shopkpi("ledger", "--format", "json").json) == known
    monkeypatch.undo()
    assert "source.committed" not in events(shopkpi)
    assert "source.committed" in events(shopkpi, "--again")
    assert len(shopkpi("query", "orders", "--format", "json").json) == 1
    assert shopkpi("audit").code == 0


def test_a_known_file_is_not_read_as_another_dataset(shopkpi: Shopkpi) -> None:
    put("some.csv", ORDERS + "1,7,shipped,2025-03-01T10:00:00\n")
    assert shopkpi("run", "some.csv", "--dataset", "orders").code == 0
    known = shopkpi("ledger", "--format", "json").json
    put("new/items.csv", ITEMS + "1,1,5,,10.00\n")
    done = shopkpi("run", "some.csv", "new/items.csv", "--dataset", "order_items")
    assert done.code == 2
    assert "expected orders, as which the ledger has this file" in done.err
    assert shopkpi("ledger", "--format", "json").json == known
    assert shopkpi("run", "some.csv", "--dataset", "orders").code == 0
    assert Path("some.csv").exists()
