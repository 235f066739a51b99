"""Decode texts of the most common shapes eight bytes at a time (SWAR: SIMD within a register).

A text of another shape decodes to null, which says nothing about it: `kpi.validation.slow_path`
decides, at ten times the cost. Each decoder has a scalar reference beside it, `reference_...`,
which tests hold it against.

In the byte diagrams the first character of a text stands left, as in memory. It is the lowest byte
of a little-endian word, so a shift to the right by 8 bits moves all characters one place left.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.contract.model import Column
from kpi.kernels.arrays import Bytes, Int64s, Mask, Words
from kpi.kernels.digits import decode_units, text_parts
from kpi.kernels.instants import EPOCH, microseconds_since_epoch
from kpi.kernels.masks import bitmap, booleans, word

_WORD_BYTES = 8

INT64_SAFE_DIGITS = 18
"""Digits that fit an int64 whatever they are."""

TIMESTAMP_BATCH_ROWS = 1 << 17
"""Timestamps decoded at once: mostly all of a chunk. With fewer, threads would contend for the GIL
between short steps for longer than the cache saves."""

_MAX_COPIED_RUNS = 1000
"""Texts of another length up to which copying the runs between is faster than a filter."""

_SAMPLE_ROWS = 16
"""Texts looked at to find one of a plain number."""

_TIMESTAMP_BYTES = len("2025-03-30T16:14:26")

_DATE_BYTES = len("2025-03-30")
_MIDNIGHT = np.frombuffer(b"T00:00:00", np.uint8)

_MONTH_SLOTS = 16
"""Calendar entries for each year; 1 to 12 are months."""

# Added to a byte b < 0x80, each sets the highest bit exactly if b is above 9, or above 0.
_ABOVE_9, _ABOVE_0 = 0x80 - 10, 0x80 - 1

_CLOCK_SHAPE, _DATE_SHAPE = word(*b"00:00:00"), word(*b"0000-00-")
_CLOCK_TEST = word(
    *(_ABOVE_9, _ABOVE_9, _ABOVE_0, _ABOVE_9, _ABOVE_9, _ABOVE_0, _ABOVE_9, _ABOVE_9)
)
_DATE_TEST = word(*(_ABOVE_9, _ABOVE_9, _ABOVE_9, _ABOVE_9, _ABOVE_0, _ABOVE_9, _ABOVE_9, _ABOVE_0))
_HIGHEST_BITS = word(*[0x80] * 8)
_CLOCK_PAIRS, _DATE_PAIRS = word(*b"\xff\0\0\xff\0\0\xff\0"), word(*b"\xff\0\xff\0\0\xff\0\0")
# Set the highest bit of an hour above 23, a minute or second above 59, and a month above 12.
_CLOCK_LIMITS = word(0x80 - 24, 0, 0, 0x80 - 60, 0, 0, 0x80 - 60, 0)
_MONTH_LIMIT = word(0, 0, 0, 0, 0, 0x80 - 13, 0, 0)


def decode_timestamps(text: pa.Array, separators: bytes = b"T ") -> pa.Array:
    """Decode texts like 2025-03-30T16:14:26 to `pa.timestamp("us")`.

    Args:
        text: The texts.
        separators: Bytes that may be between date and time.
    """
    offsets, codes, lengths = text_parts(text)
    fitting = lengths == _TIMESTAMP_BYTES
    rows = int(np.count_nonzero(fitting))
    if len(codes) != rows * _TIMESTAMP_BYTES:
        codes = _join_fitting(text, offsets, codes, fitting)
    values, good = np.empty(rows, np.int64), np.empty(rows, bool)
    for start in range(0, rows, TIMESTAMP_BATCH_ROWS):
        end = min(start + TIMESTAMP_BATCH_ROWS, rows)
        batch = codes[start * _TIMESTAMP_BYTES : end * _TIMESTAMP_BYTES]
        values[start:end], good[start:end] = decode_adjacent_timestamps(batch, separators)
    if rows != len(text):
        all_values, all_good = np.zeros(len(text), np.int64), np.zeros(len(text), bool)
        all_values[fitting], all_good[fitting] = values, good
        values, good = all_values, all_good
    buffers = [bitmap(good), pa.py_buffer(values)]
    return pa.Array.from_buffers(pa.timestamp("us"), len(text), buffers)


def decode_dates(text: pa.Array) -> pa.Array:
    """Decode texts like 2025-03-30 to midnight, as `pa.timestamp("us")`."""
    offsets, codes, lengths = text_parts(text)
    fitting = lengths == _DATE_BYTES
    rows = int(np.count_nonzero(fitting))
    if len(codes) != rows * _DATE_BYTES:
        codes = _join_fitting(text, offsets, codes, fitting)
    values, known = np.zeros(len(text), np.int64), np.zeros(len(text), bool)
    for start in range(0, rows, TIMESTAMP_BATCH_ROWS):
        end = min(start + TIMESTAMP_BATCH_ROWS, rows)
        padded = np.empty((end - start, _TIMESTAMP_BYTES), np.uint8)
        padded[:, :_DATE_BYTES] = codes[start * _DATE_BYTES : end * _DATE_BYTES].reshape(
            -1, _DATE_BYTES
        )
        padded[:, _DATE_BYTES:] = _MIDNIGHT
        batch = np.flatnonzero(fitting)[start:end]
        values[batch], known[batch] = decode_adjacent_timestamps(padded.ravel(), b"T")
    buffers = [bitmap(known), pa.py_buffer(values)]
    return pa.Array.from_buffers(pa.timestamp("us"), len(text), buffers)


def reference_timestamp(text: str) -> int | None:
    """Decode one text to microseconds since 1970, as `decode_timestamps` does."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", text, re.ASCII):
        return None
    # Python's calendar has no year 0; 400 years later all days are the same.
    shifted = f"{int(text[:4]) % 400 + 2000}{text[4:]}"
    try:
        instant = datetime.fromisoformat(shifted).replace(tzinfo=EPOCH.tzinfo)
    except ValueError:
        return None
    cycles = int(text[:4]) // 400 - 5
    return microseconds_since_epoch(instant) + cycles * 146_097 * 86_400 * 1_000_000


