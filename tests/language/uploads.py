"""A shop of language 2 whose files come one after the other."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS, sales
from tests.support.shops import Pipeline
from worker.objects.location import locate
from worker.state import Ruling
from worker.state.records import Decision
from worker.validate.discovery import find_inputs
from worker.validate.validate_source import validate

CONTRACT = (
    HEAD
    + FILES
    + ORDERS
    + ITEMS.replace('key = "order"', 'key = ["Line"]').replace(
        "[order_items.columns]", '[order_items.columns]\nLine = "Line"'
    )
)
"""Lines have a key of their own."""


class Shop:
    """Uploads files in turn, and rules on them."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self._pipeline = pipeline
        self._folder = folder
        self._second = 1_700_000_000

    async def put(
        self, name: str, *rows: str, header: str = "Line,Order,Date,SKU,Qty,Total"
    ) -> str:
        self._second += 10
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(sales(*rows, header=header))
        os.utime(path, (self._second, self._second))
        inputs = await find_inputs(
            [(self._pipeline._store, locate(str(path)))], self._pipeline.contract
        )
        entry, _ = await validate(inputs.sources[0], self._pipeline.context())
        assert entry.verdict == "accepted", entry.reason
        return entry.source_id

    async def rule(self, source_id: str, kind: Decision) -> None:
        assert self._pipeline.state is not None
        self._second += 1
        ruling = Ruling(
            kind=kind,
            ruling_id=f"{kind} {self._second}",
            source_id=source_id,
            url="",
            reason="",
            recorded_at=datetime.now(UTC),
        )
        await self._pipeline.state.rule(ruling)

    async def days(self) -> list[object]:
        return [row["order_date"] for row in await self._pipeline.rows("order_kpis")]
