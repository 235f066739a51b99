"""Building blocks of the slow path: decode, match and convert columns of texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.folding import BLANKS
from kpi.kernels.arrays import Mask, Positions
from kpi.kernels.masks import booleans, true, valid

RAW_DICTIONARY = pa.dictionary(pa.int32(), pa.binary())
"""Raw texts of a column with few distinct values."""

MAX_LOOP_VALUES, MAX_LOOP_CHARACTERS = 300, 100
"""Values up to which a Python loop is faster than Arrow, which compiles the pattern at each call;
and the length of each up to which Python's backtracking is safe. RE2 needs no such limit."""

_MAX_ASCII = 0x7F

_STARTS_BLANK, _ENDS_BLANK = np.zeros(256, bool), np.zeros(256, bool)
"""Bytes that the UTF-8 of a blank may start with, or end with."""
_STARTS_BLANK[[blank.encode()[0] for blank in BLANKS]] = True
_ENDS_BLANK[[blank.encode()[-1] for blank in BLANKS]] = True


def decode(raw: pa.Array) -> tuple[pa.Array, Mask]:
    """Decode a binary array.

    Returns:
        Texts, null where a value is not UTF-8; and where that is.
    """
    undecodable = np.zeros(len(raw), bool)
    validity, offsets_buffer, data = raw.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[raw.offset :][: len(raw) + 1]
    codes = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]]
    if len(codes) == 0 or int(codes.max()) <= _MAX_ASCII:
        buffers = [validity, offsets_buffer, data]
        return pa.Array.from_buffers(
            pa.string(), len(raw), buffers, raw.null_count, raw.offset
        ), undecodable
    try:
        return raw.cast(pa.string()), undecodable
    except pa.ArrowInvalid:
        suspects = np.flatnonzero(codes > _MAX_ASCII) + int(offsets[0])
        for row in np.unique(np.searchsorted(offsets, suspects, side="right") - 1):
            value = raw[int(row)].as_py()
            try:
                (value or b"").decode("utf-8")
            except UnicodeDecodeError:
                undecodable[row] = True
    decodable = pc.if_else(booleans(undecodable), pa.scalar(None, pa.binary()), raw)
    return decodable.cast(pa.string()), undecodable


def decode_dictionary(raw: pa.DictionaryArray) -> tuple[pa.DictionaryArray, Mask]:
    """Decode a dictionary array, each distinct text once; see `decode`."""
    texts, undecodable = decode(raw.dictionary)
    if not undecodable.any():
        return pa.DictionaryArray.from_arrays(raw.indices, texts), np.zeros(len(raw), bool)
    renumbered = pa.array(np.cumsum(~undecodable, dtype=np.int32) - 1, pa.int32(), mask=undecodable)
    indices = renumbered.take(raw.indices)
    bad = valid(raw.indices) & ~valid(indices)
    return pa.DictionaryArray.from_arrays(indices, texts.drop_null()), bad


@dataclass(frozen=True)
class Trimmed:
    """Texts without outer blanks.

    Attributes:
        values: The texts; null where a text was nothing but blanks, or means "no value".
        changed: Which texts lost blanks.
    """

    values: pa.Array
    changed: Mask


def trim(text: pa.Array, null_values: Sequence[str]) -> Trimmed:
    """Remove outer blanks.

    Args:
        text: `pa.string()`, or a dictionary of it.
        null_values: Texts that mean "no value".
    """
    if isinstance(text, pa.DictionaryArray):
        return _trim_dictionary(text, null_values)
    changed = np.zeros(len(text), bool)
    suspects = _may_have_outer_blanks(text)
    if not len(suspects):
        return Trimmed(text, changed)
    some = text.take(pa.array(suspects))
    cut = pc.utf8_trim(some, characters=BLANKS)
    changed[suspects] = true(pc.less(pc.binary_length(cut), pc.binary_length(some)))
    if not changed.any():
        return Trimmed(text, changed)
    cut = cut.filter(booleans(changed[suspects]))
    means_none = pc.is_in(cut, pa.array(["", *null_values], pa.string()))
    cut = pc.if_else(means_none, pa.scalar(None, pa.string()), cut)
    return Trimmed(pc.replace_with_mask(text, booleans(changed), cut), changed)


