"""Records are found one by one where a list of all of them has them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import kpi.csv.record_index
from kpi.csv.chunk import Chunk
from kpi.csv.newline_index import NewlineIndex
from kpi.csv.record_index import RecordIndex, find_records
from kpi.csv.splitter import RecordSplitter
from tests.support.profiles import examples
from tests.unit.kpi.csv.test_splitter import PARTS

LINES = st.lists(st.sampled_from([b"\n", b"a", b"b" * 7, b"c" * 63, b"d" * 64, b"\r"]), max_size=80)


@pytest.mark.parametrize("many", [0, 4])
@given(LINES.map(b"".join), st.sampled_from([64, 128, 1024]), st.sampled_from([1, 2, 100]))
@example(b"\n" * 200, 128, 1)
@example(b"\n" * 2048, 1024, 1)
@example(b"a" * 63 + b"\n\n", 64, 2)
@example(b"a" * 127 + b"\n\nb", 64, 1)
def test_line_feeds_are_counted_and_found(
    many: int, data: bytes, block_bytes: int, blocks: int
) -> None:
    places = [place for place, code in enumerate(data) if code == 10]
    chunk = replace(Chunk.of(b"\n\r" + data), start=2)
    lines = NewlineIndex(
        chunk,
        count_block_bytes=block_bytes,
        scan_block_bytes=block_bytes * blocks,
        list_factor=many,
    )
    assert lines.has_carriage_returns == (b"\r" in data)
    assert len(lines) == len(places)
    assert lines.select(np.arange(len(places))).tolist() == places
    before = [data.count(b"\n", 0, place) for place in range(len(data))]
    assert lines.rank(np.arange(len(data))).tolist() == before


@given(
    st.lists(PARTS | st.sampled_from([b"1,a\n", b'2,"b"\n', b"3,c\n"]), max_size=60),
    st.lists(st.integers(0, 200), max_size=3),
    st.randoms(use_true_random=False),
)
@examples(5)
def test_records_are_where_the_list_has_them(
    parts: list[bytes], cuts: list[int], random: np.random.Generator
) -> None:
    data = b"".join(parts)
    splitter = RecordSplitter(max_record_bytes=64)
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    chunks = [chunk for a, b in pairwise(edges) for chunk in splitter.split(data[a:b])]
    for chunk in [*chunks, *splitter.split(b"", last=True)]:
        listed = find_records(chunk)
        starts, ends = listed.starts, listed.ends
        unchecked = RecordIndex(chunk)
        assert len(unchecked) >= len(starts)
        records = unchecked.numbered(len(starts))
        assert len(records) == len(starts)
        some = np.array([n for n in range(len(starts)) if random.random() < 0.5], np.int64)
        assert records.bounds(some).pairs() == listed[some].pairs()
        inside = [
            (place, number)
            for number, (start, end) in enumerate(zip(starts, ends, strict=True))
            for place in range(start, end)
            if chunk.data[place] not in b"\r\n"
        ]
        places = np.array([place for place, _ in inside], np.int64)
        assert records.numbers_at(places).tolist() == sorted({number for _, number in inside})
        every = np.arange(chunk.size)
        before = [int((starts < place).sum()) for place in every]
        assert records.count_before(every).tolist() == before


def test_few_records_are_found_without_listing_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kpi.csv.record_index, "find_records", None)
    data = b"".join(b'%d,"x,y"\n' % number for number in range(1000)) + b"the last"
    records = RecordIndex(Chunk.of(data)).numbered(1001)
    found = [data[start:end] for start, end in records.bounds(np.array([0, 999, 1000])).pairs()]
    assert (len(records), found) == (1001, [b'0,"x,y"', b'999,"x,y"', b"the last"])


def test_blank_lines_are_seen_in_the_number_of_records() -> None:
    chunk = Chunk.of(b"1,a\n\n2,b\n")
    assert (len(RecordIndex(chunk)), len(RecordIndex(chunk).numbered(2))) == (3, 2)
