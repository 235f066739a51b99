"""Decode texts of digits eight bytes at a time (SWAR: SIMD within a register).

In the byte diagrams the first character of a text stands left, as in memory. It is the lowest byte
of a little-endian word.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.kernels.arrays import Bytes, Int64s, Mask, Words
from kpi.kernels.masks import valid, word

MAX_DIGITS = 16
"""Digits of a text that are decoded: two words of them."""

_WORD_BYTES = 8
_ZERO_DIGITS = word(*b"00000000")
_MISSING = np.array([2 ** (8 * (_WORD_BYTES - size)) - 1 for size in range(9)], np.uint64)
"""Which bits of a word stand before a text of 0 to 8 bytes at its end."""


def whole_numbers(text: pa.Array) -> tuple[Mask, Int64s]:
    """Decode texts of up to 16 digits, without a leading zero but in 0 itself.

    Returns:
        Which texts are such numbers, each of which only one text is; 0 for the other texts.
    """
    good, numbers = decode_units(text, 0, max_bytes=MAX_DIGITS)
    offsets, codes, lengths = text_parts(text)
    if not len(codes):
        return good, numbers
    first = codes[np.minimum(offsets[:-1] - offsets[0], len(codes) - 1)]
    leads = (lengths > 1) & (first == ord("0"))
    if leads.any():
        good &= ~leads
        numbers[leads] = 0
    return good, numbers


def decode_units(
    text: pa.Array, places: int, point: bytes = b".", max_bytes: int = _WORD_BYTES
) -> tuple[Mask, Int64s]:
    """Decode texts of digits, with some number of them behind a point.

        text           7 4 . 9 0
        last 8 bytes   x x x 7 4 . 9 0      x: of the text before, or nothing
        filled         0 0 0 7 4 . 9 0
        point closed   0 0 0 0 7 4 9 0      what stands before the point moves into its place
        pairs, fours   00 00 74 90  ->  0000 7490  ->  7490

    Of a longer text, the bytes before these are digits too.

    Args:
        text: The texts.
        places: Digits behind the point, at most 6; 0 for texts without a point.
        point: One byte.
        max_bytes: Of a text, at most 16.

    Returns:
        Which texts have that shape; their digits as one number, 0 for the other texts.
    """
    shape = b"0" * (_WORD_BYTES - places - 1) + point + b"0" * places if places else b"0" * 8
    offsets, codes, lengths = text_parts(text)
    padded = np.empty(len(codes) + 2 * _WORD_BYTES, np.uint8)
    padded[: 2 * _WORD_BYTES], padded[2 * _WORD_BYTES :] = 0, codes
    # The eight bytes before each position of the texts, from 8 bytes before the first on.
    words = np.ndarray((len(codes) + _WORD_BYTES + 1,), "<u8", padded, 0, (1,))
    ends = offsets[1:] + np.int64(_WORD_BYTES - int(offsets[0]))
    good = (lengths >= (places + 2 if places else 1)) & (lengths <= max_bytes)
    last = _filled(words[ends], lengths)
    good &= _has_shape(last, shape)
    last[~good] = _ZERO_DIGITS
    if places:
        front = np.uint64((1 << 8 * (_WORD_BYTES - places - 1)) - 1)
        last = (last & ~((front << np.uint64(8)) | np.uint64(255))) | (
            (last & front) << np.uint64(8)
        )
    units = _eight_digits(last)
    if max_bytes > _WORD_BYTES:
        longer = np.flatnonzero(good & (lengths > _WORD_BYTES))
        if len(longer):
            first = _filled(words[ends[longer] - _WORD_BYTES], lengths[longer] - _WORD_BYTES)
            fits = _has_shape(first, b"0" * _WORD_BYTES)
            first[~fits] = _ZERO_DIGITS
            units[longer] += _eight_digits(first) * 10 ** (_WORD_BYTES - bool(places))
            good[longer], units[longer[~fits]] = fits, 0
    return good, units


def _filled(words: Words, lengths: npt.NDArray[np.int32]) -> Words:
    """Replace what stands in eight bytes before a shorter text by zeros."""
    missing = _MISSING.take(np.clip(lengths, 0, _WORD_BYTES))
    words &= ~missing
    missing &= _ZERO_DIGITS
    words |= missing
    return words


def _eight_digits(digits: Words) -> Int64s:
    """Convert eight digits to a number: to four pairs, to two fours, to one.

    7 4 9 0   * (10 << 8 | 1) >> 8     74 . 90 .        likewise * (100 << 16 | 1) >> 16
    """
    value = digits & np.uint64(0x0F0F0F0F0F0F0F0F)
    value = (value * np.uint64(10 * 2**8 + 1)) >> np.uint64(8)
    value = ((value & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(100 * 2**16 + 1)) >> np.uint64(16)
    value = (value & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(10_000 * 2**32 + 1)
    return (value >> np.uint64(32)).astype(np.int64)


def _has_shape(words: Words, shape: bytes) -> Mask:
    """Check for digits where the shape has a 0, and for the shape's own bytes elsewhere.

    A digit's code differs from that of 0 by 0 to 9, so its upper half stays clear, even with 6
    added: 9 + 6 = 15. Only a byte that is wrong already carries into the next.
    """
    differ = words ^ np.uint64(int.from_bytes(shape, "little"))
    digits = word(*(0xF0 if code == ord("0") else 0 for code in shape))
    six = word(*(6 if code == ord("0") else 0 for code in shape))
    wrong = (differ | (differ + six)) & digits
    wrong |= differ & ~(digits | (digits >> np.uint64(4)))
    return wrong == 0


def text_parts(text: pa.Array) -> tuple[npt.NDArray[np.int32], Bytes, npt.NDArray[np.int32]]:
    """View the buffers of a string array.

    Returns:
        Offsets of the texts and of the end; the bytes from the first to the last; the length of
        each text, 0 for null.
    """
    _, offsets_buffer, data = text.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[text.offset : text.offset + len(text) + 1]
    if len(offsets) == 0:
        offsets = np.zeros(1, np.int32)
    codes = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets)
    if text.null_count:
        lengths[~valid(text)] = 0
    return offsets, codes, lengths
