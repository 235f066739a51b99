"""Keys of every type for tests."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from hypothesis import strategies as st

from kpi.kernels.keys import Keys, keys_of
from kpi.kernels.uuids import UUID

INT64 = st.one_of(st.integers(0, 50), st.integers(-(2**63), 2**63 - 1))
TEXTS = st.one_of(
    st.text(max_size=3),
    st.text("ab", min_size=6, max_size=18),  # around the words of eight bytes
    st.sampled_from(["", "\x00", "\x00\x00", "a\x00", "a", "0", "00", "7" * 16, "7" * 17]),
)
UUIDS = st.one_of(
    st.integers(0, 2**128 - 1),
    st.integers(0, 5),
    st.integers(0, 5).map(lambda number: number << 64),
).map(lambda number: number.to_bytes(16))
KEYS = st.one_of(*(st.lists(some, max_size=40) for some in (INT64, TEXTS, UUIDS)))


def array_of(values: Sequence[object]) -> pa.Array:
    kinds: dict[type, pa.DataType] = {str: pa.string(), bytes: UUID}
    return pa.array(values, kinds.get(type(values[0]), pa.int64()) if values else pa.int64())


def chunked(values: Sequence[object], cut: int) -> pa.ChunkedArray:
    """The values in two chunks, one of them a slice of something longer."""
    array = array_of([*values, *values[:1]])
    cut = cut % (len(values) + 1)
    return pa.chunked_array([array[:cut], array[cut : len(values)]], array.type)


def keys_in(values: Sequence[object], cut: int = 0) -> Keys:
    return keys_of([chunked(values, cut)])


def pairs(found: Keys) -> list[tuple[int, int]]:
    low = [0] * len(found) if found.low is None else found.low.tolist()
    return list(zip(found.high.tolist(), low, strict=True))
