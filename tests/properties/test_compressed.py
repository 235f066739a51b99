"""Compressed files that are cut, patched or lie; stores that give other bytes than asked for."""

from __future__ import annotations

import bz2
import codecs
import gzip
import hashlib
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties.validation import Outcome, changed, outcome
from tests.support.profiles import examples
from worker.errors import SourceChanged, SourceError
from worker.objects import ObjectInfo, ObjectWriter, OnUnlisted
from worker.objects.memory import MemoryStore

TEXT = b"id,category\n1,Toys\n2,Books\n3,Toys\n"
BLOCKS = (7, 10**6)


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def lz4(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as stream:
        stream.write(data)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def skippable(data: bytes, number: int = 0) -> bytes:
    """A frame that decoders skip (RFC 8878, section 3.1.2)."""
    return struct.pack("<II", 0x184D2A50 + number, len(data)) + data


PACKERS = {"gzip": gz, "zstd": zstd, "bz2": bz2.compress, "lz4": lz4}


def refused(found: Outcome) -> bool:
    assert found.entry.rows_read == found.entry.rows_clean + found.entry.rows_rejected
    if found.entry.verdict == "accepted":
        return False
    assert not found.clean
    assert "expected" in str(found.entry.reason)
    return True


@pytest.mark.parametrize("kind", PACKERS)
def test_a_file_cut_anywhere_is_refused(kind: str) -> None:
    packed = PACKERS[kind](TEXT)
    assert outcome(packed).entry.rows_clean == 3
    for end in range(len(packed)):
        for block_bytes in BLOCKS:
            assert refused(outcome(packed[:end], block_bytes=block_bytes)), end


@pytest.mark.parametrize("kind", PACKERS)
def test_several_members_are_one_file_and_their_ends_are_no_cuts(kind: str) -> None:
    pack = PACKERS[kind]
    first, second = pack(TEXT[:20]), pack(TEXT[20:])
    packed = first + second
    whole = outcome(packed)
    assert [row["id"] for row in whole.clean] == [1, 2, 3]
    for end in range(len(first) + 1, len(packed)):
        assert refused(outcome(packed[:end], block_bytes=7)), end
    # What ends with a member is a whole file: nothing tells that there was another.
    assert not refused(outcome(first))


PADDINGS = (b"\0", b"\0" * 512, b"\n", b"\r\n")
TAILS = (
    b"garbage",
    b"\x1f\x8b",
    TEXT,
    b"\0x",
    b"\0" * 512 + b"\n",
    b"\n\n",
    b"\n\0",
    b"\r",
    b"\x1f",
)


@pytest.mark.parametrize(
    ("kind", "tail"),
    [
        *((kind, tail) for kind in PACKERS for tail in TAILS),
        *((kind, tail) for kind in PACKERS if kind != "gzip" for tail in PADDINGS),
    ],
)
@pytest.mark.parametrize("block_bytes", BLOCKS)
def test_bytes_behind_the_end_refuse_a_file(kind: str, tail: bytes, block_bytes: int) -> None:
    assert refused(outcome(PACKERS[kind](TEXT) + tail, block_bytes=block_bytes))


@pytest.mark.parametrize("padding", [*PADDINGS, b"\0" * 10**5])
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("block_bytes", [1000, 10**6])
def test_padding_behind_gzip_is_passed_over_and_noted(
    padding: bytes, members: int, block_bytes: int
) -> None:
    """gzip(1) ignores the zeros of tapes and block devices; a line end comes from editors."""
    text = TEXT + b"".join(b"%d,Toys\n" % number for number in range(4, 5000))
    step = -(-len(text) // members)
    packed = b"".join(gz(text[at : at + step]) for at in range(0, len(text), step))
    found = outcome(packed + padding, block_bytes=block_bytes)
    assert found.clean == outcome(text).clean
    assert found.entry.notes == {"gzip_padding_bytes": len(padding)}
    assert found.entry.sha256 == hashlib.sha256(packed + padding).hexdigest()


@pytest.mark.parametrize("zeros", [1, 511, 10**5])
@pytest.mark.parametrize("block_bytes", [100, 10**6])
def test_zeros_between_gzip_members_are_passed_over(zeros: int, block_bytes: int) -> None:
    """Members joined from a tape are padded each."""
    packed = b"".join(gz(part) + b"\0" * zeros for part in (TEXT[:20], TEXT[20:]))
    found = outcome(packed, block_bytes=block_bytes)
    assert found.clean == outcome(TEXT).clean
    assert found.entry.notes == {"gzip_padding_bytes": 2 * zeros}
    assert refused(outcome(packed + b"x", block_bytes=block_bytes))


# The last three bytes are zeros themselves: the length of the text.
@pytest.mark.parametrize("end", range(-30, -3))
def test_a_cut_gzip_file_with_padding_is_refused(end: int) -> None:
    assert refused(outcome(gz(TEXT)[:end] + b"\0" * 100))


@pytest.mark.parametrize("kind", ["zstd", "lz4"])
@pytest.mark.parametrize("block_bytes", [64, 10**6])
def test_skippable_frames_are_skipped_wherever_they_are(kind: str, block_bytes: int) -> None:
    """Seekable zstd ends with one; some tools begin with one that says what follows."""
    first, second = PACKERS[kind](TEXT[:20]), PACKERS[kind](TEXT[20:])
    for packed in (
        skippable(b"what follows") + first + second,
        skippable(b"", 15) + skippable(b"x" * 9, 7) + first + skippable(b"") + second,
        first + second + skippable(b"seek table"),
    ):
        assert outcome(packed, block_bytes=block_bytes).clean == outcome(TEXT).clean


@pytest.mark.parametrize("inner", PACKERS)
@pytest.mark.parametrize("outer", PACKERS)
@pytest.mark.parametrize("block_bytes", [9, 10**6])
def test_a_compression_within_a_compression_is_read(
    inner: str, outer: str, block_bytes: int
) -> None:
    """`Content-Encoding: gzip` on top of a .gz file leaves gzip in gzip."""
    found = outcome(PACKERS[outer](PACKERS[inner](TEXT)), block_bytes=block_bytes)
    assert found.clean == outcome(TEXT).clean
    assert found.entry.notes == {f"{inner}_in_{outer}": 1}


def test_padding_within_a_compression_is_passed_over() -> None:
    found = outcome(gz(gz(TEXT) + b"\0" * 9) + b"\n")
    assert found.clean == outcome(TEXT).clean
    assert found.entry.notes == {"gzip_in_gzip": 1, "gzip_padding_bytes": 10}


def test_more_than_two_compressions_are_refused_by_name() -> None:
    found = outcome(gz(gz(gz(TEXT))))
    assert refused(found)
    assert "got gzip data within" in str(found.entry.reason)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (TEXT.decode().encode("utf-32"), "UTF-32"),
        (codecs.BOM_UTF32_BE + TEXT.decode().encode("utf-32-be"), "UTF-32"),
        (b"\x02\x21\x4c\x18" + TEXT, "LZ4 data in the legacy format"),
        (b"PK\x03\x04" + TEXT, "a ZIP archive"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gz])
def test_a_foreign_format_is_named_compressed_or_not(
    data: bytes, name: str, pack: Callable[[bytes], bytes]
) -> None:
    found = outcome(pack(data))
    assert refused(found)
    assert f"got {name}" in str(found.entry.reason) or f"got text in {name}" in str(
        found.entry.reason
    )


@pytest.mark.parametrize("offset", [-8, -5, -4, -1])
def test_a_wrong_checksum_or_length_is_seen(offset: int) -> None:
    """The last eight bytes of gzip: CRC-32, then the length modulo 2^32 (RFC 1952)."""
    packed = bytearray(gz(TEXT))
    packed[offset] ^= 1
    assert refused(outcome(bytes(packed)))


@given(st.sampled_from(["gzip", "bz2"]), st.integers(0, 10**6), st.integers(1, 255))
@examples(1.5)
def test_a_changed_byte_is_seen_or_changes_nothing(kind: str, at: int, change: int) -> None:
    packed = bytearray(PACKERS[kind](TEXT))
    packed[at % len(packed)] ^= change
    found = outcome(bytes(packed))
    assert refused(found) or found.clean == outcome(TEXT).clean


@given(st.sampled_from([b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"BZh9"]), st.binary(max_size=100))
@examples(1.5)
def test_any_bytes_behind_a_magic_number_are_refused(magic: bytes, rest: bytes) -> None:
    assert refused(outcome(magic + rest, block_bytes=10))


@pytest.mark.parametrize("kind", PACKERS)
def test_every_bomb_is_told_by_its_ratio(kind: str) -> None:
    contract = changed(("max_inflation = 1100", "max_inflation = 10"))
    found = outcome(PACKERS[kind](TEXT + b"\n" * 2**23), contract=contract, block_bytes=2**16)
    assert "expected at most 10 bytes out per byte in" in str(found.entry.reason)
    nested = outcome(gz(PACKERS[kind](TEXT + b"\n" * 2**23)), contract=contract)
    assert "expected at most 10 bytes out per byte in" in str(nested.entry.reason)
    # Less than a mebibyte is never a bomb, so that small files may be as regular as they like.
    assert not refused(outcome(PACKERS[kind](TEXT + b"\n" * 2**19), contract=contract))


def test_raw_deflate_is_text() -> None:
    assert refused(outcome(zlib.compress(TEXT)))


class Spoilt:
    """A store whose reads go wrong; the rest is that of the store within."""

    def __init__(self, store: MemoryStore, spoil: Callable[[int, bytes], bytes]) -> None:
        self._store = store
        self._spoil = spoil

    def list(
        self, prefix: str, *, on_unlisted: OnUnlisted | None = None
    ) -> AsyncIterator[ObjectInfo]:
        return self._store.list(prefix, on_unlisted=on_unlisted)

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        return await self._store.stat(key, version_id=version_id)

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        return self._spoil(start, await self._store.read(info, start, end))

    async def read_ranges(
        self, info: ObjectInfo, ranges: Sequence[tuple[int, int]]
    ) -> Sequence[bytes]:
        return [await self.read(info, start, end) for start, end in ranges]

    def create(self, key: str) -> AbstractAsyncContextManager[ObjectWriter]:
        return self._store.create(key)

    async def delete(self, key: str, *, version_id: str | None = None) -> None:
        await self._store.delete(key, version_id=version_id)

    async def close(self) -> None:
        await self._store.close()


@pytest.mark.parametrize("kind", ["text", *PACKERS])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda _, data: data[:-1],
        lambda _, data: data + b"x",
        lambda start, data: data[:3] if start else data,
        lambda start, data: b"" if start else data,
    ],
    ids=["one byte less", "one byte more", "less later", "nothing later"],
)
def test_fewer_or_more_bytes_than_asked_for_are_no_verdict(
    kind: str, spoil: Callable[[int, bytes], bytes]
) -> None:
    """Rows would get lost or doubled, and every count would still add up."""
    packed = PACKERS[kind](TEXT) if kind != "text" else TEXT
    with pytest.raises(SourceError, match=r"products/1\.csv: expected \d+ bytes, got \d+"):
        outcome(packed, block_bytes=20, wrap=lambda store: Spoilt(store, spoil))


@pytest.mark.parametrize("kind", ["text", *PACKERS])
@pytest.mark.parametrize("error", [SourceChanged("gone"), OSError("broken"), ValueError("a bug")])
def test_a_read_that_fails_fails_the_task_and_never_hangs(kind: str, error: Exception) -> None:
    """The thread that inflates must not wait for blocks that never come."""
    packed = PACKERS[kind](TEXT * 20) if kind != "text" else TEXT * 20

    def fail(start: int, data: bytes) -> bytes:
        if start:
            raise error
        return data

    with pytest.raises(type(error), match=str(error)):
        outcome(packed, block_bytes=20, wrap=lambda store: Spoilt(store, fail))
