"""Counters of what came: the same for any stretches of records, and what they forget."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.samples import adoption, entry, ruling
from worker.errors import DamagedObject
from worker.index import intake as intakes
from worker.index.intake import Intake
from worker.state import Entry, Record
from worker.state.entry import FeedCounts, Repair

START = datetime(2025, 3, 1, 23, 50, tzinfo=UTC)


def upload(
    source_id: str, *, file: str = "", hours: int = 0, refused: bool = False, staged_for: str = ""
) -> Entry:
    """An upload of a file, by default of one of its own."""
    made = replace(
        entry(source_id),
        url=f"s3://shop/orders/{file or source_id}.csv",
        uploaded_at=START + timedelta(hours=hours),
        staged=bool(staged_for),
        contract=staged_for or "c0ffee",
    )
    if refused:
        made = replace(made, verdict="refused", reason="no header", parts=(), rows_clean=0)
    return made


def counted(*records: Record) -> Intake:
    found = Intake()
    found.add([one.at(sequence) for sequence, one in enumerate(records, start=1)])
    return found


RECORDS = st.one_of(
    st.builds(
        upload,
        st.sampled_from("abcdef"),
        file=st.sampled_from(["", "x"]),
        hours=st.integers(0, 9),
        refused=st.booleans(),
        staged_for=st.sampled_from(["", "", "beef"]),
    ),
    st.builds(ruling, st.sampled_from("abcdef")),
    st.just(adoption("beef")),
)


@given(st.lists(RECORDS, max_size=12), st.integers(0, 12))
def test_counters_that_were_stored_go_on_as_if_they_had_not_been(
    records: list[Record], stored_after: int
) -> None:
    at = [one.at(sequence) for sequence, one in enumerate(records, start=1)]
    in_parts = Intake()
    in_parts.add(at[:stored_after])
    in_parts = Intake.from_json(in_parts.to_json(), "intake.json")
    in_parts.add(at[stored_after:])
    assert in_parts == counted(*records)


def repaired(of: Entry) -> Entry:
    repair = Repair(key="rejects/a.json", digest="d", rows=1, recorded_at=START)
    return replace(upload(of.source_id), repair=repair)


@pytest.mark.parametrize("refused", [False, True])
def test_a_repaired_upload_is_one_upload(refused: bool) -> None:
    first = upload("a", refused=refused)
    found = counted(first, repaired(first), repaired(first))
    assert {name: one.files for name, one in found.datasets.items()} == {"orders": 1}
    assert not found.refused


def test_files_rows_and_arrivals_of_each_dataset_are_counted() -> None:
    of_both = replace(
        upload("c"),
        rows_read=8,
        feeds={
            "orders": FeedCounts(clean=3, rejected=2, passed_over=1),
            "order_items": FeedCounts(clean=8, rejected=0, passed_over=0),
        },
    )
    found = counted(upload("a"), upload("b", hours=30), upload("r", refused=True), of_both).datasets
    orders, items = found["orders"], found["order_items"]
    assert (orders.files, orders.rows_read, orders.rows_rejected) == (3, 11 + 11 + 6, 1 + 1 + 2)
    assert (items.files, items.rows_read, items.rows_rejected) == (1, 8, 0)
    assert orders.last_uploaded_at == START + timedelta(hours=30)
    quarter = int(START.timestamp()) // 900
    assert orders.arrivals == {quarter: 2, quarter + 120: 1}


@pytest.mark.parametrize(
    ("records", "refused"),
    [
        ([upload("a", refused=True)], "a"),
        ([upload("a", refused=True), upload("a")], ""),
        ([upload("a", refused=True), upload("b", file="a", hours=1)], ""),
        ([upload("a", refused=True, hours=1), upload("b", file="a")], "a"),
        ([upload("a", refused=True), upload("b", file="a", hours=1, refused=True)], "ab"),
        ([upload("a", refused=True), upload("b")], "a"),
        ([upload("a", refused=True), ruling("a")], ""),
        ([upload("a", refused=True), ruling("a", "restoration")], "a"),
        ([upload("a", refused=True), upload("a", staged_for="beef")], "a"),
        ([upload("a", refused=True), upload("a", staged_for="beef"), adoption("beef")], ""),
        ([upload("a", refused=True), upload("a", staged_for="beef"), adoption("else")], "a"),
        (
            [
                upload("a", refused=True),
                upload("a", staged_for="beef"),
                adoption("beef"),
                upload("a", refused=True),
                adoption("beef"),
            ],
            "a",
        ),
        ([upload("a"), upload("a", refused=True, staged_for="beef")], ""),
        ([upload("a"), upload("a", refused=True, staged_for="beef"), adoption("beef")], "a"),
    ],
)
def test_a_refusal_is_open_until_the_file_is_accepted(records: list[Record], refused: str) -> None:
    assert "".join(counted(*records).refused) == refused


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intakes, "MOST_REFUSALS", 2)
    monkeypatch.setattr(intakes, "MOST_ARRIVALS", 2)
    found = counted(
        *(upload(one, refused=True) for one in "abcd"),
        *(upload(f"f{n}", hours=n) for n in range(4)),
    )
    assert "".join(found.refused) == "cd"
    assert found.refusals_dropped == 2
    assert len(found.datasets["orders"].arrivals) == 2
    assert found.datasets["orders"].files == 4


def test_damaged_counters_are_told_by_their_url() -> None:
    with pytest.raises(DamagedObject, match=r"intake\.json"):
        Intake.from_json(b'{"format": 2, "datasets": 3}', "intake.json")
    assert Intake.from_json(b'{"format": 1}', "intake.json") == Intake()