def _join_fitting(
    text: pa.Array, offsets: npt.NDArray[np.int32], codes: Bytes, fitting: Mask
) -> Bytes:
    """Join the bytes of the fitting texts; the others are mostly few."""
    others = np.flatnonzero(~fitting & (offsets[1:] > offsets[:-1]))
    if len(others) > _MAX_COPIED_RUNS:
        return text_parts(text.filter(booleans(fitting)))[1]
    starts = [0, *(offsets[others + 1] - offsets[0]).tolist()]
    ends = [*(offsets[others] - offsets[0]).tolist(), len(codes)]
    return np.concatenate([codes[start:end] for start, end in zip(starts, ends, strict=True)])


def decode_adjacent_timestamps(codes: Bytes, separators: bytes) -> tuple[Int64s, Mask]:
    """Decode texts of 19 bytes that lie side by side: microseconds since 1970, and which are good.

    2 0 2 5 - 0 3 - 3 0 T 1 6 : 1 4 : 2 6
    [---- date ---] d d s [--- clock ---]     two words of 8, two digits, a separator

    date xor shape   2 0 2 5 . 0 3 .          each digit is its value, each hyphen 0
    pairs            20 . 25 . . 3 . .        10 * digit + next digit, in the first's place
    product          century * 1600 + year * 16 + month: the slot in the calendar
    clock xor shape  1 6 . 1 4 . 2 6
    pairs            16 . . 14 . . 26 .
    product          hour * 60 + minute; the second is the highest pair
    """
    rows = len(codes) // _TIMESTAMP_BYTES
    strides = (_TIMESTAMP_BYTES,)
    clock = np.ndarray((rows,), "<u8", codes, 11, strides) ^ _CLOCK_SHAPE
    date = np.ndarray((rows,), "<u8", codes, 0, strides) ^ _DATE_SHAPE
    # In place from here: more columns than these do not fit the cache together.
    spare = np.empty(rows, np.uint64)
    # A byte with its highest bit set carries into the next, but is wrong by itself.
    wrong = clock + _CLOCK_TEST
    wrong |= clock
    wrong |= np.add(date, _DATE_TEST, out=spare)
    wrong |= date
    _pair_digits(clock, _CLOCK_PAIRS, spare)
    _pair_digits(date, _DATE_PAIRS, spare)
    wrong |= np.add(clock, _CLOCK_LIMITS, out=spare)
    wrong |= np.add(date, _MONTH_LIMIT, out=spare)
    wrong &= _HIGHEST_BITS
    # Pairs are in bytes 0, 2 and 5 (date) or 0, 3 and 6 (clock): the product lines them up.
    date *= np.uint64(100 * _MONTH_SLOTS << 40 | _MONTH_SLOTS << 24 | 1)
    date >>= np.uint64(40)
    date &= np.uint64(0x3FFFF)
    slot = date.view(np.int64)
    seconds = np.right_shift(clock, np.uint64(48), out=spare)
    clock *= np.uint64(60 << 24 | 1)
    clock >>= np.uint64(24)
    clock &= np.uint64(0xFFF)
    clock *= np.uint64(60)
    seconds += clock
    first_day, days = first_days_and_lengths()
    tens, units = (codes[at::_TIMESTAMP_BYTES] - np.uint8(ord("0")) for at in (8, 9))
    day = tens * np.uint8(10) + units
    good = (wrong == 0) & (tens <= 9) & (units <= 9)
    good &= day - np.uint8(1) < days.take(slot, mode="clip")
    between = codes[10::_TIMESTAMP_BYTES]
    is_separator = between == separators[0]
    for other in separators[1:]:
        is_separator |= between == other
    good &= is_separator
    day_number = first_day.take(slot, mode="clip")
    day_number += day
    day_number -= 1
    values = np.multiply(day_number, 86_400, out=slot, dtype=np.int64)
    values += seconds.view(np.int64)
    values *= 1_000_000
    values[~good] = 0
    return values, good


