"""Which uploads count, from the ledger's records."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from tests.support.samples import entry as sample_entry
from worker.state import Entry, Record, Ruling
from worker.state.counted import CountedUploads
from worker.state.entry import FeedCounts
from worker.state.natural_order import natural_order
from worker.state.records import Decision

START = datetime(2026, 11, 1, tzinfo=UTC)


def upload(source_id: str, second: int, content: str | None, url: str = "file:///o.csv") -> Entry:
    return replace(
        sample_entry(source_id),
        dataset="orders",
        url=url,
        uploaded_at=START + timedelta(seconds=second),
        sha256=None,
        content=content,
    )


def ruling(kind: Decision, source_id: str) -> Ruling:
    return Ruling(
        kind=kind, ruling_id="", source_id=source_id, url="", reason="", recorded_at=START
    )


def counted(*records: Record, replaces: bool = False) -> CountedUploads:
    uploads = CountedUploads(lambda _: replaces)
    uploads.add(record.at(number) for number, record in enumerate(records, start=1))
    return uploads


def ids(uploads: CountedUploads) -> str:
    return " ".join(one.source_id for one in uploads.in_order())


A1, A2, B3, A4 = (
    upload("a1", 1, "A"),
    upload("a2", 2, "A"),
    upload("b3", 3, "B"),
    upload("a4", 4, "A"),
)


@pytest.mark.parametrize("order", list(permutations([A1, A2, B3, A4])))
def test_any_order_of_commits_gives_one_result(order: tuple[Entry, ...]) -> None:
    assert ids(counted(*order)) == "a1 b3 a4"
    assert ids(counted(*order, replaces=True)) == "a4"


def test_equal_neighbours_count_as_their_first() -> None:
    assert ids(counted(A1, A2)) == "a1"
    assert counted(A1, A2, B3).fates() == {1: "counts", 2: "same", 3: "counts"}


def test_versions_of_a_name_may_feed_other_datasets() -> None:
    feeds = {"orders": FeedCounts(clean=1, rejected=0, passed_over=0)}
    other = replace(B3, dataset="orders+refunds")
    uploads = [replace(one, feeds=feeds) for one in (A1, other, A4)]
    assert ids(counted(*uploads)) == "a1 b3 a4"


def test_unknown_contents_equal_nothing() -> None:
    assert ids(counted(upload("1", 1, None), upload("2", 2, None))) == "1 2"


def test_equal_contents_of_other_names_are_other_files() -> None:
    other = upload("a2", 2, "A", "file:///p.csv")
    assert ids(counted(A1, other)) == "a1 a2"
    assert ids(counted(A1, replace(other, url=A1.url, dataset="products"))) == "a1 a2"


def test_refused_uploads_are_no_versions() -> None:
    refused = replace(B3, verdict="refused")
    assert ids(counted(A1, refused, A4)) == "a1"
    assert ids(counted(A1, replace(refused, uploaded_at=A4.uploaded_at), replaces=True)) == "a1"


@pytest.mark.parametrize("ruled", ["a1", "a2"])
def test_a_ruling_on_one_of_equals_holds_for_all(ruled: str) -> None:
    retraction = ruling("retraction", ruled)
    assert ids(counted(A1, A2, retraction)) == ""
    if ruled == "a1":
        assert ids(counted(A1, retraction, A2)) == "", "a touch does not bring it back"
    assert ids(counted(A1, A2, retraction, ruling("restoration", "a1"))) == "a1"
    assert counted(A1, A2, retraction).is_retracted("a2")


def test_retracting_what_is_between_equals_joins_them() -> None:
    uploads = counted(A1, B3, A4, ruling("retraction", "b3"))
    assert ids(uploads) == "a1"
    assert uploads.fates() == {1: "counts", 2: "retracted", 3: "same"}
    assert uploads.changed_since(3) == {"b3", "a4"} == uploads.ceased_since(3)


def test_retracting_the_replacement_brings_the_file_back() -> None:
    assert ids(counted(A1, B3, ruling("retraction", "b3"), replaces=True)) == "a1"


def test_what_began_and_ceased_between_has_changed() -> None:
    there_and_back = [ruling("retraction", "a1"), ruling("restoration", "a1")]
    assert counted(A1, *there_and_back).changed_since(1) == {"a1"}
    late = counted(A2, A1)
    assert late.changed_since(1) == {"a1", "a2"}
    assert late.ceased_since(1) == {"a2"}
    assert late.changed_since(0) == {"a1", "a2"}
    assert counted(A1, A2).changed_since(1) == set()
    replaced = counted(A1, B3, replaces=True)
    assert (replaced.changed_since(1), replaced.ceased_since(1)) == ({"a1", "b3"}, {"a1"})


def test_equal_times_follow_the_natural_order_of_names() -> None:
    names = ["o_1.csv", "o_2.csv", "o_09.csv", "o_10.csv", "o_10b.csv", "p.csv"]
    uploads = [upload(name, 5, None, name) for name in reversed(names)]
    assert ids(counted(*uploads, upload("earlier", 4, None, "z"))).split() == ["earlier", *names]
    assert sorted(names, key=natural_order) == names


def test_an_upload_replaces_the_part_that_it_continues() -> None:
    part, whole = upload("part", 2, "P"), replace(upload("whole", 1, "W"), continues="part")
    for order in ((part, whole), (whole, part)):
        assert ids(counted(*order)) == "whole"
    assert ids(counted(part, whole, ruling("retraction", "whole"))) == "part"


def test_a_touched_part_is_replaced_with_its_run() -> None:
    part, again = upload("part", 1, "P"), upload("again", 2, "P")
    whole = replace(upload("whole", 3, "W"), continues="again")
    assert ids(counted(part, again, whole)) == "whole"


MOVED = "file:///moved/o.csv"
M5 = replace(upload("m5", 5, "A", MOVED), moved_from="file:///o.csv")
B6 = upload("b6", 6, "B", MOVED)


@pytest.mark.parametrize("order", list(permutations([A1, B3, M5, B6])))
def test_a_moved_file_goes_on_with_its_name(order: tuple[Entry, ...]) -> None:
    uploads = counted(*order)
    assert ids(uploads) == "a1 b3 m5 b6"
    assert ids(counted(*order, replaces=True)) == "b6"
    assert {uploads.name_of(one.file) for one in uploads.in_order()} == {"file:///o.csv"}


def test_a_moved_file_of_the_same_time_counts_as_before() -> None:
    moved = replace(upload("0", 1, "A", MOVED), moved_from="file:///o.csv")
    again = replace(upload("00", 1, "A", "file:///again.csv"), moved_from=MOVED)
    for order in permutations([A1, moved, again]):
        uploads = counted(*order)
        assert ids(uploads) == "a1"
        assert {one.source_id for one in uploads.runs(["00"])[0]} == {"a1", "0", "00"}


def test_what_counted_before_a_move_was_known_is_remembered() -> None:
    """Versions of the new name may be committed before the one that says where it was."""
    uploads = counted(A1, B6, M5, replaces=True)
    assert uploads.changed_since(2) == {"a1"}
    assert uploads.changed_since(1) == {"a1", "b6"}


def test_a_folder_that_came_back_is_one_name() -> None:
    back = replace(upload("back", 7, "B", "file:///o.csv"), moved_from=MOVED)
    assert ids(counted(A1, M5, back)) == "a1 back"
