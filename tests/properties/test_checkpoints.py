"""A history read from a checkpoint and what follows on it is the history in the whole ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.contract.loading import built_in
from tests.support.profiles import examples
from tests.support.samples import entry as sample_entry
from worker.clean import Workspace
from worker.index import checkpoint, upload_segments, upload_table
from worker.index.levels import Levels
from worker.index.named_entries import entries_named
from worker.objects.location import Location
from worker.objects.memory import MemoryStore
from worker.state import Entry, Erasure, Record, Ruling, paging
from worker.state.contract_in_force import ContractInForce
from worker.state.entry import FeedCounts, Interval, Part
from worker.state.erasures import Erasures
from worker.state.memory import MemoryState
from worker.state.records import Decision
from worker.state.upload import Upload
from worker.transform import history as history_of_ledger
from worker.transform.history import History, keep_history, read_history

IN_FORCE = ContractInForce(contract=built_in("default"))
START = datetime(2026, 11, 1, tzinfo=UTC)
ERASURE = Erasure(
    erasure_id="0" * 16, mode="delete", customers=("0" * 32,), recorded_at=START, sequence=7
)
URLS = ("file:///in/o_9.csv", "file:///in/o_10.csv", "file:///moved/o_9.csv")
DATASETS = ("orders", "order_items")


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """Uploads of a few names, times and contents; moves, parts read half, rulings on them."""
    found: list[Record] = []
    ids: dict[str, Entry] = {}
    for number in range(1, draw(st.integers(2, 16)) + 1):
        if ids and draw(st.integers(0, 2)) == 0:
            kind: Decision = draw(st.sampled_from(["retraction", "restoration"]))
            source_id = draw(st.sampled_from([*ids]))
            found.append(
                Ruling(
                    kind=kind,
                    ruling_id=str(number),
                    source_id=source_id,
                    url="",
                    reason="",
                    recorded_at=START,
                )
            )
            continue
        # A source object may come again, after it was refused or under another contract.
        source_id = draw(st.sampled_from([*[*ids][-2:], *[f"{number:016x}"] * 4]))
        entry = draw(entries(source_id, [*ids]))
        if source_id in ids:
            entry = replace(ids[source_id], parts=entry.parts, verdict=entry.verdict)
        found.append(entry)
        ids[source_id] = entry
    return found


@st.composite
def entries(draw: st.DrawFn, source_id: str, ids: list[str]) -> Entry:
    url = draw(st.sampled_from(URLS))
    feeds = {}
    if draw(st.integers(0, 6)) == 0:
        feeds = {"orders": FeedCounts(clean=1, rejected=0, passed_over=0, file_entry=draw(_FEW))}
    parts = tuple(
        Part(
            key=f"{source_id}-{number}",
            rows=draw(st.integers(1, 3)),
            size_bytes=1,
            ranges={"order_id": draw(_INTERVALS)} if draw(st.booleans()) else {},
            dataset="orders" if feeds else "",
        )
        for number in range(draw(st.integers(0, 2)))
    )
    return replace(
        sample_entry(source_id),
        dataset=draw(st.sampled_from(["orders", "orders", "orders", "order_items"])),
        url=url,
        uploaded_at=START + timedelta(microseconds=draw(st.integers(0, 3))),
        content=draw(st.sampled_from(["A", "A", "B", None])),
        sha256=None,
        verdict=draw(st.sampled_from(["accepted", "accepted", "accepted", "refused"])),
        continues=draw(st.sampled_from([*ids, "", "", ""])),
        moved_from=draw(st.sampled_from([*URLS[:2], ""])) if url == URLS[2] else "",
        feeds=feeds,
        parts=parts,
    )


_FEW = st.one_of(st.none(), st.integers(0, 2))
_INTERVALS = st.builds(
    lambda low, is_text: Interval(low=str(low) if is_text else low, high=str(9) if is_text else 9),
    st.integers(0, 9),
    st.booleans(),
)


@contextmanager
def small_levels() -> Iterator[None]:
    with (
        patch.object(checkpoint, "LEVELS", Levels(head=3, merged=8)),
        patch.object(upload_segments, "GROUP_ROWS", 2),
        patch.object(upload_table, "HELD_BYTES", 100),
    ):
        yield


def spilling(rows: int) -> AbstractContextManager[object]:
    """Have rows moved to a file from some of them on."""
    return patch.object(history_of_ledger, "SPILLED_ROWS", rows)


def workspace() -> Workspace:
    return Workspace(store=MemoryStore("clean"), location=Location(bucket="clean", key="shop"))


async def ledger_of(found: list[Record]) -> MemoryState:
    state = MemoryState()
    for record in found:
        state._records.append(record.at(len(state._records) + 1))
    return state


def view(history: History, since: int) -> dict[str, object]:
    """All that a transform asks of a history."""
    uploads = history.uploads
    columns = sorted(history.rows.column_names)
    rows = history.rows.take(columns, np.arange(len(history.rows)))
    return {
        "rows": rows.to_pylist(),
        "places": history.places.tolist(),
        "in order": uploads.in_order(),
        "in order since": uploads.in_order(since),
        "changed": uploads.changed_since(since),
        "ceased": uploads.ceased_since(since),
        "steps": [
            sorted(map(sorted, steps))
            for dataset in DATASETS
            for steps in uploads.steps_since(since, dataset)
        ],
        "notices": sorted(map(repr, uploads.notices(since))),
        "repeated": sorted(map(repr, uploads.with_predecessor(since))),
        "names": [uploads.name_of(one.file, since) for one in uploads.in_order()],
    }


@examples(1.5)
@given(records(), st.booleans(), st.data())
def test_a_checkpoint_and_its_tail_are_the_whole_ledger(
    found: list[Record], replaces: bool, data: st.DataObject
) -> None:
    asyncio.run(_check_a_ledger(found, replaces, data))


async def _check_a_ledger(found: list[Record], replaces: bool, data: st.DataObject) -> None:
    state, place, empty = await ledger_of(found), workspace(), workspace()
    heads = sorted(data.draw(st.lists(st.integers(1, len(found)), min_size=1, max_size=5)))
    before = 0
    with small_levels():
        for head in heads:
            since = data.draw(st.integers(before, head), label="since")
            histories = []
            for where, rows in ((empty, 1_000), (place, 1_000), (empty, 1)):
                with spilling(rows), patch.object(paging, "PAGE_ENTRIES", 3):
                    histories.append(
                        await read_history(
                            *(state, head, where, IN_FORCE),
                            since=since,
                            replaces_file=lambda _: replaces,
                        )
                    )
            whole, read, spilled = histories
            assert [one.checkpoint.uploads.up_to for one in histories] == [0, before, 0]
            expected = view(whole, since)
            expected_rows = _without_nulls(expected.pop("rows"))
            for one in (read, spilled):
                got = view(one, since)
                assert _without_nulls(got.pop("rows")) == expected_rows
                assert got == expected
            accepted = [
                one
                for one in await state.entries(up_to=head)
                if one.verdict == "accepted" and not one.staged
            ]
            asked = data.draw(st.lists(st.sampled_from(accepted))) if accepted else []
            fates, *others = (one.uploads.fates(map(Upload.of, asked)) for one in histories)
            for found_fates in others:
                assert [found_fates.get(one.sequence) for one in asked] == [
                    fates.get(one.sequence) for one in asked
                ]
            names = data.draw(st.lists(st.sampled_from(["o_9.csv", "in/o_10.csv", "n/o_9.csv"])))
            ends = tuple(f"/{name}" for name in names)
            pages = entries_named(place, state, IN_FORCE, head, names)
            named = [one async for page in pages for one in page if one.url.endswith(ends)]
            wanted = await state.entries(up_to=head)
            assert [one for one in named if one.verdict == "accepted" and not one.staged] == [
                one
                for one in wanted
                if one.url.endswith(ends) and one.verdict == "accepted" and not one.staged
            ]
            await keep_history(
                data.draw(st.sampled_from([read, spilled])), place, state, tail_records=1
            )
            before = head


def _without_nulls(rows: object) -> list[dict[str, object]]:
    """Columns of bounds that no file has may be there, or not."""
    assert isinstance(rows, list)
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


async def kept(state: MemoryState, place: Workspace, head: int) -> None:
    history = await read_history(state, head, place, IN_FORCE, since=head)
    await keep_history(history, place, state, tail_records=1)


async def used(
    state: MemoryState, place: Workspace, since: int, in_force: ContractInForce = IN_FORCE
) -> int:
    """Sequence of the checkpoint that a reader uses."""
    head = await state.head()
    return (await read_history(state, head, place, in_force, since=since)).checkpoint.uploads.up_to


def uploads(number: int) -> list[Record]:
    return [
        replace(sample_entry(f"{one:016x}"), url=f"file:///{one}.csv", content=str(one))
        for one in range(number)
    ]


async def test_a_checkpoint_beyond_what_was_published_is_not_used() -> None:
    state, place = await ledger_of(uploads(9)), workspace()
    await kept(state, place, 6)
    assert [await used(state, place, since) for since in (5, 6, 9)] == [0, 6, 6]


async def test_one_of_another_contract_or_erasure_is_not_used() -> None:
    state, place = await ledger_of(uploads(9)), workspace()
    await kept(state, place, 6)
    other = ContractInForce(contract=built_in("uuid-ids"))
    assert await used(state, place, 9, other) == 0
    assert await used(state, place, 9, replace(IN_FORCE, other_rows=frozenset({"another"}))) == 0
    erasures = Erasures(records=(ERASURE,))
    assert await used(state, place, 9, replace(IN_FORCE, erasures=erasures)) == 0
    assert await used(state, place, 9) == 6


async def test_one_of_a_ledger_that_was_restored_is_not_used() -> None:
    found, place = uploads(9), workspace()
    await kept(await ledger_of(found), place, 6)
    again = [*found[:3], *reversed(found[3:6]), *found[6:]]
    assert await used(await ledger_of(again), place, 9) == 0
    assert await used(await ledger_of(found[:5]), place, 5) == 0


@pytest.mark.parametrize("damage", ["missing", "changed", "manifest"])
async def test_a_damaged_checkpoint_is_written_again(damage: str) -> None:
    state, place = await ledger_of(uploads(9)), workspace()
    await kept(state, place, 6)
    keys = [one.key async for one in place.store.list("shop/index")]
    manifest, segment = (
        next(key for key in keys if key.endswith(suffix)) for suffix in (".json", ".parquet")
    )
    key = manifest if damage == "manifest" else segment
    info = await place.store.stat(key)
    data = await place.store.read(info, 0, info.size_bytes)
    if damage == "missing":
        await place.store.delete(key)
    else:
        async with place.store.create(key) as writer:
            await writer.write(data.replace(b"0", b"1"))
    assert await used(state, place, 9) == 0
    await kept(state, place, 9)
    assert await used(state, place, 9) == 9


async def test_objects_stay_few_and_old_ones_are_deleted() -> None:
    state, place = await ledger_of(uploads(100)), workspace()
    with small_levels():
        for head in range(1, 101):
            await kept(state, place, head)
    found = [one.key async for one in place.store.list("shop/index")]
    assert len(found) <= 2 + 100 // 8 + 3


async def test_a_ledger_moved_to_files_counts_as_one_in_memory() -> None:
    """A retracted upload, and one that came twice, before and after the first pages are moved."""
    found = uploads(9)
    again = replace(sample_entry("f" * 16), url="file:///2.csv", content="2")
    ruling = Ruling(
        kind="retraction",
        ruling_id="1",
        source_id=f"{1:016x}",
        url="",
        reason="",
        recorded_at=START,
    )
    state = await ledger_of([*found[:4], ruling, *found[4:], again])
    histories = []
    for rows in (1_000, 1):
        with spilling(rows), patch.object(paging, "PAGE_ENTRIES", 2):
            histories.append(await read_history(state, 11, workspace(), IN_FORCE, since=11))
    in_memory, moved = histories
    assert [len(one.rows.chunks) for one in histories] == [1, 6]
    assert view(moved, 11) == view(in_memory, 11)
    assert (moved.places < 0).tolist() == [one in (1, 9) for one in range(10)]
