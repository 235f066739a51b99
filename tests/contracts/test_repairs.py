"""Repairs over every store: two people at once, and the same sheet twice."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from kpi.contract.loading import built_in
from tests.contracts.conftest import Place
from worker.clean import Workspace
from worker.clean.rejects import read_rejects
from worker.maintenance.repair.cells import Form
from worker.maintenance.repair.corrected_rows import CorrectedRow
from worker.maintenance.repair.repair import Repaired, RepairTask
from worker.objects.location import Location
from worker.objects.source import Source
from worker.state import State
from worker.validate.context import ValidationContext
from worker.validate.validate_source import validate

FORM = Form(headers=("order_id", "user_id", "status", "created_at"), delimiter=",")
GOOD = "".join(f"{number},1,x,2025-03-01\n" for number in range(100, 160))
TEXT = f"{','.join(FORM.headers)}\n1,7,x,no\n2,7,x,never\n{GOOD}"


@pytest.mark.parametrize(
    ("place", "state"),
    [("folder", "sqlite"), ("memory", "memory"), ("s3-ministack", "dynamodb-ministack")],
    indirect=True,
)
async def test_two_people_repair_at_once(place: Place, state: State) -> None:
    async with place.store.create(f"{place.root}/raw/orders/1.csv") as writer:
        await writer.write(TEXT.encode())
    info = await place.store.stat(f"{place.root}/raw/orders/1.csv")
    source = Source(info=info, dataset="orders", store=place.store)
    location = Location(bucket=info.bucket, key=f"{place.root}/workspace")
    with ThreadPoolExecutor(2) as executor:
        context = ValidationContext(
            contract=built_in(),
            workspace=Workspace(store=place.store, location=location),
            ledger=state,
            executor=executor,
        )
        entry, _ = await validate(source, context)
        source = Source(info=info, dataset="orders", store=place.store)
        rejects = [one async for one in read_rejects(entry, context.workspace)]
        rows = [
            CorrectedRow(
                line=one.row,
                row=one.row,
                digest=one.digest,
                cells=(str(one.row), "7", "x", "2025-03-02"),
            )
            for one in rejects
        ]

        async def repair(*sheet: CorrectedRow) -> Repaired:
            task = RepairTask(source=source, form=FORM, rows=sheet, context=context)
            return await task.run()

        done = await asyncio.gather(*(repair(row) for row in rows))
        assert [one.new for one in done] == [1, 1]
        last = await context.find(entry.source_id)
        assert last is not None
        assert (last.rows_clean, last.rows_rejected, last.rows_repaired) == (62, 0, 2)
        head = await state.head()
        assert head == 3
        again = await repair(*rows)
        assert (again.new, again.entry.sequence, await state.head()) == (0, head, head)