def _trim_dictionary(text: pa.DictionaryArray, null_values: Sequence[str]) -> Trimmed:
    texts = trim(text.dictionary, null_values)
    if not texts.changed.any():
        return Trimmed(text, np.zeros(len(text), bool))
    # Two texts may be equal now, and a dictionary holds each once.
    encoded = texts.values.dictionary_encode()
    changed = true(booleans(texts.changed).take(text.indices))
    indices = encoded.indices.take(text.indices)
    return Trimmed(pa.DictionaryArray.from_arrays(indices, encoded.dictionary), changed)


def _may_have_outer_blanks(text: pa.Array) -> Positions:
    """Find the texts whose first or last byte may be of a blank."""
    _, offsets_buffer, data = text.buffers()
    if data is None or not len(text):
        return np.zeros(0, np.int64)
    offsets = np.frombuffer(offsets_buffer, np.int32)[text.offset :][: len(text) + 1]
    codes = np.frombuffer(data, np.uint8)
    used = codes[offsets[0] : offsets[-1]]
    if not len(used) or (int(used.min()) > ord(" ") and int(used.max()) <= _MAX_ASCII):
        return np.zeros(0, np.int64)
    filled = np.flatnonzero(offsets[1:] > offsets[:-1])
    is_suspect = _STARTS_BLANK[codes[offsets[filled]]] | _ENDS_BLANK[codes[offsets[filled + 1] - 1]]
    return filled[is_suspect]


def convert_rest(
    text: pa.Array,
    values: pa.Array,
    convert: Callable[[pa.Array], pa.Array],
    hopeless: re.Pattern[str],
) -> pa.Array:
    """Convert the texts that a fast decoder left null.

    Args:
        text: All texts.
        values: Their values, as far as the fast decoder knows them.
        convert: Converts an array of texts; null for a bad one.
        hopeless: Characters that make a text bad whatever else it has. Searching for them spares
            the Arrow calls, each of which takes as long as 50 searches.
    """
    rest = valid(text) & ~valid(values)
    places = np.flatnonzero(rest)
    if len(places) <= MAX_LOOP_VALUES:
        # Only where few are left: among many, most are good in another form.
        lost = [hopeless.search(text[place].as_py()) is not None for place in places.tolist()]
        rest[places[lost]] = False
        places = places[~np.array(lost, bool)]
        if not len(places):
            return values
    found = convert(text.take(pa.array(places)))
    if found.null_count == len(found):
        return values
    return pc.replace_with_mask(values, booleans(rest), found)


def convert_distinct(
    text: pa.Array, convert: Callable[[str], object], kind: pa.DataType
) -> pa.Array:
    """Convert each distinct text once by a scalar function."""
    encoded = text.dictionary_encode()
    found = pa.array([convert(one) for one in encoded.dictionary.to_pylist()], kind)
    return found.take(encoded.indices)


def matches(text: pa.Array, pattern: str) -> Mask:
    """Match each text with a pattern in RE2's syntax; False for null."""
    values = text.to_pylist() if len(text) <= MAX_LOOP_VALUES else None
    if values is None or any(
        value is not None and len(value) > MAX_LOOP_CHARACTERS for value in values
    ):
        return true(pc.match_substring_regex(text, pattern))
    match = compiled(pattern).match
    return np.array([value is not None and match(value) is not None for value in values], bool)


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile an RE2 pattern for Python, where $ matches before a final line feed too."""
    return re.compile(pattern.replace("$", r"\Z"), re.ASCII)


def keep(text: pa.Array, which: Mask) -> pa.Array:
    """Replace all other texts by null."""
    return pc.if_else(booleans(which), text, pa.scalar(None, pa.string()))
