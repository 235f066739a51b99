"""Digests of parts: any ranges and any blocks give those of the whole object."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import worker.validate.content_digest
from worker.validate.byte_range import ByteRange
from worker.validate.content_digest import ContentDigest, content_of_parts

PART_BYTES = 10


@pytest.fixture(autouse=True, scope="module")
def small_parts() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setattr(worker.validate.content_digest, "CONTENT_PART_BYTES", PART_BYTES)
    yield
    patch.undo()


def digest(data: bytes, byte_range: ByteRange, block_bytes: int) -> ContentDigest:
    found = ContentDigest(byte_range, len(data), whole=True)
    for start in range(byte_range.start, found.end, block_bytes):
        assert not found.is_complete
        found.update(data[start : min(start + block_bytes, found.end)])
    return found


@given(st.binary(min_size=1, max_size=64), st.data())
def test_ranges_give_the_content_of_the_whole(data: bytes, draw: st.DataObject) -> None:
    edges = st.integers(1, len(data))
    cuts = sorted({0, len(data), *draw.draw(st.lists(edges, max_size=5))})
    block_bytes = draw.draw(st.integers(1, 70))
    parts = [digest(data, ByteRange(*one), block_bytes).parts for one in pairwise(cuts)]
    whole = digest(data, ByteRange(0, len(data)), block_bytes)
    assert "".join(part or "" for part in parts) == whole.parts
    assert whole.sha256 == hashlib.sha256(data).hexdigest()
    hashes = [hashlib.sha256(data[at : at + PART_BYTES]) for at in range(0, len(data), PART_BYTES)]
    assert whole.parts == "".join(one.hexdigest() for one in hashes)
    expected = hashlib.sha256(b"".join(one.digest() for one in hashes)).hexdigest()
    content = content_of_parts(whole.parts)
    assert content == (f"{expected}-{len(hashes)}" if len(hashes) > 1 else whole.sha256)


def test_an_unfinished_object_has_no_content() -> None:
    unfinished = ContentDigest(ByteRange(0, 25), 25, whole=True)
    unfinished.update(b"x" * 24)
    assert (unfinished.parts, unfinished.sha256) == (None, None)


def test_an_empty_object_has_the_content_of_no_bytes() -> None:
    empty = ContentDigest(ByteRange(0, 0), 0)
    assert content_of_parts(empty.parts or "") == hashlib.sha256().hexdigest() == empty.sha256
