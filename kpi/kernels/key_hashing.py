"""Hash key columns to 128 bits with AES-CMAC (NIST SP 800-38B, RFC 4493), a column at a time.

CMAC splits a text into blocks of 16 bytes, adds each to the state by exclusive or, and encrypts:

    state = 0
    for block in all but the last:  state = AES(state ^ block)
    last block, 16 bytes:           AES(state ^ block ^ K1)
    last block, shorter:            AES(state ^ (block, 0x80, 0, ...) ^ K2)

K1 and K2 derive from the key. The library encrypts one block of every text in each call. Its AES
runs on the instructions of the processor.

Bound: of n texts of at most b blocks, chosen without the key, any two share a hash with a
probability of at most (5 * b**2 + 1) * n**2 / 2**128 + n**2 / 2**129, beside the advantage of
telling AES from a random permutation (Iwata and Kurosawa, OMAC, 2003). That is 7.3e-19 for 10**9
texts of up to 112 bytes.

The hash of several columns is the CMAC of their parts, of 16 bytes each: the CMAC of a text, a UUID
or an integer filled up with zeros. Parts of fixed length cannot run into each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from kpi.kernels.arrays import Bytes, Int64s, Words
from kpi.kernels.process_secrets import HASH_KEY
from kpi.kernels.uuids import UUID

BLOCK_BYTES = 16
"""Size of an AES block."""

HASH_BLOCK_ROWS = 1 << 15
"""Texts hashed at once: their blocks fit the cache of a core. With fewer, threads wait for each
other at the interpreter's lock."""

Blocks = npt.NDArray[np.complex128]
"""AES blocks. NumPy copies and gathers these 16 bytes as one value; nothing computes with them as
numbers."""

_BLOCK = np.dtype(np.complex128)

_NOT_LAST = BLOCK_BYTES + 1
"""Index, in the tables of a hasher, of a block that is not the last of its text."""


