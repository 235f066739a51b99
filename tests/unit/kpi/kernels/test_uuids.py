"""UUIDs: Python's own are the judges."""

from __future__ import annotations

import re
import uuid
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.kernels import uuids as module
from kpi.kernels.uuids import UUID, UUID_TEXT, uuid_text, uuid_texts, uuids, uuids_of

FORM = re.compile("-".join(f"[0-9a-fA-F]{{{digits}}}" for digits in (8, 4, 4, 4, 12)))

texts = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda value: str(value).upper()),
    st.text("0123456789abcdefABCDEF-", min_size=36, max_size=36),
    st.text(max_size=37),
)


def expected(text: str | None) -> bytes | None:
    return None if text is None or not FORM.fullmatch(text) else uuid.UUID(text).bytes


@given(st.lists(st.one_of(texts, st.none()), max_size=20), st.integers(0, 3))
def test_texts_become_what_python_makes_of_them(values: list[str | None], skip: int) -> None:
    array = pa.array([*["x" * 36, None, ""][:skip], *values], pa.string()).slice(skip)
    found = uuids(array)
    assert found.type == UUID
    assert found.to_pylist() == [expected(value) for value in values]
    found.validate(full=True)


@given(
    st.lists(st.one_of(st.uuids().map(str), st.none()), max_size=20),
    st.integers(0, 3),
    st.lists(st.integers(0, 20), max_size=3),
)
def test_texts_of_one_length_give_the_same(
    values: list[str | None], skip: int, cuts: list[int]
) -> None:
    array = pa.array([*["x" * 36, None, "y" * 36][:skip], *values], UUID_TEXT).slice(skip)
    edges = [0, *sorted(cuts), len(values)]
    blocks = [array[start:end] for start, end in pairwise(edges)]
    found = uuids_of(pa.chunked_array(blocks, UUID_TEXT))
    assert found.to_pylist() == [expected(value) for value in values]


@pytest.mark.parametrize("of_one_length", [True, False])
def test_every_character_in_every_place(
    of_one_length: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 100)
    good = "0190163d-8694-739b-aea5-966c26f8ad91"
    changed = [good[:at] + chr(code) + good[at + 1 :] for at in range(36) for code in range(128)]
    if of_one_length:
        found = uuids_of(pa.chunked_array([pa.array(changed, UUID_TEXT)]))
    else:
        found = uuids(pa.array(changed, pa.string()))
    assert found.to_pylist() == [expected(text) for text in changed]


@given(st.lists(st.uuids(), max_size=20), st.integers(0, 20))
def test_bytes_become_texts_again_and_sort_alike(values: list[uuid.UUID], cut: int) -> None:
    array = pa.array([value.bytes for value in values], UUID)
    column = pa.chunked_array([array[:cut], array[cut:]], UUID)
    assert uuid_texts(column).to_pylist() == [str(value) for value in values]
    by_bytes = sorted(value.bytes for value in values)
    assert [uuid_text(value) for value in by_bytes] == sorted(map(str, values))


def test_what_lies_behind_a_null_is_no_uuid() -> None:
    text = b"0190163d-8694-739b-aea5-966c26f8ad91"
    array = pa.Array.from_buffers(UUID_TEXT, 2, [pa.py_buffer(b"\x02"), pa.py_buffer(2 * text)])
    found = uuids_of(pa.chunked_array([array]))
    assert found.to_pylist() == [None, expected(text.decode())]
