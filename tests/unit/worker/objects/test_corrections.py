"""Corrected records are read in their places, however the text is cut into blocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import SourceError
from worker.objects.corrections import Correction, Corrections

RECORDS = st.lists(
    st.tuples(st.sampled_from([b"a", b"bb", b"", b"a,b"]), st.none() | st.binary(max_size=4)),
    max_size=8,
)


async def blocks(text: bytes, cuts: Sequence[int]) -> AsyncIterator[bytes]:
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        yield text[start:end]


def read(corrections: Corrections, text: bytes, cuts: Sequence[int]) -> bytes:
    async def work() -> bytes:
        texts = corrections.apply(blocks(text, cuts), "file:///f.csv")
        return b"".join([one async for one in texts])

    return asyncio.run(work())


@given(RECORDS, st.lists(st.integers(0, 40)))
def test_the_text_is_that_of_a_file_that_came_right(
    records: list[tuple[bytes, bytes | None]], cuts: list[int]
) -> None:
    text, right, offsets = b"", b"", []
    corrections: list[Correction] = []
    for row, (raw, corrected) in enumerate(records):
        if corrected is not None:
            corrections.append(
                Correction(byte_offset=len(text), row=row, raw=raw, corrected=corrected)
            )
        offsets.append((len(right), len(text)))
        text += raw + b"\n"
        right += (raw if corrected is None else corrected) + b"\n"
    found = Corrections.of(reversed(corrections))
    inside = sorted(min(one, len(text)) for one in cuts)
    assert read(found, text, inside) == right
    assert [*found.original_offsets(new for new, _ in offsets)] == [old for _, old in offsets]


@pytest.mark.parametrize("text", [b"a\nx\nc\n", b"a\n", b"a\nb"])
def test_a_record_that_is_elsewhere_is_an_error(text: bytes) -> None:
    one = Correction(byte_offset=2, row=2, raw=b"bc", corrected=b"d")
    with pytest.raises(SourceError, match="row 2 was repaired, and is not where it was"):
        read(Corrections.of([one]), text, [])


def test_records_of_json_may_have_blanks_before_them() -> None:
    one = Correction(byte_offset=1, row=1, raw=b'{"a":1}', corrected=b'{"a":2}')
    assert read(Corrections.of([one]), b'[\n  {"a":1}]', [3, 7]) == b'[\n  {"a":2}]'