class KeyHasher:
    """Hashes columns of keys under a secret key of 16 bytes."""

    def __init__(self, key: bytes) -> None:
        # One block a text and call, so no mode is wanted: chaining the blocks is what CMAC does.
        self._cipher = Cipher(AES(key), ECB())  # noqa: S305
        first = _double(int.from_bytes(self._encrypt(np.zeros(1, _BLOCK)).tobytes()))
        full, short = (value.to_bytes(BLOCK_BYTES) for value in (first, _double(first)))
        # For a last block of 0 to 16 bytes, and for one that is not the last: which of 16 bytes
        # belong to the text, and what they are combined with by exclusive or.
        sizes = range(BLOCK_BYTES)
        self._masks = _blocks([*(b"\xff" * size for size in (*sizes, BLOCK_BYTES, BLOCK_BYTES))])
        padding = [_xor(b"\0" * size + b"\x80", short) for size in sizes]
        self._tails = _blocks([*padding, full, b""])

    def hash_rows(self, columns: Sequence[pa.ChunkedArray]) -> tuple[Words, Words]:
        """Hash each row of some columns.

        A single column of UUIDs is encrypted as one block each.

        Args:
            columns: Without null: integers, UUIDs or strings.

        Returns:
            Both halves of the hash of each row.
        """
        high, low = (np.empty(len(columns[0]), np.uint64) for _ in range(2))
        for start in range(0, len(high), HASH_BLOCK_ROWS):
            rows = slice(start, start + HASH_BLOCK_ROWS)
            state = self._hash_block([column[rows] for column in columns]).view(np.uint64)
            high[rows], low[rows] = state[0::2], state[1::2]
        return high, low

    def _hash_block(self, columns: Sequence[pa.ChunkedArray]) -> Blocks:
        parts = [self._part(column) for column in columns]
        if len(parts) == 1:
            return self._encrypt(parts[0]) if columns[0].type == UUID else parts[0]
        state = np.zeros_like(parts[0])
        for part in parts:
            if part is parts[-1]:
                _xor_constant(state, self._tails[BLOCK_BYTES:_NOT_LAST])
            _xor_blocks(state, part)
            state = self._encrypt(state)
        return state

    def _part(self, column: pa.ChunkedArray) -> Blocks:
        """Return 16 bytes for each value of a column."""
        part = np.empty(len(column), _BLOCK)
        end = 0
        for chunk in column.chunks:
            start, end = end, end + len(chunk)
            if not len(chunk):
                continue  # it may have no buffers
            if pa.types.is_integer(chunk.type):
                words = part[start:end].view(np.uint64)
                words[0::2], words[1::2] = chunk.to_numpy().view(np.uint64), 0
            elif chunk.type == UUID:
                blocks = np.frombuffer(chunk.buffers()[1], _BLOCK)
                part[start:end] = blocks[chunk.offset : chunk.offset + len(chunk)]
            else:
                part[start:end] = self._hash_texts(chunk)
        return part

    def _hash_texts(self, texts: pa.Array) -> Blocks:
        """Hash the texts of a `pa.string()` array."""
        _, offsets_buffer, data = texts.buffers()
        offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset :][: len(texts) + 1]
        codes = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]]
        # Room behind the last text, so that every block can be read whole.
        padded = np.empty(len(codes) + BLOCK_BYTES, np.uint8)
        padded[: len(codes)], padded[len(codes) :] = codes, 0
        lengths = np.diff(offsets)
        if (lengths == lengths[0]).all():
            return self._hash_equal_lengths(padded, int(lengths[0]), len(lengths))
        return self._hash_lengths(padded, (offsets[:-1] - offsets[0]).astype(np.int64), lengths)

    def _hash_equal_lengths(self, codes: Bytes, length: int, rows: int) -> Blocks:
        """Hash adjacent texts of one length: block n of all texts has a constant stride."""
        state = np.zeros(rows, _BLOCK)
        block = np.empty(rows, _BLOCK)
        last = max(-(-length // BLOCK_BYTES), 1) - 1
        for number in range(last + 1):
            at = number * BLOCK_BYTES
            block[:] = np.ndarray((rows,), _BLOCK, codes, at, (length,))
            if number == last:
                kind = slice(length - at, length - at + 1)
                _and_constant(block, self._masks[kind])
                _xor_constant(block, self._tails[kind])
            _xor_blocks(block, state)
            state = self._encrypt(block)
        return state

    def _hash_lengths(self, codes: Bytes, starts: Int64s, lengths: npt.NDArray[np.int32]) -> Blocks:
        """Hash texts of several lengths: block n of those that are long enough."""
        windows = np.ndarray((len(codes) - BLOCK_BYTES + 1,), _BLOCK, codes, 0, (1,))
        state = np.zeros(len(lengths), _BLOCK)
        rows = np.arange(len(lengths))
        left = lengths
        while len(rows):
            kinds = np.minimum(left, _NOT_LAST)
            block = windows[starts]
            words = block.view(np.uint64)
            words &= self._masks.take(kinds).view(np.uint64)
            _xor_blocks(block, self._tails.take(kinds))
            if len(rows) == len(state):
                _xor_blocks(block, state)
                state = self._encrypt(block)
            else:
                _xor_blocks(block, state[rows])
                state[rows] = self._encrypt(block)
            on = np.flatnonzero(left > BLOCK_BYTES)
            rows, starts, left = rows[on], starts[on] + BLOCK_BYTES, left[on] - BLOCK_BYTES
        return state

    def _encrypt(self, blocks: Blocks) -> Blocks:
        """Encrypt each block."""
        # The library asks for room for one block more, less a byte.
        found = np.empty(len(blocks) + 1, _BLOCK)
        self._cipher.encryptor().update_into(blocks.data.cast("B"), found.data.cast("B"))
        return found[:-1]


def _blocks(parts: Sequence[bytes]) -> Blocks:
    """Return each of some texts of up to 16 bytes, filled up with zeros, as a block."""
    return np.frombuffer(b"".join(part.ljust(BLOCK_BYTES, b"\0") for part in parts), _BLOCK)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left.ljust(BLOCK_BYTES, b"\0"), right, strict=True))


def _double(value: int) -> int:
    """Multiply by x in the field of 2**128 elements that CMAC uses (SP 800-38B, 6.1)."""
    return (value << 1) % 2**128 ^ (0x87 if value >> 127 else 0)


def _xor_blocks(blocks: Blocks, others: Blocks) -> None:
    words = blocks.view(np.uint64)
    words ^= others.view(np.uint64)


def _xor_constant(blocks: Blocks, constant: Blocks) -> None:
    # A word at a time: NumPy is slow where it repeats two values along an axis.
    words = blocks.view(np.uint64)
    for at, value in enumerate(constant.view(np.uint64)):
        words[at::2] ^= value


def _and_constant(blocks: Blocks, constant: Blocks) -> None:
    words = blocks.view(np.uint64)
    for at, value in enumerate(constant.view(np.uint64)):
        words[at::2] &= value


PROCESS_HASHER = KeyHasher(HASH_KEY)
"""Hashes keys that are held in memory alone."""
