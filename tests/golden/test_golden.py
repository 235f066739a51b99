"""The golden cases give what is written down, and what is written down is complete and right."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kpi.contract.reject_reasons import Reason
from tests.golden import regenerate
from tests.golden.cases import CASES, EXPECTED, names, run, to_text, uploads
from tests.support import oracle


def expected(case: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = json.loads(
        (CASES / case / EXPECTED).read_text("utf-8")
    )
    return found


@pytest.mark.parametrize("case", names())
def test_a_case_gives_what_is_written_down(case: str) -> None:
    outcome = run(case)
    assert outcome == expected(case)
    assert to_text(outcome) == (CASES / case / EXPECTED).read_text("utf-8")


@pytest.mark.parametrize("case", names())
def test_every_receipt_balances(case: str) -> None:
    written = expected(case)
    for receipt in written["receipts"]:
        assert receipt["rows_read"] == receipt["rows_clean"] + receipt["rows_rejected"]
        aside = [one for one in written["rejects"] if one["file"] == receipt["file"]]
        if receipt["verdict"] == "accepted":
            assert len(aside) == receipt["rows_rejected"]
        size = (CASES / case / receipt["file"]).stat().st_size
        assert receipt["size_bytes"] == size
    files = sorted("/".join(path.parts[-2:]) for path in uploads(case))
    assert sorted(receipt["file"] for receipt in written["receipts"]) == files


@pytest.mark.parametrize("case", names())
def test_every_reject_stands_where_it_is_said_to_stand(case: str) -> None:
    for reject in expected(case)["rejects"]:
        data = (CASES / case / reject["file"]).read_bytes()
        raw = reject["raw"].split("... (")[0].encode()
        found = data[reject["byte_offset"] :].decode("utf-8", "backslashreplace").encode()
        assert found.startswith(raw)
        assert data[: reject["byte_offset"]].endswith((b"\n", b"\r"))


@pytest.mark.parametrize("case", names())
def test_categories_add_up_to_the_day(case: str) -> None:
    written = expected(case)
    for row in written["order_kpis"]:
        for table, attribute in (("category_kpis", "daily_revenue"), ("product_kpis", "revenue")):
            parts = [
                Decimal(one[attribute])
                for one in written[table]
                if one["order_date"] == row["order_date"]
            ]
            # Each of them was rounded by itself.
            slack = Decimal("0.005") * (len(parts) + 1) if case == "units" else 0
            assert abs(sum(parts, Decimal(0)) - Decimal(row["total_revenue"])) <= slack


def test_every_reason_is_shown() -> None:
    shown = {
        reason
        for case in names()
        for one in expected(case)["receipts"]
        for reason in one["reasons"]
    }
    assert shown == set(Reason) - {Reason.MALFORMED_JSON}  # the cases are CSV


@pytest.mark.parametrize("case", ["definitions", "versions"])
def test_the_oracle_agrees(case: str) -> None:
    files: dict[str, list[Path]] = {}
    for path in uploads(case):
        files.setdefault(path.parent.name, []).append(path)
    rows = oracle.kpis(files)
    written = expected(case)
    for table, of_table in rows.items():
        plain = [
            {
                name: value if isinstance(value, int | str) else str(value)
                for name, value in row.items()
            }
            for row in of_table
        ]
        assert written[table] == plain


def test_regenerating_writes_only_what_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "definitions").mkdir()
    monkeypatch.setattr(regenerate, "CASES", tmp_path)
    monkeypatch.setattr("sys.argv", ["regenerate", "definitions"])
    regenerate.main()
    regenerate.main()
    assert capsys.readouterr().out == "definitions: changed\ndefinitions: as it was\n"
    text = (CASES / "definitions" / EXPECTED).read_text("utf-8")
    assert (tmp_path / "definitions" / EXPECTED).read_text("utf-8") == text
