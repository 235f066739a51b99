"""Records are found by the grammar alone, however the stream is cut into blocks."""

from __future__ import annotations

from itertools import accumulate, cycle, takewhile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.contract.reject_reasons import Reason
from kpi.csv.chunk import Chunk
from kpi.csv.line_limit import MAX_CHUNK_LINES
from kpi.csv.record_index import find_records
from kpi.csv.splitter import RecordSplitter
from tests.support.profiles import examples
from tests.unit.kpi.columns import chunks_of


def reference(data: bytes, limit: int) -> list[tuple[int, bytes, bool]]:
    """The grammar as one loop over bytes: (offset, raw without line end, well-formed)."""
    records = []
    start = 0
    while start < len(data):
        end, good = scan(data, start)
        raw = data[start:end]
        if good and len(raw) > limit:
            good = False
        if not good:
            end = start
            while end < len(data) and data[end] not in b"\r\n":
                end += 1
            raw = data[start:end]
        if raw or not good:
            records.append((start, raw if good else raw[:limit], good))
        if data[end : end + 2] == b"\r\n":
            end += 2
        else:
            end += 1
        start = end
    return records


def scan(data: bytes, start: int) -> tuple[int, bool]:
    at = start
    while True:
        if data[at : at + 1] == b'"':
            at += 1
            while True:
                close = data.find(b'"', at)
                if close < 0:
                    return len(data), False
                at = close + 1
                if data[at : at + 1] != b'"':
                    break
                at += 1
            if data[at : at + 1] not in (b"", b",", b"\r", b"\n"):
                return at, False
        else:
            while at < len(data) and data[at] not in b",\r\n":
                at += 1
        if data[at : at + 1] == b",":
            at += 1
            continue
        return at, True


def records_of(chunk: Chunk) -> list[tuple[int, bytes, bool]]:
    records = find_records(chunk)
    found = [(chunk.offset + a, bytes(chunk.data[a:b]), True) for a, b in records.pairs()]
    return found + [(bad.offset, bad.raw, False) for bad in chunk.malformed]


PARTS = st.sampled_from(
    [
        *(b"a", b"1", b",", b"\n", b"\r\n", b"\r", b'"', b'""', b'"x"', b'"x,y"', b'"x\ny"'),
        *(b" ", b"\xff"),
    ]
)
EDGES = st.one_of(
    st.sampled_from([b'"', b",", b"\n", b"a"]),
    st.sampled_from([b'"', b",", b"\r", b"\n", b"a"]),
    st.sampled_from([b'""', b'"', b'a",', b'"b\n', b"\r\n", b',"']),
    st.sampled_from([b'a","b\n', b'"', b"\n", b"x,y\n", b'"x"y\n']),
)
STREAMS = st.lists(PARTS, max_size=60) | st.lists(EDGES, max_size=40)
LENGTHS = st.lists(st.integers(1, 20), min_size=1, max_size=8) | st.lists(
    st.integers(1, 200), min_size=1, max_size=6
)
"""Lengths of the blocks of a stream; they repeat until its end."""


@given(
    STREAMS.map(b"".join),
    LENGTHS,
    st.just(0) | st.integers(0, 30),
    st.sampled_from([2, 3, 6, 10, 20, 64]),
)
@examples(25)
@example(b'a,"b\nc,d\n', [4, 99], 0, 64)
@example(b'"a"x,1\n"b",2\n', [3, 99], 9, 64)
@example(b'a"b,c\n"d"\r\ne', [7, 99], 2, 64)
@example(b"a\rb\r", [2], 1, 64)
@example(b"x" * 200 + b"\nok,1\n", [100, 50, 200], 0, 64)
@example(b"x" * 200 + b"\nok,1\n", [100, 50, 200], 20, 64)
@example(b'"' + b"x\n" * 100 + b'"\nok,1\n', [100, 50, 200], 99, 64)
@example(b'a",\r\n', [4, 1], 0, 3)  # a carriage return at the end of a block: not of the record
@example(b'"",""b\na"\r\n"\r\n', [3], 0, 3)
@example(b'"x\ny","z\n",a"\nb"\n', [100], 0, 6)
@example(b'"\n"\n",x\ny",z\n', [100], 0, 3)
@example(b'"a\n"b\n","\n"\n', [100], 0, 4)
def test_any_cut_and_any_limit_give_the_records_of_the_grammar(
    data: bytes, lengths: list[int], overlap: int, limit: int
) -> None:
    cuts = list(takewhile(lambda edge: edge < len(data), accumulate(cycle(lengths))))
    chunks = chunks_of(data, cuts, overlap, max_record_bytes=limit)
    assert sorted(found for chunk in chunks for found in records_of(chunk)) == reference(
        data, limit
    )


