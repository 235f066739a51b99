"""Convert UUIDs between texts of 36 characters and 16 bytes (RFC 9562).

A text has 32 hexadecimal digits, here `a` to `h` for groups of four, and hyphens at the characters
8, 13, 18 and 23. Eight characters are loaded at once as a little-endian word, whose lowest byte is
the first character; the five loads of a text are:

    character  0        8        16       24   28       36
    text       aaaabbbb-cccc-dddd-eeee-ffffgggghhhh
    load       [digits0][ front ][ back  ][24 ][digits3]

The hyphens are cut out by shifts, so that four words of eight digits remain:

    front  -cccc-dd   digits1  ccccdddd = cccc from front, dd from front, dd from back
    back   dd-eeee-   digits2  eeeeffff = eeee from back, ffff loaded from character 24

Then each digit becomes its value, and each pair of digits one byte. `parse_uuid_scalar` is the
reference: the same result by Python's `uuid`, a text at a time.
"""

from __future__ import annotations

import re
import uuid

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.kernels.arrays import Bytes, Mask
from kpi.kernels.masks import bitmap, valid, word

UUID = pa.binary(16)
"""The 16 bytes of a UUID, in the order of its digits: bytes sort as texts do."""

UUID_TEXT = pa.binary(36)
"""Texts of the length of a UUID's, checked or not."""

_TEXT_BYTES = 36

_FORM = re.compile("-".join(f"[0-9a-fA-F]{{{digits}}}" for digits in (8, 4, 4, 4, 12)))

_FRONT_HYPHENS = (word(*b"\xff\0\0\0\0\xff\0\0"), word(*b"-\0\0\0\0-\0\0"))
"""Mask of the hyphens among the characters 8 to 15, and what it must select."""

_BACK_HYPHENS = (word(*b"\0\0\xff\0\0\0\0\xff"), word(*b"\0\0-\0\0\0\0-"))
"""Mask of the hyphens among the characters 16 to 23, and what it must select."""

_NINE_AS_LETTER = (ord("9") - ord("a")) % 256
"""The digit 9 less the letter a, modulo 256. The characters between the digits and the letters come
to more; taken for letters, they would have a value."""

_UNALIGNED_WORD = np.dtype(np.complex64)
"""Eight bytes that need an alignment of only four, as texts of 36 bytes have. NumPy copies
misaligned 64-bit integers one by one, in three times the time."""

CONVERSION_BLOCK_ROWS = 1 << 14
"""Texts converted at once: their intermediate arrays stay in the cache of a core."""


def parse_uuid_scalar(text: str) -> bytes | None:
    """Parse one text with Python's `uuid`: the reference of the vectorised conversion."""
    return uuid.UUID(text).bytes if _FORM.fullmatch(text) else None


def parse_uuids(texts: pa.Array) -> pa.Array:
    """Parse texts of any length; null where one is not a UUID.

    A UUID has 32 hexadecimal digits of either case, in groups of 8, 4, 4, 4 and 12 with hyphens
    between them.

    Args:
        texts: `pa.string()`.

    Returns:
        An array of `UUID`.
    """
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset :][: len(texts) + 1]
    rows = np.flatnonzero((np.diff(offsets) == _TEXT_BYTES) & valid(texts))
    values, good = np.zeros((len(texts), 4), np.uint32), np.zeros(len(texts), bool)
    if len(rows):
        codes = np.frombuffer(data, np.uint8)
        fitting = np.lib.stride_tricks.sliding_window_view(codes, _TEXT_BYTES)[offsets[rows]]
        found = np.empty((len(rows), 4), np.uint32), np.empty(len(rows), bool)
        _convert(fitting.reshape(-1), *found)
        values[rows], good[rows] = found
    return _uuid_array(values, good)


def parse_uuid_column(texts: pa.ChunkedArray) -> pa.Array:
    """Parse a column of `UUID_TEXT`; null where a text is not a UUID."""
    values, good = np.empty((len(texts), 4), np.uint32), np.empty(len(texts), bool)
    end = 0
    for chunk in texts.chunks:
        start, end = end, end + len(chunk)
        codes = np.frombuffer(chunk.buffers()[1] or b"", np.uint8)[_TEXT_BYTES * chunk.offset :]
        _convert(codes[: _TEXT_BYTES * len(chunk)], values[start:end], good[start:end])
        if chunk.null_count:
            good[start:end] &= valid(chunk)
    return _uuid_array(values, good)


def format_uuid(value: bytes) -> str:
    """Format 16 bytes as a text in lower case."""
    return str(uuid.UUID(bytes=value))


