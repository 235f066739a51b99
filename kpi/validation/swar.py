"""Texts of the commonest shapes, told apart and read a whole column at a time.

A screen before the regular expressions of `kpi.validation.slow_path`, which take ten times as
long: what it reads is surely good, about the rest it says nothing.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.contract.arrow_types import arrow_type
from kpi.contract.model import Column
from kpi.kernels.arrays import Bytes, Int64s, Mask, Words
from kpi.kernels.fixed_point import to_decimals
from kpi.kernels.masks import bitmap, booleans, valid, word

_WORD = 8
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ZEROS = np.uint64(0x3030303030303030)
"""Eight times the digit 0."""

_MOST_DIGITS = 18
"""So many fit an int64 whatever they are."""

_ROWS_AT_ONCE = 1 << 17
"""Timestamps worked on at once: of the rows of a chunk mostly all. With fewer, threads wait for
each other between short steps for longer than the cache spares."""

_FEW = 1000
"""Up to so many texts of another length are passed over one by one."""

_WIDTH = len("2025-03-30T16:14:26")

_SLOTS = 16
"""For each year, of which those of the months 1 to 12 are in use."""

_DIGIT, _SAME = 0x80 - 10, 0x7F
"""Added to what is left of a character: the highest bit shows more than 9, or more than 0."""

_CLOCK, _DATE = word(*b"00:00:00"), word(*b"0000-00-")
_OF_CLOCK = word(_DIGIT, _DIGIT, _SAME, _DIGIT, _DIGIT, _SAME, _DIGIT, _DIGIT)
_OF_DATE = word(_DIGIT, _DIGIT, _DIGIT, _DIGIT, _SAME, _DIGIT, _DIGIT, _SAME)
_HIGHEST_BITS = word(*[0x80] * 8)
_CLOCK_PAIRS, _DATE_PAIRS = word(*b"\xff\0\0\xff\0\0\xff\0"), word(*b"\xff\0\xff\0\0\xff\0\0")
_HOUR_TO_SECOND = word(0x80 - 24, 0, 0, 0x80 - 60, 0, 0, 0x80 - 60, 0)
_MONTH = word(0, 0, 0, 0, 0, 0x80 - 13, 0, 0)


def plain_timestamps(text: pa.Array) -> pa.Array:
    """As `pa.timestamp("us")`, the texts that are a time of day on a day that its month has, like
    2025-03-30T16:14:26; null for others.
    """
    offsets, codes, lengths = _parts(text)
    fitting = lengths == _WIDTH
    rows = int(np.count_nonzero(fitting))
    if len(codes) != rows * _WIDTH:
        others = np.flatnonzero(~fitting & (offsets[1:] > offsets[:-1]))
        if len(others) > _FEW:
            _, codes, _ = _parts(text.filter(booleans(fitting)))
        else:
            # What lies between them, which takes a filter ten times as long.
            starts = [0, *(offsets[others + 1] - offsets[0]).tolist()]
            ends = [*(offsets[others] - offsets[0]).tolist(), len(codes)]
            runs = zip(starts, ends, strict=True)
            codes = np.concatenate([codes[start:end] for start, end in runs])
    values, good = np.empty(rows, np.int64), np.empty(rows, bool)
    for start in range(0, rows, _ROWS_AT_ONCE):
        end = min(start + _ROWS_AT_ONCE, rows)
        values[start:end], good[start:end] = _instants(codes[start * _WIDTH : end * _WIDTH])
    if rows != len(text):
        every, plain = np.zeros(len(text), np.int64), np.zeros(len(text), bool)
        every[fitting], plain[fitting] = values, good
        values, good = every, plain
    buffers = [bitmap(good), pa.py_buffer(values)]
    return pa.Array.from_buffers(pa.timestamp("us"), len(text), buffers)


def _instants(codes: Bytes) -> tuple[Int64s, Mask]:
    """Microseconds since 1970 of timestamps that lie side by side, and which of them are plain."""
    rows = len(codes) // _WIDTH
    clock = np.ndarray((rows,), "<u8", codes, 11, (_WIDTH,)) ^ _CLOCK
    date = np.ndarray((rows,), "<u8", codes, 0, (_WIDTH,)) ^ _DATE
    # Everything in place: together, more columns than these fit no cache.
    spare = np.empty(rows, np.uint64)
    # A character with its highest bit set carries into the next, but is wrong by itself.
    wrong = clock + _OF_CLOCK
    wrong |= clock
    wrong |= np.add(date, _OF_DATE, out=spare)
    wrong |= date
    _pair_up(clock, _CLOCK_PAIRS, spare)
    _pair_up(date, _DATE_PAIRS, spare)
    wrong |= np.add(clock, _HOUR_TO_SECOND, out=spare)
    wrong |= np.add(date, _MONTH, out=spare)
    wrong &= _HIGHEST_BITS
    # Century, year and month stand in bytes 0, 2 and 5, hour, minute and second in 0, 3 and 6: a
    # product moves them on top of each other.
    date *= np.uint64(100 * _SLOTS << 40 | _SLOTS << 24 | 1)
    date >>= np.uint64(40)
    date &= np.uint64(0x3FFFF)
    slot = date.view(np.int64)
    seconds = np.right_shift(clock, np.uint64(48), out=spare)
    clock *= np.uint64(60 << 24 | 1)
    clock >>= np.uint64(24)
    clock &= np.uint64(0xFFF)
    clock *= np.uint64(60)
    seconds += clock
    first_day, days = _calendar()
    tens, units = (codes[at::_WIDTH] - np.uint8(ord("0")) for at in (8, 9))
    day = tens * np.uint8(10) + units
    good = (wrong == 0) & (tens <= 9) & (units <= 9)
    good &= day - np.uint8(1) < days.take(slot, mode="clip")
    good &= (codes[10::_WIDTH] == ord("T")) | (codes[10::_WIDTH] == ord(" "))
    since = first_day.take(slot, mode="clip")
    since += day
    since -= 1
    values = np.multiply(since, 86_400, out=slot, dtype=np.int64)
    values += seconds.view(np.int64)
    values *= 1_000_000
    values[~good] = 0
    return values, good


def _pair_up(digits: Words, places: np.uint64, spare: Words) -> None:
    """Make two digits each one number, in the place of the first."""
    np.right_shift(digits, np.uint64(8), out=spare)
    digits *= np.uint64(10)
    digits += spare
    digits &= places


@cache
def _calendar() -> tuple[npt.NDArray[np.int32], Bytes]:
    """For each slot of the years 0 to 9999 the day that its month begins with, since 1970-01-01,
    and how many it has; none where there is no such month."""
    months = np.arange("0000-01", "10000-01", dtype="datetime64[M]").reshape(-1, 12)
    begin, end = (some.astype("datetime64[D]").astype(np.int32) for some in (months, months + 1))
    beside = ((0, 0), (1, _SLOTS - 13))
    return np.pad(begin, beside).ravel(), np.pad(end - begin, beside).ravel().astype(np.uint8)


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
    scale, kind = column.scale, arrow_type(column)
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
