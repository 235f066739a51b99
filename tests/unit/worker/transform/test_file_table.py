"""Clean files in the ledger: their order, and which of them may hold a value."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from kpi.contract.loading import built_in
from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.objects.location import Location
from worker.objects.memory import MemoryStore
from worker.state import Entry
from worker.state.contract_in_force import ContractInForce
from worker.state.entry import Interval, Part
from worker.state.memory import MemoryState
from worker.transform.catalog import Catalog
from worker.transform.file_cache import FileCache
from worker.transform.file_table import FileTable
from worker.transform.history import History, read_history
from worker.transform.intervals import IntervalSet
from worker.transform.limits import DEFAULT_LIMITS

bounds = st.builds(
    lambda low, width: Interval(low=low, high=low + width), st.integers(0, 20), st.integers(0, 5)
)


@given(st.data())
def test_files_are_sorted_from_the_earliest_version_to_the_latest(
    data: st.DataObject,
) -> None:
    """By upload, then by name; parts of one source object in their order."""
    contract = built_in("default")
    workspace = Workspace(store=MemoryStore(), location=Location(bucket="clean", key="shop"))
    orders = contract.datasets["orders"]
    entries = []
    for sequence in range(1, data.draw(st.integers(0, 12)) + 1):
        parts = tuple(
            Part(
                key=f"{sequence}-{number}",
                rows=number,
                size_bytes=1,
                ranges={"order_id": data.draw(bounds)} if data.draw(st.booleans()) else {},
            )
            for number in range(data.draw(st.integers(0, 3)))
        )
        url = "file:///" + data.draw(
            st.sampled_from(["a", "b", "B", "\u00fc", "\U0001f600", "\uffee"])
        )
        uploaded_at = datetime(2025, 3, 1 + data.draw(st.integers(0, 2)), tzinfo=UTC)
        entries.append(entry_of(sequence, url, uploaded_at, parts))
    cache = FileCache(orders, workspace, contract)
    history = asyncio.run(_history_of(entries, workspace, contract))
    catalog = Catalog(FileTable(orders, cache, DEFAULT_LIMITS, history.rows, history.places))
    in_order = sorted(entries, key=lambda one: (one.uploaded_at, one.url, one.source_id))
    keys = [part.key for one in in_order for part in one.parts]
    assert [file.key for file in catalog.files] == keys
    assert [file.rank for file in catalog.files] == list(range(len(keys)))
    assert (catalog.rows, catalog.size_bytes) == (
        sum(part.rows for one in entries for part in one.parts),
        len(keys),
    )
    some = {one.source_id for one in entries if data.draw(st.booleans())}
    of_some = catalog.of_sources(some)
    assert [one.key for one in of_some.files] == [
        part.key for one in in_order if one.source_id in some for part in one.parts
    ]
    assert [one.key for one in catalog.without(of_some).files] == [
        part.key for one in in_order if one.source_id not in some for part in one.parts
    ]
    since = data.draw(st.integers(0, 12))
    assert catalog.since(since).source_ids == {
        one.source_id for one in entries if one.parts and one.sequence > since
    }
    intervals = IntervalSet([data.draw(bounds)])
    assert [one.key for one in of_some.intersecting("order_id", intervals).files] == [
        part.key
        for one in in_order
        if one.source_id in some
        for part in one.parts
        if intervals.intersects(part.ranges.get("order_id"))
    ]


async def _history_of(entries: list[Entry], workspace: Workspace, contract: Contract) -> History:
    state = MemoryState()
    for entry in entries:
        await state.commit(entry)
    return await read_history(state, len(entries), workspace, ContractInForce(contract=contract))


def entry_of(sequence: int, url: str, uploaded_at: datetime, parts: tuple[Part, ...]) -> Entry:
    return Entry(
        source_id=f"{sequence * 0x9E3779B97F4A7C15 % 2**64:016x}",
        dataset="orders",
        url=url,
        version="1",
        size_bytes=1,
        uploaded_at=uploaded_at,
        sha256=None,
        verdict="accepted",
        reason=None,
        rows_read=0,
        rows_clean=0,
        rows_rejected=0,
        reasons={},
        parts=parts,
        rejects=(),
        contract="",
        seconds=0.0,
        sequence=sequence,
    )