def format_uuids(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Format a column of `UUID` that has few distinct values."""
    texts = []
    for chunk in values.chunks:
        encoded = chunk.dictionary_encode()
        distinct = pa.array(map(format_uuid, encoded.dictionary.to_pylist()), pa.string())
        texts.append(distinct.take(encoded.indices))
    return pa.chunked_array(texts, pa.string())


def _convert(codes: Bytes, values: npt.NDArray[np.uint32], good: Mask) -> None:
    """Convert adjacent texts of 36 characters.

    Args:
        codes: Their characters.
        values: Receives the 16 bytes of each row, as four words in the order of memory.
        good: Receives which texts are UUIDs; the value of another row is undefined.
    """
    rows = len(good)
    for start in range(0, rows, CONVERSION_BLOCK_ROWS):
        end = min(start + CONVERSION_BLOCK_ROWS, rows)
        digits, good[start:end] = _cut_hyphens(codes[start * _TEXT_BYTES : end * _TEXT_BYTES])
        wrong = _digits_to_values(digits)
        if wrong is not None:
            good[start:end] &= ~wrong.any(axis=(0, 2))
        # A pair of digits is the bytes [high, low], so the little-endian number low << 8 | high.
        # Times 0x1001 modulo 2**16, the upper byte is high << 4 | low:
        #     low << 8 | high
        #   + high << 12           (low << 20 overflows)
        pairs = digits.view("<u2")
        pairs *= np.uint16(1 << 12 | 1)
        pairs >>= np.uint16(8)
        for number, column in enumerate(pairs.astype(np.uint8).view(np.uint32)):
            values[start:end, number] = column[:, 0]


def _cut_hyphens(codes: Bytes) -> tuple[Bytes, Mask]:
    """Separate the digits of adjacent texts from their hyphens; see the diagram of the module.

    Returns:
        The digits, of shape (4, rows, 8): the first eight of every row, then the second, and so
        on; and which texts have hyphens where they should.
    """
    rows = len(codes) // _TEXT_BYTES
    words = np.empty((4, rows), "<u8")

    def load(at: int) -> npt.NDArray[np.complex64]:
        return np.ndarray((rows,), _UNALIGNED_WORD, codes, at, (_TEXT_BYTES,))

    words[0].view(_UNALIGNED_WORD)[:], words[3].view(_UNALIGNED_WORD)[:] = load(0), load(28)
    front, back = (load(at).copy().view("<u8") for at in (8, 16))
    good = (front & _FRONT_HYPHENS[0]) == _FRONT_HYPHENS[1]
    good &= (back & _BACK_HYPHENS[0]) == _BACK_HYPHENS[1]
    second, third = words[1], words[2]
    # back >> 24:    eeee-      its upper half is overwritten by ffff
    np.right_shift(back, np.uint64(24), out=third)
    third.view("<u4")[1::2] = np.ndarray((rows,), "<u4", codes, 24, (_TEXT_BYTES,))
    # back << 48:          dd   the characters 6 and 7
    np.left_shift(back, np.uint64(48), out=second)
    # front >> 48 << 32:  dd    the characters 4 and 5
    second |= front >> np.uint64(48) << np.uint64(32)
    # front >> 8:     cccc      the characters 0 to 3
    front >>= np.uint64(8)
    front &= np.uint64(0xFFFFFFFF)
    second |= front
    return words.view(np.uint8).reshape(4, rows, 8), good


def _digits_to_values(codes: Bytes) -> Mask | None:
    """Replace hexadecimal digits by their values in place.

        character       0-9       A-F, a-f (lower case set by a bit)    others
        less "0"        0-9       49-54                                 10 and more
        less "a" + 10   217-226   10-15                                 16 and more, or `between`
        the smaller     0-9       10-15                                 16 and more, or `between`

    Returns:
        Which characters are no digits; None where all are.
    """
    letters = codes | np.uint8(ord("a") ^ ord("A"))
    letters -= np.uint8(ord("a"))
    max_letter = letters.max()
    between = letters > _NINE_AS_LETTER if max_letter > _NINE_AS_LETTER else None
    letters += np.uint8(10)
    codes -= np.uint8(ord("0"))
    np.minimum(codes, letters, out=codes)
    if between is None and codes.max() <= 15:
        return None
    beyond = codes > 15
    return beyond if between is None else beyond | between


def _uuid_array(values: npt.NDArray[np.uint32], good: Mask) -> pa.Array:
    return pa.Array.from_buffers(UUID, len(good), [bitmap(good), pa.py_buffer(values)])
