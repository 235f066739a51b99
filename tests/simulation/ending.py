"""What must hold at the end of a history."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from kpi.erasure.digests import Digests
from tests.simulation.contracts import CONTRACT
from tests.simulation.invariants import Violation
from tests.simulation.places import ALL_TABLES, Places
from worker.clean import Workspace
from worker.maintenance.derived import compare_derived
from worker.objects.location import Location
from worker.objects.source import source_id
from worker.state.erasures import read_erasures
from worker.state.memory import MemoryState


async def check_end(places: Places, *, maintains: bool) -> None:
    """Check what must hold once everything is delivered and transformed.

    Args:
        places: What the processes have left.
        maintains: Whether there was maintenance among them.

    Raises:
        Violation: A promise was broken.
    """
    await places.invariants.check()
    await _check_erased(places)
    if maintains:
        await _check_derived(places)
    entries = await MemoryState.entries(places.state)
    committed = {entry.source_id for entry in entries}
    current = [info async for info in places.raw.list("")]
    missing = [info.url for info in current if source_id(info) not in committed]
    if missing:
        raise Violation(f"never committed: {missing}")
    head = await MemoryState.head(places.state)
    wanted = places.invariants.expected(head)
    for table, of_table in wanted.items():
        found = [row async for row in MemoryState.rows(places.state, table)]
        rows = [{name: row[name] for name in row if name != "as_of"} for row in found]
        every = [row for day in sorted(of_table) for row in of_table[day]]
        if rows != every:
            raise Violation(f"{table} ends as {rows}, not {every}")
    progress = await MemoryState.progress(places.state)
    if any(progress.published.get(table, 0) != head for table in ALL_TABLES):
        raise Violation(f"{head} records, but {progress}")


async def _check_erased(places: Places) -> None:
    """Check that no clean row in effect has an erased customer."""
    erasures = await read_erasures(places.state)
    if not erasures.records and not places.erased:
        return
    known = Digests(erasures.key, "customer")
    ids = map(str, range(1, 10))
    erased = places.erased | {one for one in ids if known.of(one).hex() in erasures.customers}
    for entry in await MemoryState.entries(places.state):
        if entry.dataset != "orders" or entry.erasure:
            continue
        for part in erasures.effective(entry).parts:
            info = await places.clean.stat(part.key)
            data = await places.clean.read(info, 0, info.size_bytes)
            users = pq.read_table(pa.BufferReader(data)).column("user_id").to_pylist()
            if not erased.isdisjoint(map(str, users)):
                raise Violation(f"{entry.url} has an erased customer")


async def _check_derived(places: Places) -> None:
    """Check that index and checkpoint hold what they would if built from nothing."""
    workspace = Workspace(store=places.clean, location=Location(bucket="clean", key=""))
    found = await compare_derived(CONTRACT, workspace, places.state)
    if found:
        raise Violation(f"{found}")
