"""Texts of the commonest shapes, told apart and read a whole column at a time.

A screen before the regular expressions of `kpi.convert`, which take ten times as long: what it
reads is surely good, about the rest it says nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.contract import Column
from kpi.exact import to_decimals
from kpi.masks import Mask, bitmap, booleans, valid

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]

_WORD = 8
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ZEROS = np.uint64(0x3030303030303030)
"""Eight times the digit 0."""

_MOST_DIGITS = 18
"""So many fit an int64 whatever they are."""

_ROWS_AT_ONCE = 4096
"""Timestamps compared with their shape at once: what is needed for it stays in the cache."""

_LOWEST, _HIGHEST = (
    np.tile(np.frombuffer(shape, np.uint8), _ROWS_AT_ONCE)
    for shape in (b"0000-00-00 00:00:00", b"9999-19-39T29:59:59")
)
_WIDTH = len("2025-03-30T16:14:26")
_SPAN = _HIGHEST - _LOWEST

_DAYS_OF_MONTH = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, *[0] * 7], np.uint8)


def plain_timestamps(text: pa.Array) -> pa.Array:
    """As `pa.timestamp("us")`, the texts that are a time of day on a day that its month has, like
    2025-03-30T16:14:26; null for others.
    """
    offsets, codes, lengths = _parts(text)
    rows = np.flatnonzero(lengths == _WIDTH)
    if len(rows) == 0:
        return pa.nulls(len(text), pa.timestamp("us"))
    if len(codes) != len(rows) * _WIDTH:
        whole = text.filter(booleans(lengths == _WIDTH))
        _, codes, _ = _parts(whole)
    good = np.ones(len(rows), bool)
    shape = np.empty(_ROWS_AT_ONCE * _WIDTH, np.uint8)
    for start in range(0, len(codes), len(shape)):
        block = codes[start : start + len(shape)]
        beyond = np.subtract(block, _LOWEST[: len(block)], out=shape[: len(block)])
        good[(start + np.flatnonzero(beyond > _SPAN[: len(block)])) // _WIDTH] = False
    columns = codes.reshape(-1, _WIDTH).T
    good &= (columns[10] == ord("T")) | (columns[10] == ord(" "))
    month, day, hour = (_two_digits(columns, at) for at in (5, 8, 11))
    good &= (hour < 24) & (day > 0)
    month[~good] = 0
    good &= day <= _DAYS_OF_MONTH[month]
    leap = np.flatnonzero((month == 2) & (day == 29))
    if len(leap):
        century, year = (_two_digits(columns[:, leap], at) for at in (0, 2))
        good[leap] &= np.where(year == 0, century, year) % 4 == 0
    plain = np.zeros(len(text), bool)
    plain[rows] = good
    return _only(text, offsets, plain).cast(pa.timestamp("us"))


def plain_integers(text: pa.Array) -> pa.Array:
    """As `pa.int64()`, the texts that are one to 18 digits and nothing else; null for others."""
    offsets, codes, lengths = _parts(text)
    plain = (lengths >= 1) & (lengths <= _MOST_DIGITS)
    others = np.flatnonzero(codes - np.uint8(ord("0")) > 9)
    plain[np.searchsorted(offsets, others + offsets[0], side="right") - 1] = False
    return _only(text, offsets, plain).cast(pa.int64())


def plain_decimals(text: pa.Array, column: Column) -> pa.Array:
    """As the column's type, the texts of up to eight characters that are digits with exactly as
    many behind the point as the column has; null for others."""
    scale, kind = column.scale, column.arrow_type
    if scale > _WORD - 2 or column.precision < _WORD:
        return pa.nulls(len(text), kind)
    shape = b"0" * (_WORD - scale - 1) + b"." + b"0" * scale if scale else b"0" * _WORD
    plain, units = _numbers(text, shape, scale + 2)
    _, values = to_decimals(units, kind).buffers()
    return pa.Array.from_buffers(kind, len(text), [bitmap(plain), values])


def _numbers(text: pa.Array, shape: bytes, shortest: int) -> tuple[Mask, Int64s]:
    """Texts that end as the shape does and have zeros' digits in front; the numbers, without point,
    and 0 for other texts.
    """
    offsets, codes, lengths = _parts(text)
    padded = np.zeros(len(codes) + _WORD, np.uint8)
    padded[: len(codes)] = codes
    # The eight bytes from any position on.
    words = np.ndarray((len(codes) + 1,), "<u8", padded, 0, (1,))
    good = (lengths >= shortest) & (lengths <= _WORD)
    # The last character in the last byte, and zeros where there is none in front.
    missing = (8 * (_WORD - np.clip(lengths, 1, _WORD))).astype(np.uint64)
    aligned = words[offsets[:-1] - offsets[0]] << missing
    aligned |= _ZEROS & ~(_ALL << missing)
    good &= _fits(aligned, shape)
    aligned[~good] = _ZEROS
    point = shape.find(b".")
    if point >= 0:
        # The digits in front of the point move into its place.
        front = np.uint64((1 << 8 * point) - 1)
        aligned = (aligned & ~((front << np.uint64(8)) | np.uint64(255))) | (
            (aligned & front) << np.uint64(8)
        )
    # Neighbours at once: eight digits to four pairs, to two fours, to one number.
    value = aligned & np.uint64(0x0F0F0F0F0F0F0F0F)
    value = (value * np.uint64(10 * 2**8 + 1)) >> np.uint64(8)
    value = ((value & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(100 * 2**16 + 1)) >> np.uint64(16)
    value = (value & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(10_000 * 2**32 + 1)
    return good, (value >> np.uint64(32)).astype(np.int64)


def _parts(text: pa.Array) -> tuple[npt.NDArray[np.int32], Bytes, npt.NDArray[np.int32]]:
    """Where texts start and end, the bytes from the first to the last, and how long each is.

    The length of a null is 0, whatever lies behind it.
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


def _only(text: pa.Array, offsets: npt.NDArray[np.int32], keep: Mask) -> pa.Array:
    """The same texts, null where they are not kept."""
    buffers = [bitmap(keep), pa.py_buffer(np.ascontiguousarray(offsets)), text.buffers()[2]]
    return pa.Array.from_buffers(pa.string(), len(text), buffers)


def _fits(words: Words, shape: bytes) -> Mask:
    """Whether a word has digits where the shape has a 0, and else what the shape has."""
    differ = words ^ np.uint64(int.from_bytes(shape.ljust(_WORD, b"\0"), "little"))
    digits = np.uint64(
        int.from_bytes(bytes(0xF0 if code == ord("0") else 0 for code in shape), "little")
    )
    six = np.uint64(int.from_bytes(bytes(6 if code == ord("0") else 0 for code in shape), "little"))
    # A digit's code differs from that of 0 by 0 to 9: its upper half is not touched, not even
    # when 6 is added. (Only a byte that is wrong already carries into the next.)
    wrong = (differ | (differ + six)) & digits
    wrong |= differ & ~(digits | (digits >> np.uint64(4)))
    return wrong == 0


def _two_digits(columns: Bytes, at: int) -> Bytes:
    """The number that two characters make; nonsense where they are no digits."""
    return columns[at] * np.uint8(10) + columns[at + 1] - np.uint8(ord("0") * 11 % 256)
