"""Hashes of keys are AES-CMAC: the vectors of RFC 4493 and the library's own CMAC judge them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from itertools import product

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import example, given
from hypothesis import strategies as st

import kpi.kernels.key_hashing
from kpi.kernels.key_hashing import PROCESS_HASHER, KeyHasher
from kpi.kernels.keys import keys_of
from kpi.kernels.uuids import UUID

RFC_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
TEXTS = st.one_of(
    st.text(max_size=3),
    st.text("ab", min_size=12, max_size=36),  # around the ends of blocks
    st.sampled_from(["", "\x00", "\x00\x00", "a\x00", "7" * 15, "7" * 16, "7" * 17, "7" * 32]),
)
COLLIDED = ("ORD-2025-000123", "ORD-20256MDXGum*ZmEcEYAzJBbg49;+!RW.3aPy")
"""Two ids of one key under the hash of release 0.1.0, the second found from the first."""


def cmac(key: bytes, message: bytes) -> bytes:
    found = CMAC(AES(key))
    found.update(message)
    return found.finalize()


def hashes(hasher: KeyHasher, *columns: pa.Array | pa.ChunkedArray) -> list[bytes]:
    chunked = [
        one if isinstance(one, pa.ChunkedArray) else pa.chunked_array([one]) for one in columns
    ]
    high, low = hasher.hash_rows(chunked)
    halves = zip(high.tolist(), low.tolist(), strict=True)
    return [one.to_bytes(8, "little") + other.to_bytes(8, "little") for one, other in halves]


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ],
)
@pytest.mark.parametrize("others", [[], [b"another length"]])
def test_the_examples_of_rfc_4493(length: int, expected: str, others: list[bytes]) -> None:
    """The messages are no UTF-8, which nothing here looks at."""
    message = bytes.fromhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )[:length]
    column = pa.array([message, *others], pa.binary()).view(pa.string())
    assert hashes(KeyHasher(RFC_KEY), column)[0].hex() == expected


@given(st.binary(min_size=16, max_size=16), st.lists(TEXTS, max_size=20), st.integers(0, 20))
@example(bytes(16), [], 0)
def test_texts_of_any_length_hash_to_their_cmac(key: bytes, texts: list[str], cut: int) -> None:
    array = pa.array(["before", *texts], pa.string())[1:]
    column = pa.chunked_array([array[:cut], array[cut:]], pa.string())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kpi.kernels.key_hashing, "HASH_BLOCK_ROWS", 7)
        found = hashes(KeyHasher(key), column)
    assert found == [cmac(key, text.encode()) for text in texts]


@given(st.lists(st.text("ab", min_size=40, max_size=40), min_size=1), st.integers(0, 40))
def test_texts_of_one_length_hash_to_their_cmac(texts: list[str], length: int) -> None:
    alike = [text[:length] for text in texts]
    found = hashes(KeyHasher(RFC_KEY), pa.array(alike, pa.string()))
    assert found == [cmac(RFC_KEY, text.encode()) for text in alike]


@given(st.lists(st.tuples(TEXTS, st.integers(-(2**63), 2**63 - 1), st.uuids()), max_size=9))
def test_several_columns_hash_to_the_cmac_of_parts_of_16_bytes(
    rows: Sequence[tuple[str, int, uuid.UUID]],
) -> None:
    ids = [one.bytes for _, _, one in rows]
    found = hashes(
        KeyHasher(RFC_KEY),
        pa.array([text for text, _, _ in rows], pa.string()),
        pa.array([number for _, number, _ in rows], pa.int64()),
        pa.array(ids, UUID),
    )
    parts = [
        cmac(RFC_KEY, text.encode())
        + number.to_bytes(16, "little", signed=True)[:8]
        + bytes(8)
        + one
        for (text, number, _), one in zip(rows, ids, strict=True)
    ]
    assert found == [cmac(RFC_KEY, part) for part in parts]


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=20))
@example([("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", "")])
def test_rows_share_a_hash_only_where_all_columns_are_equal(rows: list[tuple[str, str]]) -> None:
    columns = [pa.array([row[at] for row in rows], pa.string()) for at in range(2)]
    found = hashes(PROCESS_HASHER, *columns)
    for one, other in product(range(len(rows)), repeat=2):
        assert (found[one] == found[other]) == (rows[one] == rows[other])


def test_columns_may_not_change_places() -> None:
    one, other = (pa.array([text]) for text in ("a", "b"))
    assert hashes(PROCESS_HASHER, one, other) != hashes(PROCESS_HASHER, other, one)


def test_uuids_are_encrypted_so_that_different_ones_differ() -> None:
    ids = [number.to_bytes(16) for number in range(1000)]
    found = hashes(KeyHasher(RFC_KEY), pa.array(ids, UUID))
    assert len(set(found)) == len(ids)
    # The first block of AES in FIPS 197, appendix B.
    block = bytes.fromhex("3243f6a8885a308d313198a2e0370734")
    assert hashes(KeyHasher(RFC_KEY), pa.array([block], UUID))[0].hex() == (
        "3925841d02dc09fbdc118597196a0b32"
    )


def test_ids_that_once_collided_have_different_keys() -> None:
    keys = keys_of([pa.chunked_array([list(COLLIDED)])])
    assert keys.low is not None
    assert keys.high[0] != keys.high[1]
    assert keys.low[0] != keys.low[1]


def test_hashes_depend_on_the_key_alone() -> None:
    column = pa.array(COLLIDED)
    assert hashes(KeyHasher(bytes(16)), column) == hashes(KeyHasher(bytes(16)), column)
    assert not set(hashes(KeyHasher(bytes(16)), column)) & set(hashes(PROCESS_HASHER, column))
