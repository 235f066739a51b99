"""The soak itself, for a moment: `make soak` runs it for minutes or hours."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.soak import service
from tests.soak.__main__ import main
from tests.soak.judge import judge

TAMPERED = {
    "order_kpis ('": "UPDATE order_kpis SET total_orders = total_orders + 1",
    "category_kpis ('": "DELETE FROM category_kpis WHERE category = 'Books'",
    "of them clean, got": "UPDATE ledger SET entry = json_set(entry, '$.rows_read', -1)",
    "never committed": "DELETE FROM ledger",
}
"""What the judge has to say -> what was done to the state."""


def test_nothing_differs_after_a_while(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = ["--workspace", str(tmp_path / "soak"), "--seed", "ci"]
    code = main(["--minutes", "0.16", "--writers", "2", "--workers", "2", *workspace])
    report = capsys.readouterr().out
    assert code == 0, report
    assert " 0 differences" in report
    assert "by SIG" in report
    home = tmp_path / "soak"
    for complaint, statement in TAMPERED.items():
        with closing(sqlite3.connect(home / "work" / "shopkpi.db")) as db, db:
            db.execute(statement)
        verdict = asyncio.run(judge(home / "uploads", home / "truths", home / "work"))
        assert any(complaint in one for one in verdict.differences), complaint


def test_a_service_does_what_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What it may grow by is judged where there are more commands, in `make soak`."""
    code = service.main(["--commands", "60"])
    report = capsys.readouterr().out
    assert code == 0, report
    assert "48 job.succeeded" in report
    assert "12 job.failed" in report


@pytest.mark.parametrize(
    ("values", "growth"), [([5, 6, 7, 7, 7, 7, 7, 7], 0), ([1, 2, 3, 4, 5, 6, 7, 8, 9], 3)]
)
def test_growth_is_seen(values: list[int], growth: int) -> None:
    assert service.growth(values) == growth
