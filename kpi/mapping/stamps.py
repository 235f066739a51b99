"""Dates and times of fixed width, decoded eight bytes at a time.

    31.12.2025 23:59:59 +0100      text
    DD.MM.YYYY hh:mm:ss            stamp: each field at its place, of two or four digits
                       +0100       suffix: fraction and offset; few of them differ

A stamp is brought into the order of ISO 8601 and decoded by `kpi.validation.swar`. What a suffix
means, the patterns of the form say, once for each different one. A text that has no such stamp, or
no good suffix, is left to the patterns as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.forms import ISO_DATE, DateForm
from kpi.kernels.arrays import Bytes, Int64s, Mask, Positions
from kpi.kernels.masks import valid
from kpi.validation.swar import decode_adjacent_timestamps

T_OR_BLANK = "\0"
"""Mark of a shape: what ISO 8601 here has between date and time."""

ISO_STAMPS = (f"YYYY-MM-DD{T_OR_BLANK}hh:mm:ss", f"YYYY-MM-DD{T_OR_BLANK}hh:mm", "YYYY-MM-DD")
"""Stamps of ISO 8601, the longest first."""

_ZONE_OF_EXAMPLE = re.compile(r"(?<=:[0-9]{2})[ \t]*[+-][0-9]{2}:?[0-9]{2}$")

YEAR_1 = int(np.datetime64("0001-01-01", "us").astype(np.int64))

_DIGITS = ("Y0", "Y1", "Y2", "Y3", "M0", "M1", "D0", "D1", "h0", "h1", "m0", "m1", "s0", "s1")
_PLACES = dict(zip(_DIGITS, (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18), strict=True))
"""Digit of a stamp -> its place in a timestamp of ISO 8601."""

_MIDNIGHT_OF_2000 = np.frombuffer(b"2000-01-01T00:00:00", np.uint8)

_WORDS = {"2025": "YYYY", "25": "yy", "12": "MM", "31": "DD", "23": "hh"}
"""Number of an example -> its field; 59 is a minute, then a second."""


@dataclass(frozen=True)
class Suffixes:
    """What stands behind the stamps of some texts.

    Attributes:
        microseconds: Fraction of the second.
        offset: From UTC, in microseconds.
        zoned: Where there is an offset.
        dated: Where the text is a date alone.
        good: Which of them the form takes.
    """

    microseconds: Int64s
    offset: Int64s
    zoned: Mask
    dated: Mask
    good: Mask


@dataclass(frozen=True)
class Stamps:
    """Texts with a stamp.

    Attributes:
        wall: Microseconds since 1970 of the wall clock.
        offset: From UTC, in microseconds.
        zoned: Where there is an offset.
        dated: Where the text is a date alone.
        good: Which texts were read.
    """

    wall: Int64s
    offset: Int64s
    zoned: Mask
    dated: Mask
    good: Mask


ReadSuffixes = Callable[[pa.Array], Suffixes]
"""Reads texts that each have the stamp of an example and another suffix."""


def stamp_shapes(form: DateForm) -> tuple[str, ...]:
    """List the stamps of a form, the longest first; none where its fields differ in width."""
    if form.example == ISO_DATE:
        return ISO_STAMPS
    shape = ""
    for text in re.findall(r"[0-9]+|.", _ZONE_OF_EXAMPLE.sub("", form.example.strip())):
        if text == "59":
            shape += "ss" if "mm" in shape else "mm"
        elif text in _WORDS:
            shape += _WORDS[text]
        elif text.isdigit() or (text.isalpha() and text != "T") or not text.isascii():
            return ()
        else:
            shape += text
        if shape.endswith("ss") and _has_date(shape):
            break  # a fraction and a zone are of the suffix
    return (shape,) if _has_date(shape) else ()


def _has_date(shape: str) -> bool:
    return ("YYYY" in shape or "yy" in shape) and "MM" in shape and "DD" in shape


def example_of(shape: str) -> str:
    """Write a stamp that is good."""
    text = shape.replace(T_OR_BLANK, "T").replace("YYYY", "2000").replace("yy", "00")
    for field, digits in (("MM", "01"), ("DD", "01"), ("hh", "00"), ("mm", "00"), ("ss", "00")):
        text = text.replace(field, digits)
    return text


def read_stamps(texts: pa.Array, shape: str, read_suffixes: ReadSuffixes) -> Stamps:
    """Read the texts that begin with a stamp of one shape.

    Args:
        texts: Any.
        shape: As of `stamp_shapes`.
        read_suffixes: Reads the different suffixes.
    """
    width = len(shape)
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset :][: len(texts) + 1]
    codes = np.frombuffer(data or b"", np.uint8)
    lengths = np.diff(offsets)
    rows = np.flatnonzero(valid(texts) & (lengths >= width))
    size = len(texts)
    found = Stamps(*(np.zeros(size, kind) for kind in (np.int64, np.int64, bool, bool, bool)))
    if not len(rows):
        return found
    if len(rows) == size and (lengths == lengths[0]).all():
        stamps = codes[offsets[0] : offsets[-1]].reshape(size, -1)[:, :width]
    else:
        windows = np.ndarray((len(codes) - width + 1,), f"V{width}", codes, 0, (1,))
        stamps = windows[offsets[rows]].view(np.uint8).reshape(-1, width)
    wall, good = decode_adjacent_timestamps(*_as_iso(stamps, shape))
    good &= _has_marks(stamps, shape) & (wall >= YEAR_1)
    stamp = example_of(shape)
    if (lengths[rows] > width).any():
        some = texts if len(rows) == size else texts.take(pa.array(rows))
        encoded = pc.dictionary_encode(pc.utf8_slice_codeunits(some, width))
        of_each = read_suffixes(pc.binary_join_element_wise(stamp, encoded.dictionary, ""))
        at: Positions | int = encoded.indices.to_numpy()
    else:
        of_each, at = read_suffixes(pa.array([stamp])), 0
    good &= of_each.good[at]
    found.wall[rows], found.good[rows] = wall + of_each.microseconds[at], good
    found.offset[rows], found.zoned[rows] = of_each.offset[at], of_each.zoned[at]
    found.dated[rows] = of_each.dated[at]
    return found


def _as_iso(stamps: Bytes, shape: str) -> tuple[Bytes, bytes]:
    """Bring the digits of stamps into the order of ISO 8601; with the marks before the hour."""
    if shape == ISO_STAMPS[0]:
        return np.ascontiguousarray(stamps).ravel(), b"T "
    found = np.empty((len(stamps), len(_MIDNIGHT_OF_2000)), np.uint8)
    found[:] = _MIDNIGHT_OF_2000
    for at, place in _digits(shape):
        found[:, place] = stamps[:, at]
    return found.ravel(), b"T"


def _digits(shape: str) -> list[tuple[int, int]]:
    """Place of each digit in a stamp, and in a timestamp of ISO 8601."""
    found, count = [], dict.fromkeys("YyMDhms", 0)
    for at, letter in enumerate(shape):
        if letter in count:
            number = count[letter]
            count[letter] += 1
            found.append((at, _PLACES[f"Y{number + 2}" if letter == "y" else f"{letter}{number}"]))
    return found


def _has_marks(stamps: Bytes, shape: str) -> Mask:
    """Whether the marks between the digits of stamps are those of the shape."""
    found = np.ones(len(stamps), bool)
    if shape == ISO_STAMPS[0]:
        return found  # the decoder compares them
    for at, letter in enumerate(shape):
        code = stamps[:, at]
        if letter == T_OR_BLANK:
            found &= (code == ord("T")) | (code == ord(" "))
        elif letter not in "YyMDhms":
            found &= code == ord(letter)
    return found