def test_a_record_that_goes_on_in_a_block_that_repeats_its_beginning_is_not_joined() -> None:
    splitter = RecordSplitter(max_record_bytes=1000)
    assert list(splitter.split(b"1,a\n2,b"))
    block = b"\n2,b\n3,c\n"
    (chunk,) = splitter.split(block, overlap=4)
    assert (chunk.buffer is block, bytes(chunk.data), chunk.offset) == (True, block[1:], 4)


@pytest.mark.parametrize("line_end", [b"\n", b"\r"])
@pytest.mark.parametrize("fields", [1, 63, 64, 65, 200])
def test_records_before_one_of_many_quoted_line_ends_are_not_kept_back(
    fields: int, line_end: bytes
) -> None:
    splitter = RecordSplitter(max_record_bytes=10_000)
    whole = b"1,a" + line_end
    unfinished = (b'"x' + line_end + b'y",') * fields
    (chunk,) = splitter.split(whole + unfinished)
    assert bytes(chunk.data) == whole
    assert splitter.unfinished_bytes == len(unfinished)


def test_an_unclosed_quote_costs_its_own_line_only() -> None:
    splitter = RecordSplitter(max_record_bytes=1000)
    data = b'1,a\n2,"b\n3,c\n'
    (chunk,) = splitter.split(data, last=True)
    assert [(bad.offset, bad.raw, bad.reason) for bad in chunk.malformed] == [
        (4, b'2,"b', Reason.MALFORMED_QUOTES)
    ]
    assert [raw for _, raw, good in records_of(chunk) if good] == [b"1,a", b"3,c"]


@pytest.mark.parametrize("block", [1, 7, 100, 5000])
def test_a_record_that_is_too_long_is_passed_over_in_bounded_memory(block: int) -> None:
    splitter = RecordSplitter(max_record_bytes=100)
    data = b"1,a\n" + b"x" * 3000 + b"\n2,b\n"
    held, found = 0, []
    for at in range(0, len(data), block):
        for chunk in splitter.split(data[at : at + block]):
            found += records_of(chunk)
        held = max(held, splitter.unfinished_bytes)
    for chunk in splitter.split(b"", last=True):
        found += records_of(chunk)
    assert [(offset, good) for offset, _, good in sorted(found)] == [
        (0, True),
        (4, False),
        (3005, True),
    ]
    assert held <= 101


def test_a_line_over_the_limit_is_too_long_whatever_its_quotes() -> None:
    data = b'1,"x"y\n2,"' + b"x" * 20 + b"\n"
    (chunk,) = RecordSplitter(max_record_bytes=10).split(data, last=True)
    reasons = [bad.reason for bad in chunk.malformed]
    assert reasons == [Reason.MALFORMED_QUOTES, Reason.RECORD_TOO_LONG]


def test_quotes_inside_a_bare_field_are_ordinary_characters() -> None:
    data = b'5" pipe,1\n6" pipe,2\n'
    (chunk,) = RecordSplitter(max_record_bytes=1000).split(data, last=True)
    assert not chunk.malformed
    assert [raw for _, raw, _ in records_of(chunk)] == [b'5" pipe,1', b'6" pipe,2']


@pytest.mark.slow
@pytest.mark.parametrize("line", [b'a","b\n', b"x\n", b"x\r"])
def test_a_long_unfinished_record_becomes_chunks_of_few_lines(line: bytes) -> None:
    """A quote that is never closed holds back all lines behind it, up to the record's limit."""
    lines = 3 * MAX_CHUNK_LINES
    splitter = RecordSplitter(max_record_bytes=16 * 2**20)
    assert not list(splitter.split(b'1,"' + line * lines))
    chunks = list(splitter.split(b"", last=True))
    sizes = [len(find_records(chunk)) + len(chunk.malformed) for chunk in chunks]
    assert sum(sizes) == lines
    assert max(sizes) <= 2 * MAX_CHUNK_LINES + 1
