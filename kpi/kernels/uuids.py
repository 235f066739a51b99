"""UUIDs: 16 bytes instead of 36 characters (RFC 9562)."""

from __future__ import annotations

import uuid

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.kernels.arrays import Bytes, Mask
from kpi.kernels.masks import bitmap, valid, word

UUID = pa.binary(16)
"""Their bytes, in the order of the digits: they sort as their texts do."""

UUID_TEXT = pa.binary(36)
"""Their texts, or others of the same length."""


_WIDTH = 36
_FRONT = (word(*b"\xff\0\0\0\0\xff\0\0"), word(*b"-\0\0\0\0-\0\0"))
_BACK = (word(*b"\0\0\xff\0\0\0\0\xff"), word(*b"\0\0-\0\0\0\0-"))
"""Of the eight characters from the 8th on, and from the 16th: where hyphens stand, and those."""

_NINE = (ord("9") - ord("a")) % 256
"""What the digit 9 is as a letter. More are those between the digits and the letters, which would
be worth something else."""

_EIGHT = np.dtype(np.complex64)
"""Eight bytes that numpy takes for aligned on every fourth byte, where all rows begin: those of
integers it copies one by one there, for three times the time."""

_ROWS_AT_ONCE = 1 << 14
"""Texts worked on at once: what becomes of them on the way stays in the cache of a core."""


def uuids(text: pa.Array) -> pa.Array:
    """As `UUID`, the texts that are 32 hexadecimal digits of either case, in groups of 8, 4, 4, 4
    and 12 with hyphens between; null for others.

    Args:
        text: `pa.string()`.
    """
    _, offsets_buffer, data = text.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[text.offset :][: len(text) + 1]
    rows = np.flatnonzero((np.diff(offsets) == _WIDTH) & valid(text))
    values, good = np.zeros((len(text), 4), np.uint32), np.zeros(len(text), bool)
    if len(rows):
        codes = np.frombuffer(data, np.uint8)
        fitting = np.lib.stride_tricks.sliding_window_view(codes, _WIDTH)[offsets[rows]]
        found = np.empty((len(rows), 4), np.uint32), np.empty(len(rows), bool)
        _convert(fitting.reshape(-1), *found)
        values[rows], good[rows] = found
    return _array(values, good)


def uuids_of(texts: pa.ChunkedArray) -> pa.Array:
    """As `uuids`, of texts of type `UUID_TEXT`."""
    values, good = np.empty((len(texts), 4), np.uint32), np.empty(len(texts), bool)
    end = 0
    for text in texts.chunks:
        start, end = end, end + len(text)
        codes = np.frombuffer(text.buffers()[1] or b"", np.uint8)[_WIDTH * text.offset :]
        _convert(codes[: _WIDTH * len(text)], values[start:end], good[start:end])
        if text.null_count:
            good[start:end] &= valid(text)
    return _array(values, good)


def uuid_text(value: bytes) -> str:
    """The text of one, in lower case."""
    return str(uuid.UUID(bytes=value))


def uuid_texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts of a column of `UUID`, of which few differ."""
    texts = []
    for chunk in values.chunks:
        encoded = chunk.dictionary_encode()
        different = pa.array(map(uuid_text, encoded.dictionary.to_pylist()), pa.string())
        texts.append(different.take(encoded.indices))
    return pa.chunked_array(texts, pa.string())


def _convert(codes: Bytes, values: npt.NDArray[np.uint32], good: Mask) -> None:
    """Fill in the bytes, (rows, 4) words of four in the order of memory, of texts of 36 characters
    that lie side by side; and which are UUIDs."""
    rows = len(good)
    for start in range(0, rows, _ROWS_AT_ONCE):
        end = min(start + _ROWS_AT_ONCE, rows)
        digits, good[start:end] = _without_hyphens(codes[start * _WIDTH : end * _WIDTH])
        strange = _to_worth(digits)
        if strange is not None:
            good[start:end] &= ~strange.any(axis=(0, 2))
        # The first of the two digits of a byte is the lower byte of both.
        pairs = digits.view("<u2")
        pairs *= np.uint16(1 << 12 | 1)
        pairs >>= np.uint16(8)
        for number, column in enumerate(pairs.astype(np.uint8).view(np.uint32)):
            values[start:end, number] = column[:, 0]


def _without_hyphens(codes: Bytes) -> tuple[Bytes, Mask]:
    """The digits of texts, (4, rows, 8): of all rows the first eight, then the second and so on;
    and which texts have hyphens where they should."""
    rows = len(codes) // _WIDTH
    words = np.empty((4, rows), "<u8")

    def eight(at: int) -> npt.NDArray[np.complex64]:
        return np.ndarray((rows,), _EIGHT, codes, at, (_WIDTH,))

    words[0].view(_EIGHT)[:], words[3].view(_EIGHT)[:] = eight(0), eight(28)
    # Between them stand -aaaa-bb and bb-cccc-; the first character is the lowest byte.
    front, back = (eight(at).copy().view("<u8") for at in (8, 16))
    good = (front & _FRONT[0]) == _FRONT[1]
    good &= (back & _BACK[0]) == _BACK[1]
    second, third = words[1], words[2]
    np.right_shift(back, np.uint64(24), out=third)
    third.view("<u4")[1::2] = np.ndarray((rows,), "<u4", codes, 24, (_WIDTH,))
    np.left_shift(back, np.uint64(48), out=second)
    second |= front >> np.uint64(48) << np.uint64(32)
    front >>= np.uint64(8)
    front &= np.uint64(0xFFFFFFFF)
    second |= front
    return words.view(np.uint8).reshape(4, rows, 8), good


def _to_worth(codes: Bytes) -> Mask | None:
    """Put what hexadecimal digits are worth in their place; which characters are none, None where
    all are."""
    letters = codes | np.uint8(ord("a") ^ ord("A"))
    letters -= np.uint8(ord("a"))
    highest = letters.max()
    between = letters > _NINE if highest > _NINE else None
    letters += np.uint8(10)
    codes -= np.uint8(ord("0"))
    # Digits are 217 and more as letters, and letters 17 and more as digits.
    np.minimum(codes, letters, out=codes)
    if between is None and codes.max() <= 15:
        return None
    beyond = codes > 15
    return beyond if between is None else beyond | between


def _array(values: npt.NDArray[np.uint32], good: Mask) -> pa.Array:
    whole = pa.py_buffer(values)
    return pa.Array.from_buffers(UUID, len(good), [bitmap(good), whole])
