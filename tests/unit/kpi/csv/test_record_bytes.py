"""Many records of a chunk are handled by masks over its bytes: like few, which go one by one."""

from __future__ import annotations

import numpy as np
import pytest

from kpi.csv.chunk import Chunk
from kpi.csv.record_bytes import copy_records, field_counts, find_non_utf8, without_records
from kpi.csv.record_index import find_records

MANY = 6_000


@pytest.mark.parametrize(
    "kinds",
    [
        (b"1", b"1,2", b"1,2,3"),
        (b'"a,b"', b'1,"2\n,3"', b"1,2,3"),
        (b'a"b', b'1",2', b'"x,y",2"z,3'),
    ],
)
def test_many_records_are_told_apart_like_few(kinds: tuple[bytes, ...]) -> None:
    widths = (1, 2, 3)
    records = [kinds[number % 3] for number in range(MANY)]
    chunk = Chunk.of(b"\n".join(records) + b"\n")
    bounds = find_records(chunk)

    counts = field_counts(chunk, bounds)
    assert counts.tolist() == [widths[number % 3] for number in range(MANY)]

    assert copy_records(chunk, bounds).tobytes() == b"".join(records)
    assert bounds.lengths.tolist() == [len(record) for record in records]

    # Every sixth is left.
    taken = np.array([number for number in range(MANY) if number % 6])
    left = without_records(chunk, bounds[taken])
    assert left.size == chunk.size
    assert left.quotes.tolist() == [at for at, code in enumerate(left.data) if code == ord('"')]
    kept = find_records(left)
    assert kept.pairs() == bounds[::6].pairs()
    assert copy_records(left, kept).tobytes() == b"".join(records[::6])


@pytest.mark.parametrize("text", [b"plain", "café".encode(), "日本語".encode() * 5])
@pytest.mark.parametrize("bad", [[], [0], [5999], [1023, 1024], [999, 5999], [3, 4, 5, 2000, 5998]])
def test_some_byte_of_each_undecodable_record_is_found(text: bytes, bad: list[int]) -> None:
    """From a chunk all in ASCII to one that has more other bytes than are looked at singly."""
    rows = [b"%d,%b\n" % (number, text) for number in range(6000)]
    for number in bad:
        rows[number] = b"%d,livr\xe9e\n" % number
    chunk = Chunk.of(b"".join(rows))
    starts = find_records(chunk).starts
    found = set((np.searchsorted(starts, find_non_utf8(chunk), side="right") - 1).tolist())
    assert found >= set(bad)
    if text.isascii():
        assert found == set(bad)


def test_quotes_go_and_move_with_their_records() -> None:
    chunk = Chunk.of(b'1,"a"\n2,b\n3,"c,d"\n')
    bounds = find_records(chunk)
    left = without_records(chunk, bounds[:1])
    assert (left.quotes.tolist(), left.few_quotes is None) == ([12, 16], False)
    assert without_records(chunk, bounds[::2]).has_no_quotes
    rest = chunk.after(int(bounds.starts[1]))
    assert (bytes(rest.data), rest.offset) == (b'2,b\n3,"c,d"\n', 6)
    assert rest.quotes.tolist() == [6, 10]
