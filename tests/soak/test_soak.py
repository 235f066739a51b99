"""The soak itself, for a moment: `make soak` runs it for minutes or hours."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.soak import service, workers
from tests.soak.__main__ import Left, growth, main
from tests.soak.judge import judge
from tests.support.commands import shopkpi

TAMPERED = {
    "order_kpis ('": "UPDATE order_kpi_rows SET total_orders = total_orders + 1",
    "category_kpis ('": "DELETE FROM category_kpi_rows WHERE category = 'Books'",
    "of them clean, got": "UPDATE ledger SET record = json_set(record, '$.rows_read', -1) "
    "WHERE kind = 'entry'",
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
    _see_what_is_left_out(home)
    for complaint, statement in TAMPERED.items():
        with closing(sqlite3.connect(home / "work" / "shopkpi.db")) as db, db:
            db.execute(statement)
        verdict = asyncio.run(judge(home / "uploads", home / "truths", home / "work"))
        assert any(complaint in one for one in verdict.differences), complaint


def _see_what_is_left_out(home: Path) -> None:
    ledger = home / "work" / "shopkpi.db"
    given = {path: path.stat().st_mtime_ns for path in (home / "uploads").glob("*/*.csv")}
    assert not workers.left_out(given, ledger)
    newer = next(iter(given))
    for wanted in ({newer: given[newer] + 1}, {home / "uploads" / "orders" / "other.csv": 1}):
        assert workers.LEFT_OUT in workers.left_out(given | wanted, ledger)


def test_runs_say_how_much_they_read(tmp_path: Path) -> None:
    shopkpi(tmp_path, "sample", "in", "--orders", "50", "--days", "2")
    run = ("run", "in", "--format", "json")
    events = shopkpi(tmp_path, *run).out.encode()
    assert workers.read_share(events) >= workers.MOST
    # A worker is killed in the middle of its last line.
    assert workers.read_share(events[:-9]) == 0.0
    assert workers.read_share(shopkpi(tmp_path, *run).out.encode()) == 0.0


def test_what_grows_is_told() -> None:
    def runs(**grown: int) -> list[workers.Run]:
        """Thirty files and a run each second."""
        return [
            workers.Run(
                at_s=float(second),
                read_most=second % 2 == 0,
                signal=None,
                code=0,
                uploads=30 * second,
                committed=30 * second,
                state_bytes=30 * second * (1000 + grown.get("state", 0) * second),
                rss_bytes=10**8 + grown.get("most" if second % 2 == 0 else "some", 0) * 30 * second,
                files=9,
                error=None,
            )
            for second in range(1, 91)
        ]

    left = Left(log_bytes=0, objects=1, unfinished=0, unfinished_bytes=0)
    assert growth(runs(), left, 1) == []
    assert growth(runs(some=5000, most=15_000), left, 1) == []
    assert "some objects" in growth(runs(some=6500), left, 1)[0]
    assert "most objects" in growth(runs(most=16_500), left, 1)[0]
    assert "an entry" in growth(runs(state=10), left, 1)[0]
    assert "log" in growth(runs(), replace(left, log_bytes=2**25), 1)[0]
    assert "unfinished" in growth(runs(), replace(left, unfinished=9), 1)[0]


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
