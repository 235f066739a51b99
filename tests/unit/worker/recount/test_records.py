"""Records of raw text: where they end, and which are left out."""

from __future__ import annotations

import pytest

from worker.recount.records import TooAmbiguousError, read_lines, read_records


def records(text: bytes, *, block: int = 1 << 20, longest: int = 1 << 20) -> list[list[str]]:
    blocks = [text[at : at + block] for at in range(0, len(text), block)]
    return list(read_records(read_lines(blocks), ",", longest))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a,b\nc,d\n", [["a", "b"], ["c", "d"]]),
        (b"a,b\r\nc,d\re,f", [["a", "b"], ["c", "d"], ["e", "f"]]),
        (b"a\n\n\r\nb\n", [["a"], ["b"]]),
        (b'"a,""b"\n', [['a,"b']]),
        (b'"a\nb",c\nd\n', [["a\nb", "c"], ["d"]]),
        (b'a"b,c\n', [['a"b', "c"]]),
        # A malformed record ends at its first line end.
        (b'"a"b,c\nd\n', [["d"]]),
        (b'"a\nb,c\nd\n', [["b", "c"], ["d"]]),
        (b'"a\n"b\nc\n', [["c"]]),
        (b"a\xff\n", [["a\udcff"]]),
    ],
)
@pytest.mark.parametrize("block", [1, 3, 1000])
def test_records_are_split(text: bytes, expected: list[list[str]], block: int) -> None:
    assert records(text, block=block) == expected


def test_a_record_that_is_too_long_is_left_out() -> None:
    assert records(b"a,b\n" + b"c" * 20 + b"\nd\n", longest=10) == [["a", "b"], ["d"]]
    assert records(b'"a\n' + b"c" * 9 + b'\n"\nd\n', longest=10) == [["c" * 9], ["d"]]


def test_too_many_open_quotes_are_given_up() -> None:
    with pytest.raises(TooAmbiguousError):
        records(b'x","\n' * 20_000, longest=1000)
