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

_WIDTH = 36
_HYPHENS = (8, 13, 18, 23)
_GROUPS = ((0, 8), (9, 4), (14, 4), (19, 4), (24, 4), (28, 8))
"""Where digits stand side by side, and how many are taken at once."""

_PLACES = (0, 8, 12, 16, 20, 24)
"""Where these stand without hyphens."""

_NINE = (ord("9") - ord("a")) % 256
"""What the digit 9 is as a letter. More are those between the digits and the letters, which would
be worth something else."""

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
    digits = np.empty((_ROWS_AT_ONCE, 32), np.uint8)
    for start in range(0, rows, _ROWS_AT_ONCE):
        end = min(start + _ROWS_AT_ONCE, rows)
        block, here = codes[start * _WIDTH : end * _WIDTH], digits[: end - start]
        for (at, width), place in zip(_GROUPS, _PLACES, strict=True):
            kind = f"<u{width}"
            here.view(kind)[:, place // width] = np.ndarray(
                (len(here),), kind, block, at, (_WIDTH,)
            )
        worth, strange = _worth(here)
        if strange is not None:
            good[start:end] = ~strange.any(axis=1)
        for at in _HYPHENS:
            good[start:end] &= block[at::_WIDTH] == ord("-")
        # The first of the two digits of a byte is the lower byte of both.
        pairs = worth.view("<u2") * np.uint16(1 << 12 | 1)
        pairs >>= np.uint16(8)
        values[start:end] = pairs
    return values, good


def _worth(codes: Bytes) -> tuple[Bytes, Mask | None]:
    """What hexadecimal digits are worth; and which characters are none, None where all are."""
    letters = codes | np.uint8(ord("a") ^ ord("A"))
    letters -= np.uint8(ord("a"))
    highest = letters.max()
    between = letters > _NINE if highest > _NINE else None
    letters += np.uint8(10)
    worth = codes - np.uint8(ord("0"))
    # Digits are 217 and more as letters, and letters 17 and more as digits.
    np.minimum(worth, letters, out=worth)
    if between is None and worth.max() <= 15:
        return worth, None
    beyond = worth > 15
    return worth, beyond if between is None else beyond | between


def _array(values: Bytes, good: Mask) -> pa.Array:
    whole = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(UUID, len(good), [bitmap(good), whole])
