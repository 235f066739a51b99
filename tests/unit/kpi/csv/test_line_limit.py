"""Blocks of many short lines are cut, others stay as they are, and no byte is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.csv.line_limit import MAX_CHUNK_LINES, limit_lines
from kpi.csv.record_index import find_records
from kpi.csv.splitter import RecordSplitter

BLOCK = 8 * 2**20


def nothing() -> int:
    """There is no unfinished record."""
    return 0


@given(
    st.lists(st.sampled_from([b"\n", b"\r\n", b"x", b"x" * 2000]), max_size=30), st.integers(1, 99)
)
def test_the_parts_are_the_block(pieces: list[bytes], times: int) -> None:
    block = b"".join(pieces) * times * 100
    parts = list(limit_lines(block, nothing))
    assert b"".join(parts) == block
    assert all(parts) or not block


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("width", [0, 1, 9, 50])
def test_short_lines_come_few_at_a_time(end: bytes, width: int) -> None:
    line = b"x" * width + end
    block = line * (BLOCK // len(line))
    parts = list(limit_lines(block, nothing))
    assert b"".join(parts) == block
    assert max(part.count(end) for part in parts) <= MAX_CHUNK_LINES
    # No more of them than that asks for.
    assert len(parts) <= block.count(end) / MAX_CHUNK_LINES + 1


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("length", [75, 100, 1009, 100_000, BLOCK])
def test_a_block_of_ordinary_lines_is_one_part(length: int, end: bytes) -> None:
    """Also where every byte that is looked at happens to be a line end."""
    line = end + b"x" * (length - len(end))
    block = line * (BLOCK // length)
    assert list(limit_lines(block, nothing)) == [block]


def test_nothing_is_one_part() -> None:
    assert list(limit_lines(b"", nothing)) == [b""]


@pytest.mark.slow
def test_a_record_of_many_lines_is_not_read_again_for_each_part() -> None:
    """One quoted field: the parts grow with what is unfinished."""
    splitter = RecordSplitter(max_record_bytes=4 * BLOCK)
    pushed: list[int] = []
    for block in (b'"' + b'""\n' * 700_000, b'""\n' * 700_000):
        for part in limit_lines(block, lambda: splitter.unfinished_bytes):
            assert not list(splitter.split(part))
            pushed.append(splitter.unfinished_bytes)
    assert sum(pushed) < 6 * pushed[-1]
    (chunk,) = splitter.split(b'"\n', last=True)
    assert len(find_records(chunk)) == 1
