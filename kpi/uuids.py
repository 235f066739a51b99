"""UUIDs: 16 bytes instead of 36 characters (RFC 9562)."""

from __future__ import annotations

import uuid

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.masks import Mask, bitmap, valid

UUID = pa.binary(16)
"""Their bytes, in the order of the digits: they sort as their texts do."""

UUID_TEXT = pa.binary(36)
"""Their texts, or others of the same length."""

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

_WIDTH = 36
_HYPHENS = (8, 13, 18, 23)
_FOURS = (0, 4, 9, 14, 19, 24, 28, 32)
"""Where four digits stand side by side."""

_ROWS_AT_ONCE = 8192
"""Texts worked on at once: what is needed for it stays in the cache."""


def uuids(text: pa.Array) -> pa.Array:
    """As `UUID`, the texts that are 32 hexadecimal digits of either case, in groups of 8, 4, 4, 4
    and 12 with hyphens between; null for others.

    Args:
        text: `UUID_TEXT` or `pa.string()`.
    """
    if text.type == UUID_TEXT:
        codes = np.frombuffer(text.buffers()[1] or b"", np.uint8)[_WIDTH * text.offset :]
        values, good = _bytes_of(codes[: _WIDTH * len(text)])
        if text.null_count:
            good &= valid(text)
        return _array(values, good)
    _, offsets_buffer, data = text.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[text.offset :][: len(text) + 1]
    rows = np.flatnonzero((np.diff(offsets) == _WIDTH) & valid(text))
    good = np.zeros(len(text), bool)
    values = np.zeros((len(text), 16), np.uint8)
    if len(rows):
        codes = np.frombuffer(data, np.uint8)
        fitting = np.lib.stride_tricks.sliding_window_view(codes, _WIDTH)[offsets[rows]]
        values[rows], good[rows] = _bytes_of(fitting.reshape(-1))
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


def _bytes_of(codes: Bytes) -> tuple[Bytes, Mask]:
    """The bytes, 16 a row, of texts of 36 characters that lie side by side; and which are UUIDs."""
    rows = len(codes) // _WIDTH
    values = np.empty((rows, 16), np.uint8)
    good = np.ones(rows, bool)
    for start in range(0, rows, _ROWS_AT_ONCE):
        end = min(start + _ROWS_AT_ONCE, rows)
        block = codes[start * _WIDTH : end * _WIDTH]
        fours = np.empty((end - start, 8), np.uint32)
        for number, at in enumerate(_FOURS):
            fours[:, number] = np.ndarray((end - start,), "<u4", block, at, (_WIDTH,))
        strange = _are_no_digits(fours.view(np.uint8).reshape(-1))
        if strange.any():
            good[start:end] = ~strange.reshape(-1, 32).any(axis=1)
        for at in _HYPHENS:
            good[start:end] &= block[at::_WIDTH] == ord("-")
        digits = _digits(fours.view(np.uint64).reshape(-1))
        # The two digits of a byte are neighbours; the lower byte of two has the first one.
        pairs = digits << np.uint64(4)
        digits >>= np.uint64(8)
        pairs |= digits
        values[start:end] = pairs.view(np.uint16).astype(np.uint8).reshape(-1, 16)
    return values, good


def _every(byte: int) -> np.uint64:
    return np.uint64(int.from_bytes(bytes([byte] * 8), "little"))


def _are_no_digits(codes: Bytes) -> Mask:
    """Which characters are no hexadecimal digits."""
    strange: Mask = codes - np.uint8(ord("0")) > 9
    letters = codes | np.uint8(ord("a") ^ ord("A"))
    letters -= np.uint8(ord("a"))
    strange &= letters > 5
    return strange


def _digits(codes: Words) -> Words:
    """What hexadecimal digits are worth, eight at a time; nonsense where they are none."""
    letters = (codes >> np.uint64(6)) & _every(1)
    digits = codes & _every(0x0F)
    digits += letters
    letters <<= np.uint64(3)
    digits += letters  # a to f have 1 to 6 in their lower half
    return digits


def _array(values: Bytes, good: Mask) -> pa.Array:
    whole = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(UUID, len(good), [bitmap(good), whole])
