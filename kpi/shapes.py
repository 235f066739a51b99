"""Texts of the commonest shapes, told apart eight bytes at a time.

A screen before the regular expressions of `kpi.convert`, which take ten times as long: what it
names is surely good, about the rest it says nothing.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.contract import Column

Mask = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]

_WORD = 8
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ZEROS = np.uint64(0x3030303030303030)
"""Eight times the digit 0."""


def plain_timestamps(text: pa.Array) -> tuple[Mask, Int64s]:
    """Which texts are a time of day on a day that its month has, like 2025-03-30T16:14:26, and
    their microseconds since 1970-01-01T00:00:00.
    """
    found, instants = np.zeros(len(text), bool), np.zeros(len(text), np.int64)
    words, starts, lengths = _words(text)
    rows = np.flatnonzero(lengths == len("2025-03-30T16:14:26"))
    if len(rows) == 0:
        return found, instants
    at = starts[rows]
    date, middle, clock = (words[at + offset] for offset in (0, 8, 11))
    good = _fits(date, b"0000-00-") & _fits(clock, b"00:00:00")
    between = (middle >> np.uint64(16)).astype(np.uint8)
    good &= _fits(middle & np.uint64(0xFFFF), b"00") & (
        (between == ord("T")) | (between == ord(" "))
    )
    year = 100 * _number(date, 0).astype(np.int64) + _number(date, 2)
    month, day = _number(date, 5), _number(middle, 0)
    hour, minute, second = (_number(clock, place) for place in (0, 3, 6))
    good &= (year >= 1) & (month >= 1) & (month <= 12)
    good &= (hour < 24) & (minute < 60) & (second < 60)
    place = np.where(good, 12 * year + month, 0)
    starts_of_months = _month_starts()
    first = starts_of_months[place]
    good &= (day >= 1) & (day <= starts_of_months[place + 1] - first)
    seconds = (first + day - 1) * 86_400
    seconds += hour * np.int64(3600) + minute * np.int64(60) + second
    found[rows], instants[rows] = good, seconds * 1_000_000
    return found, instants


@cache
def _month_starts() -> Int64s:
    """Days from 1970-01-01 to the first of month m of year y, at 12 y + m, for years 0 to 9999.

    By the proleptic Gregorian calendar, as ISO 8601 and numpy have it.
    """
    months = np.arange(12 * 10_000 + 13, dtype=np.int64) - 12 * 1970 - 1
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def plain_integers(text: pa.Array) -> tuple[Mask, Int64s]:
    """Which texts are one to eight digits and nothing else, and the numbers they are."""
    return _numbers(text, b"0" * _WORD, 1)


def plain_decimals(text: pa.Array, column: Column) -> tuple[Mask, Int64s]:
    """Which texts are digits with exactly as many behind the point as the column has, and what
    they are in its smallest unit."""
    scale = column.scale
    if scale > _WORD - 2 or column.precision < _WORD:
        return np.zeros(len(text), bool), np.zeros(len(text), np.int64)
    shape = b"0" * (_WORD - scale - 1) + b"." + b"0" * scale if scale else b"0" * _WORD
    return _numbers(text, shape, scale + 2)


def _numbers(text: pa.Array, shape: bytes, shortest: int) -> tuple[Mask, Int64s]:
    """Texts that end as the shape does and have zeros' digits in front; the numbers, without point.

    Numbers of other texts are undefined.
    """
    found, numbers = np.zeros(len(text), bool), np.zeros(len(text), np.int64)
    words, starts, lengths = _words(text)
    rows = np.flatnonzero((lengths >= shortest) & (lengths <= _WORD))
    if len(rows) == 0:
        return found, numbers
    # The last character in the last byte, and zeros where there is none in front.
    missing = (8 * (_WORD - lengths[rows])).astype(np.uint64)
    aligned = words[starts[rows]] << missing
    aligned |= _ZEROS & ~(_ALL << missing)
    found[rows] = _fits(aligned, shape)
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
    numbers[rows] = (value >> np.uint64(32)).astype(np.int64)
    return found, numbers


def _words(text: pa.Array) -> tuple[Words, npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The eight bytes from any position on, where each text starts, and how long it is.

    The length of a null is 0.
    """
    _, offsets_buffer, data = text.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[text.offset : text.offset + len(text) + 1]
    size = 0 if data is None else int(offsets[-1])
    codes = np.zeros(size + _WORD, np.uint8)
    if size:
        codes[:size] = np.frombuffer(data, np.uint8)[:size]
    words = np.ndarray((size + 1,), "<u8", codes, 0, (1,))
    lengths = np.diff(offsets)
    if text.null_count:
        lengths[~text.is_valid().to_numpy(zero_copy_only=False)] = 0
    return words, offsets[:-1].astype(np.int64), lengths


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


def _number(words: Words, at: int) -> npt.NDArray[np.uint8]:
    """The two digits from a byte of each word on, as a number; nonsense where they are none."""
    tens = (words >> np.uint64(8 * at)).astype(np.uint8) & np.uint8(15)
    ones = (words >> np.uint64(8 * (at + 1))).astype(np.uint8) & np.uint8(15)
    return tens * np.uint8(10) + ones