def _pair_digits(digits: Words, places: np.uint64, spare: Words) -> None:
    """Make 10 * digit + next digit of each byte, and keep those at some places.

    digits              1  6  0  1  4  0  2  6
    digits >> 8         6  0  1  4  0  2  6  0
    10 * digits + that  16 60 1  14 40 2  26 60
    & places            16 .  .  14 .  .  26 .
    """
    np.right_shift(digits, np.uint64(8), out=spare)
    digits *= np.uint64(10)
    digits += spare
    digits &= places


@cache
def first_days_and_lengths() -> tuple[npt.NDArray[np.int32], Bytes]:
    """Tabulate the months of the years 0 to 9999 by slot, `16 * year + month`.

    Returns:
        The day number of each month's first day (1970-01-01 is 0), and its days; 0 for no month.
    """
    months = np.arange("0000-01", "10000-01", dtype="datetime64[M]").reshape(-1, 12)
    begin, end = (some.astype("datetime64[D]").astype(np.int32) for some in (months, months + 1))
    beside = ((0, 0), (1, _MONTH_SLOTS - 13))
    return np.pad(begin, beside).ravel(), np.pad(end - begin, beside).ravel().astype(np.uint8)


def decode_integers(text: pa.Array) -> pa.Array:
    """Decode texts of one to 18 digits to `pa.int64()`."""
    offsets, codes, lengths = text_parts(text)
    plain = (lengths >= 1) & (lengths <= INT64_SAFE_DIGITS)
    others = np.flatnonzero(codes - np.uint8(ord("0")) > 9)
    plain[np.searchsorted(offsets, others + offsets[0], side="right") - 1] = False
    return _with_validity(text, offsets, plain).cast(pa.int64())


def reference_integer(text: str) -> int | None:
    """Decode one text as `decode_integers` does."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def common_places(text: pa.Array, column: Column) -> int:
    """Guess how many digits behind the point most texts have: as many as the first one."""
    most = min(column.scale, _WORD_BYTES - 2)
    for row in range(min(len(text), _SAMPLE_ROWS)):
        value = text[row].as_py()
        if value is not None and re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", value):
            return min(len(value.partition(".")[2]), most)
    return min(2, most)


def decode_decimals(text: pa.Array, column: Column, places: int) -> tuple[Mask, Int64s]:
    """Decode texts of up to eight bytes with some number of digits behind the point.

    Args:
        text: The texts.
        column: Their column.
        places: Digits behind the point: at most the column's scale, and at most 6.

    Returns:
        Which texts have that shape (none, where they may exceed the column's precision); their
        units of the column's scale.
    """
    whole = _WORD_BYTES - places - 1 if places else _WORD_BYTES
    if whole > column.precision - column.scale:
        return np.zeros(len(text), bool), np.zeros(len(text), np.int64)
    plain, units = decode_units(text, places)
    units *= 10 ** (column.scale - places)
    return plain, units


def reference_decimal_units(text: str, places: int) -> int | None:
    """Decode one text to units of `places` as `decode_decimals` does; None for another shape."""
    pattern = rf"[0-9]+\.[0-9]{{{places}}}" if places else "[0-9]+"
    if len(text) > _WORD_BYTES or not re.fullmatch(pattern, text):
        return None
    return int(text.replace(".", ""))


def _with_validity(text: pa.Array, offsets: npt.NDArray[np.int32], which: Mask) -> pa.Array:
    """Return the same texts, null where a mask is False."""
    buffers = [bitmap(which), pa.py_buffer(np.ascontiguousarray(offsets)), text.buffers()[2]]
    return pa.Array.from_buffers(pa.string(), len(text), buffers)
