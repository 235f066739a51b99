"""Make up the ledger of years: receipts, checkpoint, days, and what transforms have come to.

    python -m benchmarks.long_ledger RECEIPTS DAYS WORKSPACE STATE

A state whose first upload is published goes on with that many uploads of 20 rows with UUIDs, of
which the checkpoint knows all and the ledger has the last records. No clean file is there: key
index and packs say that they cover all, and have none. So it is no measure of what reading rows of
earlier files costs; `benchmarks.cases.history` counts that after uploads that were made.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np
import pyarrow as pa

from kpi.aggregation.tables import DEFAULT_TABLES, record_names
from worker.clean import Workspace
from worker.clean.ledger_mark import replace_mark
from worker.index.checkpoint import extend_checkpoint, open_checkpoint
from worker.index.upload_rows import upload_rows
from worker.index.upload_table import TableChunk, UploadTable
from worker.objects.location import locate
from worker.packs.pack_object import PackedFile
from worker.packs.packs import Packs
from worker.runtime.concurrency import each
from worker.settings import Settings, read_settings
from worker.state import DayKpis, Entry, Outcome, Progress, Row, State
from worker.state.contract_in_force import contract_of
from worker.state.dynamodb.ledger_writes import Head, LedgerWrites
from worker.state.dynamodb.store import DynamoDBState
from worker.state.entry import Interval, Part
from worker.state.same_ledger import COMPARED_RECORDS, identify_ledger
from worker.state.secret import secret_of
from worker.stores import open_objects
from worker.transform.indexed_files import indexed_columns
from worker.transform.limits import DEFAULT_LIMITS
from worker.transform.snapshot import open_index, open_snapshot

FIRST_DAY: Final = date(2015, 1, 1)
CHUNK_ROWS = 16_384
FILE_ROWS = 20
RECORDS = COMPARED_RECORDS + 8
"""Last receipts that are records of the ledger: what a transform compares, and some before them."""


async def make(settings: Settings, receipts: int, days: int) -> None:
    """Extend the ledger of a state whose first upload is published.

    Args:
        settings: Contract, workspace in S3, and state in DynamoDB.
        receipts: Uploads.
        days: Days that these are on, each with a guard in the KPI tables.
    """
    store = await open_objects(settings.workspace)
    workspace = Workspace(store=store, location=settings.workspace, shop=settings.shop)
    state = await DynamoDBState.open(settings.state_url.removeprefix("dynamodb://"))
    try:
        before = await state.head()
        first = [
            one for one in await state.records(after=0, up_to=before) if isinstance(one, Entry)
        ]
        head = before + receipts
        uploads = _Uploads(first[0], before, receipts, days)
        await _append(state, uploads, head)
        await _publish_days(state, days, head)
        await _write_checkpoint(settings, workspace, state, uploads, head)
        await state.advance(
            Progress(
                published=dict.fromkeys(record_names(DEFAULT_TABLES), head),
                waiting={},
                waiting_as_of=head,
            )
        )
        await _cover(settings, workspace, state, head)
        await state.mark_again(await identify_ledger(state, head), head)
        await replace_mark(workspace, state, head)
    finally:
        await state.close()
        await store.close()


class _Uploads:
    """Receipts of uploads of 20 rows, orders and items by turns, from the first day on."""

    def __init__(self, first: Entry, before: int, count: int, days: int) -> None:
        """Prepare.

        Args:
            first: The upload that is in the ledger.
            before: Sequence after which they begin.
            count: Number of receipts.
            days: Days that these are on.
        """
        self.first = first
        self._before = before
        self._count = count
        self._days = days

    def entry(self, sequence: int) -> Entry:
        random_ = random.Random(sequence)  # noqa: S311  (ids of a made-up shop)
        dataset = "orders" if sequence % 2 else "order_items"
        day = FIRST_DAY + timedelta(days=(sequence - self._before - 1) * self._days // self._count)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        microseconds = int(midnight.timestamp()) * 1_000_000
        digest = hashlib.sha256(str(sequence).encode()).hexdigest()
        ids = {"order_id": _bounds(random_)}
        if dataset == "order_items":
            ids["id"] = _bounds(random_)
        else:
            ids["created_at"] = Interval(low=microseconds, high=microseconds + 86_000_000_000)
        return replace(
            self.first,
            source_id=digest[:16],
            dataset=dataset,
            url=f"s3://incoming/{dataset}/{sequence:09d}.csv",
            version=digest[:32],
            uploaded_at=midnight + timedelta(seconds=86_400 + sequence % 80_000),
            sha256=digest,
            content=None,
            size_bytes=2_000,
            rows_read=FILE_ROWS,
            rows_clean=FILE_ROWS,
            parts=(
                Part(
                    key=f"clean/{dataset}/uploaded_on={day}/{digest[:16]}-{digest[16:24]}.parquet",
                    rows=FILE_ROWS,
                    size_bytes=2_900,
                    ranges=ids,
                ),
            ),
            sequence=sequence,
        )

    def rows(self) -> Iterator[pa.Table]:
        """Yield the rows of all uploads, that of before too."""
        yield upload_rows([self.first])
        last = self._before + self._count
        for start in range(self._before + 1, last + 1, CHUNK_ROWS):
            end = min(start + CHUNK_ROWS, last + 1)
            yield upload_rows(self.entry(one) for one in range(start, end))


def _bounds(random_: random.Random) -> Interval:
    """Return smallest and largest of 20 random UUIDs, about."""
    low, high = random_.getrandbits(123), (1 << 128) - 1 - random_.getrandbits(123)
    return Interval(low=str(uuid.UUID(int=low)), high=str(uuid.UUID(int=high)))


async def _append(state: DynamoDBState, uploads: _Uploads, head: int) -> None:
    """Append the last receipts to the ledger, as if all before them were there."""
    writes = LedgerWrites(state.database)
    reached = uploads.first.sequence
    for sequence in range(head - RECORDS + 1, head + 1):
        appended = writes.append(uploads.entry(sequence), Head(sequence=reached))
        if failed := await state.database.transact("append", appended):
            raise RuntimeError(f"receipt {sequence}: {failed}")
        reached = sequence


async def _publish_days(state: State, days: int, head: int) -> None:
    """Publish a row of each day."""

    async def publish(number: int) -> Outcome:
        day = FIRST_DAY + timedelta(days=number)
        row: Row = {
            "order_date": day.isoformat(),
            **dict.fromkeys(("total_orders", "unique_customers", "total_items_sold"), 500),
            "total_revenue": Decimal("10000.00"),
            "return_rate": Decimal("0.01"),
        }
        tables: dict[str, list[Row]] = {name: [] for name in DEFAULT_TABLES}
        tables["order_kpis"] = [row]
        return await state.publish(DayKpis(order_date=day, tables=tables), head)

    await state.days()  # so that no guard is looked for
    outcomes = await each(list(range(days)), publish, 16)
    if set(outcomes) != {Outcome.PUBLISHED}:
        raise RuntimeError(f"days were not published: {set(outcomes)}")


async def _write_checkpoint(
    settings: Settings, workspace: Workspace, state: State, uploads: _Uploads, head: int
) -> None:
    in_force = await contract_of(state, await state.adoption(), settings.contract)
    await extend_checkpoint(
        await open_checkpoint(workspace, state, in_force, 0),
        workspace,
        state,
        in_force,
        rows=UploadTable([TableChunk(one) for one in uploads.rows()]),
        uncounted=np.zeros(0, np.int64),
        rulings=(),
        up_to=head,
    )


async def _cover(settings: Settings, workspace: Workspace, state: State, head: int) -> None:
    """Let key index and packs cover all files, with nothing in them."""
    contract = settings.contract
    snapshot = await open_snapshot(
        state, head, workspace, contract, limits=DEFAULT_LIMITS, since=head
    )
    columns = indexed_columns(snapshot.contract)
    indexed = await open_index(workspace, await secret_of(state), columns, snapshot.catalogs)
    await indexed.index.extend({}, up_to=head)
    await (await Packs.open(workspace, "")).extend(_no_files(), head)


async def _no_files() -> AsyncIterator[PackedFile]:
    for one in list[PackedFile]():
        yield one


def main() -> None:
    """Make the ledger that the arguments ask for."""
    receipts, days, workspace, state = sys.argv[1:]
    settings = read_settings(workspace=workspace, state=state, contract="uuid-ids")
    if not locate(workspace).bucket:
        raise SystemExit("expected a workspace in S3 and a state in DynamoDB")
    asyncio.run(make(settings, int(receipts), int(days)))


if __name__ == "__main__":
    main()
