"""UUIDs: the vectorised conversions equal the scalar reference, and that equals Python's `uuid`."""

from __future__ import annotations

import uuid
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.kernels import uuids as module
from kpi.kernels.uuids import (
    UUID,
    UUID_TEXT,
    format_uuid,
    format_uuids,
    parse_uuid_column,
    parse_uuid_scalar,
    parse_uuids,
)

texts = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda value: str(value).upper()),
    st.text("0123456789abcdefABCDEF-", min_size=36, max_size=36),
    st.text(max_size=37),
)


def expected(text: str | None) -> bytes | None:
    return None if text is None else parse_uuid_scalar(text)


def test_the_scalar_reference_takes_the_form_of_rfc_9562_alone() -> None:
    good = "F81D4FAE-7dec-11d0-A765-00a0c91e6bf6"
    assert parse_uuid_scalar(good) == bytes.fromhex("f81d4fae7dec11d0a76500a0c91e6bf6")
    # Python's `uuid` reads these as well.
    for other in ("{" + good + "}", "urn:uuid:" + good, good.replace("-", ""), "-" + good[:-1]):
        assert parse_uuid_scalar(other) is None


@given(st.lists(st.one_of(texts, st.none()), max_size=20), st.integers(0, 3))
def test_texts_of_any_length_parse_as_the_reference(values: list[str | None], skip: int) -> None:
    array = pa.array([*["x" * 36, None, ""][:skip], *values], pa.string()).slice(skip)
    found = parse_uuids(array)
    assert found.type == UUID
    assert found.to_pylist() == [expected(value) for value in values]
    found.validate(full=True)


@given(
    st.lists(st.one_of(st.uuids().map(str), st.none()), max_size=20),
    st.integers(0, 3),
    st.lists(st.integers(0, 20), max_size=3),
)
def test_texts_of_36_bytes_parse_as_the_reference(
    values: list[str | None], skip: int, cuts: list[int]
) -> None:
    array = pa.array([*["x" * 36, None, "y" * 36][:skip], *values], UUID_TEXT).slice(skip)
    edges = [0, *sorted(cuts), len(values)]
    blocks = [array[start:end] for start, end in pairwise(edges)]
    found = parse_uuid_column(pa.chunked_array(blocks, UUID_TEXT))
    assert found.to_pylist() == [expected(value) for value in values]


@pytest.mark.parametrize("of_one_length", [True, False])
def test_every_character_in_every_place(
    of_one_length: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONVERSION_BLOCK_ROWS", 100)
    good = "0190163d-8694-739b-aea5-966c26f8ad91"
    changed = [good[:at] + chr(code) + good[at + 1 :] for at in range(36) for code in range(128)]
    if of_one_length:
        found = parse_uuid_column(pa.chunked_array([pa.array(changed, UUID_TEXT)]))
    else:
        found = parse_uuids(pa.array(changed, pa.string()))
    assert found.to_pylist() == [expected(text) for text in changed]


@given(st.lists(st.uuids(), max_size=20), st.integers(0, 20))
def test_bytes_format_as_texts_and_sort_alike(values: list[uuid.UUID], cut: int) -> None:
    array = pa.array([value.bytes for value in values], UUID)
    column = pa.chunked_array([array[:cut], array[cut:]], UUID)
    assert format_uuids(column).to_pylist() == [str(value) for value in values]
    by_bytes = sorted(value.bytes for value in values)
    assert [format_uuid(value) for value in by_bytes] == sorted(map(str, values))


def test_bytes_behind_a_null_are_no_uuid() -> None:
    text = b"0190163d-8694-739b-aea5-966c26f8ad91"
    array = pa.Array.from_buffers(UUID_TEXT, 2, [pa.py_buffer(b"\x02"), pa.py_buffer(2 * text)])
    found = parse_uuid_column(pa.chunked_array([array]))
    assert found.to_pylist() == [None, expected(text.decode())]
