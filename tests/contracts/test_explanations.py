"""What moved a day, and what it was, over every store."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from tests.contracts.states import CONCURRENTLY
from tests.support.shops import ALL_TABLES, Pipeline, Upload, write
from worker.explain.as_of import changes_between, rows_as_of, sequence_at
from worker.explain.published import explain
from worker.explain.steps import Question
from worker.state import Ruling, State
from worker.transform.day_ranges import ALL_DAYS

pytestmark = CONCURRENTLY

DAY = date(2025, 3, 1)
UPLOADS = (
    Upload("orders", (("1", "7", "", f"{DAY}T10:00:00"), ("2", "8", "", f"{DAY}T11:00:00")), 1),
    Upload("order_items", (("1", "1", "1", "", "5.00"), ("2", "2", "2", "", "7.00")), 2),
    Upload("products", (("1", "Toys"),), 3),
    Upload("orders", (("2", "8", "", "2025-03-02T11:00:00"),), 4),
)


async def question(state: State, home: Path) -> Question:
    """A shop whose last file is retracted after it was published; the rest is published later."""
    pipeline = Pipeline(home)
    pipeline.state = state
    for path in write(home, UPLOADS):
        entry = await pipeline.validate(path)
    await pipeline.transform()
    await state.rule(
        Ruling(
            kind="retraction",
            ruling_id="1",
            source_id=entry.source_id,
            url=entry.url,
            reason="",
            recorded_at=datetime(2026, 3, 1, tzinfo=UTC),
        )
    )
    return Question(
        state=state,
        workspace=pipeline.workspace,
        contract=pipeline.contract,
        tables=ALL_TABLES,
    )


async def test_steps_add_up_on_every_store(state: State, tmp_path: Path) -> None:
    asked = await question(state, tmp_path)
    found = await explain(asked, DAY)
    revenue = [
        (step.sequence, step.kind, change.after["total_revenue"])
        for step in found.steps
        for change in step.changes
        if change.table == "order_kpis" and change.after is not None
    ]
    assert revenue == [
        (1, "upload", Decimal("0.00")),
        (2, "upload", Decimal("12.00")),
        (4, "upload", Decimal("5.00")),
        (5, "retraction", Decimal("12.00")),
    ]
    assert [step.sequence for step in found.steps] == [1, 2, 3, 4, 5]
    assert found.published.reached["order_kpis"] == 4
    assert found.published.rows["order_kpis"][""]["total_revenue"] == Decimal("5.00")
    assert not found.wrong


async def test_earlier_sequences_on_every_store(state: State, tmp_path: Path) -> None:
    asked = await question(state, tmp_path)
    rows = [row async for row in rows_as_of(asked, 2, "category_kpis", None, ALL_DAYS)]
    assert [(row["category"], row["daily_revenue"], row["as_of"]) for row in rows] == [
        ("(unknown)", Decimal("12.00"), 2)
    ]
    changes = [one async for one in changes_between(asked, 3, 4) if one.table == "order_kpis"]
    assert [str(one.order_date) for one in changes] == ["2025-03-01", "2025-03-02"]
    assert [one async for one in changes_between(asked, 3, 5)] == []
    assert await sequence_at(state, datetime.fromtimestamp(1_700_000_002, UTC)) == 2
