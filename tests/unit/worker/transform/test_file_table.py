"""Clean objects as the ledger tells of them: in their order, and which of them may hold what."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.contract.loading import built_in
from worker.clean import Workspace
from worker.objects.local import FolderStore
from worker.objects.location import locate
from worker.state import Entry
from worker.state.entry import Part, Range
from worker.transform.catalog import Catalog, Register
from worker.transform.file_cache import Shelf
from worker.transform.intervals import Spans

ranges = st.builds(
    lambda low, width: Range(low=low, high=low + width), st.integers(0, 20), st.integers(0, 5)
)


@given(st.lists(ranges | st.none(), max_size=5), ranges | st.none())
def test_spans_meet_what_any_of_them_overlaps(
    asked: list[Range | None], found: Range | None
) -> None:
    def values(one: Range | None) -> set[int]:
        return set(range(-1, 30)) if one is None else set(range(int(one.low), int(one.high) + 1))

    spans = Spans(asked)
    assert spans.meet(found) == any(values(one) & values(found) for one in asked)
    for one in asked:
        for other in asked:
            if values(one) & values(other):
                assert spans.cluster(one) == spans.cluster(other)


# One interval that is not known meets everything, so mostly there is none.
@given(st.lists(ranges, max_size=5), st.lists(ranges | st.none(), max_size=9))
@example([None], [Range(low=1, high=2), None])
@pytest.mark.parametrize(("kind", "few"), [(int, 0), (str, 0), (str, 9)])
def test_many_meet_as_each_does(
    kind: type[int] | type[str], few: int, asked: list[Range | None], found: list[Range | None]
) -> None:
    def of_kind(one: Range | None) -> Range | None:
        if one is None or kind is int:
            return one
        return Range(low=f"{one.low:02d}", high=f"{one.high:02d}")

    asked, found = [of_kind(one) for one in asked], [of_kind(one) for one in found]
    limits = [
        pa.array([one and getattr(one, name) for one in found], pa.int64())
        if kind is int
        else pa.array([one and getattr(one, name) for one in found], pa.string())
        for name in ("low", "high")
    ]
    spans = Spans(asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.transform.intervals.FEW_INTERVALS", few)
        assert spans.meet_each(*limits).tolist() == [spans.meet(one) for one in found]


@given(st.data())
def test_clean_objects_are_registered_from_the_earliest_version_to_the_latest(
    data: st.DataObject,
) -> None:
    """By upload, then by name; parts of one source object in their order."""
    contract = built_in("default")
    workspace = Workspace(store=FolderStore(), location=locate("/nowhere"))
    orders = contract.datasets["orders"]
    entries = []
    for sequence in range(1, data.draw(st.integers(0, 12)) + 1):
        parts = tuple(
            Part(
                key=f"{sequence}-{number}",
                rows=number,
                size_bytes=1,
                ranges={"order_id": data.draw(ranges)} if data.draw(st.booleans()) else {},
            )
            for number in range(data.draw(st.integers(0, 3)))
        )
        url = "file:///" + data.draw(
            st.sampled_from(["a", "b", "B", "\u00fc", "\U0001f600", "\uffee"])
        )
        uploaded_at = datetime(2025, 3, 1 + data.draw(st.integers(0, 2)), tzinfo=UTC)
        entries.append(entry_of(sequence, url, uploaded_at, parts))
    register = Register(orders, Shelf(orders, workspace, contract))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(entries)), max_size=3)))
    for start, end in pairwise([0, *cuts, len(entries)]):
        register.add(entries[start:end])
    register.close()
    catalog = Catalog(register)
    in_order = sorted(entries, key=lambda one: (one.uploaded_at, one.url, one.source_id))
    keys = [part.key for one in in_order for part in one.parts]
    assert [piece.key for piece in catalog.pieces] == keys
    assert [piece.rank for piece in catalog.pieces] == list(range(len(keys)))
    assert (catalog.rows, catalog.size_bytes) == (
        sum(part.rows for one in entries for part in one.parts),
        len(keys),
    )
    some = {one.source_id for one in entries if data.draw(st.booleans())}
    of_some = catalog.of_sources(some)
    assert [one.key for one in of_some.pieces] == [
        part.key for one in in_order if one.source_id in some for part in one.parts
    ]
    assert [one.key for one in catalog.without(of_some).pieces] == [
        part.key for one in in_order if one.source_id not in some for part in one.parts
    ]
    since = data.draw(st.integers(0, 12))
    assert catalog.since(since).source_ids == {
        one.source_id for one in entries if one.parts and one.sequence > since
    }
    spans = Spans([data.draw(ranges)])
    assert [one.key for one in of_some.meeting("order_id", spans).pieces] == [
        part.key
        for one in in_order
        if one.source_id in some
        for part in one.parts
        if spans.meet(part.ranges.get("order_id"))
    ]


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


def test_texts_and_integers_may_meet() -> None:
    assert Spans([Range(low="a", high="b")]).meet(Range(low=1, high=2))
    assert not Spans([Range(low="a", high="b")]).meet(Range(low="c", high="d"))
    texts = pa.array(["a"]), pa.array(["b"])
    assert Spans([Range(low=1, high=2)]).meet_each(*texts).tolist() == [True]
    numbers = pa.array([1]), pa.array([2])
    assert Spans([Range(low="a", high="b")]).meet_each(*numbers).tolist() == [True]
