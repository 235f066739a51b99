"""Read a chunk with `pyarrow.csv`, in blocks that fit the cache where that pays.

The text of Arrow's errors is no interface, but it alone says which column failed. All that depends
on it is in `explain_failure`; tests pin each message, and pyproject.toml bounds Arrow's version.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from kpi.csv.chunk import Chunk
from kpi.csv.header import Layout
from kpi.csv.scan import SCAN_BLOCK_BYTES
from kpi.kernels.arrays import Bytes, Positions

ARROW_BLOCK_BYTES = 2 * 1024 * 1024
"""Bytes that `pyarrow.csv` parses at once. Each column then passes over them again, which is faster
while they are in the cache."""

_MAX_SKIPPED_FIELDS = 64
"""Quoted fields with line ends that are skipped to find where a record ends in a block."""

_SHORTEST_TIME = len("2025-03-30 16")
_LONGEST_FRACTION = len("123456789")
_LONGEST_TIME = len("2025-03-30 16:14:26.123456789")

_MANTISSA = re.compile(rb"(?:^|[^0-9A-Za-z.-])[-+]?[0-9]*\.?[0-9]*[eE]$")
_DEEP_EXPONENT = re.compile(rb"-[0-9]{2,}(?![0-9A-Fa-f-])")
"""What stands before the minus of an exponent, and from it on; parts of UUIDs are neither."""

_LONGEST_MANTISSA = 48

_FAILED_COLUMN = re.compile(r"In CSV column #(\d+):")
_ZONE_MISMATCH = re.compile(
    r"In CSV column #\d+: (?:Row #\d+: )?CSV conversion error to timestamp\[us(?:, tz=UTC)?\]: "
    r"expected (?:no|a) zone offset in "
)
"""Beginnings of messages; what follows may quote any text of the file."""


@dataclass(frozen=True)
class ConversionFailure:
    """A value is not of its column's type.

    Attributes:
        column: Number of the column, from 0.
        is_zone_mismatch: Whether the value is a timestamp with an offset in a column without, or
            the other way round.
    """

    column: int
    is_zone_mismatch: bool


def explain_failure(error: pa.ArrowInvalid) -> ConversionFailure | None:
    """Tell which column an error of `read_csv` is about.

    Returns:
        None where it is about none: the handler of invalid rows returned "error".
    """
    message = str(error)
    failed = _FAILED_COLUMN.match(message)
    if failed is None:
        return None
    return ConversionFailure(
        column=int(failed.group(1)), is_zone_mismatch=_ZONE_MISMATCH.match(message) is not None
    )


def read_csv(
    chunk: Chunk,
    names: list[str],
    types: dict[str, pa.DataType],
    layout: Layout,
    invalid_row_handler: Callable[[pacsv.InvalidRow], Literal["skip", "error"]] | None,
    *,
    is_utf8: bool,
) -> pa.Table:
    """Read the records of a chunk, a block at a time.

    Args:
        chunk: The chunk.
        names: Columns in the order of the header.
        types: Column -> type to read its values as.
        layout: Layout of the source object.
        invalid_row_handler: Called with each record that has the wrong number of columns.
        is_utf8: Whether all texts are known to be UTF-8, so that none is checked.

    Raises:
        pa.ArrowInvalid: A value is not of its column's type, or the handler returned "error"; see
            `explain_failure`.
    """
    contract = layout.contract
    data = chunk.data
    if not data:
        return pa.table({name: pa.array([], kind) for name, kind in types.items()})
    block_bytes = _block_bytes(chunk, layout)
    if bytes(data[:3]) == codecs.BOM_UTF8:
        # The converter skips a byte order mark; here it is part of a value.
        data = memoryview(b"\n" + data)
        block_bytes = len(data) + 1
    return pacsv.read_csv(
        pa.BufferReader(data),
        read_options=pacsv.ReadOptions(
            column_names=names,
            use_threads=False,
            block_size=block_bytes,
        ),
        parse_options=pacsv.ParseOptions(
            delimiter=contract.delimiter,
            quote_char=False if chunk.has_no_quotes else '"',
            newlines_in_values=not chunk.has_no_quotes,
            invalid_row_handler=invalid_row_handler,
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            null_values=list(contract.null_values),
            strings_can_be_null=True,
            check_utf8=not is_utf8,
        ),
    )


def _block_bytes(chunk: Chunk, layout: Layout) -> int:
    """Choose the bytes that are parsed at once: a whole chunk where its texts would be joined."""
    whole, quotes = chunk.size + 1, chunk.few_quotes
    if layout.has_texts or quotes is None or not chunk.quotes_pair_up:
        # Joining texts costs more than the cache saves.
        return whole
    for start in range(0, chunk.size - ARROW_BLOCK_BYTES, ARROW_BLOCK_BYTES):
        # pyarrow lets a record end in the block after its own, not in a later one.
        if not _has_record_end(chunk, quotes, start, start + ARROW_BLOCK_BYTES):
            return whole
    return ARROW_BLOCK_BYTES


def _has_record_end(chunk: Chunk, quotes: Positions, start: int, end: int) -> bool:
    """Check whether a record surely ends with a line feed in a part of a chunk."""
    buffer, first = chunk.buffer, chunk.start
    for _ in range(_MAX_SKIPPED_FIELDS):
        stop = max(buffer.rfind(b"\n", first + start, first + end) - first, -1)
        before = int(np.searchsorted(quotes, stop))
        if stop < 0 or before % 2 == 0:
            return stop >= 0
        end = int(quotes[before - 1])  # opens the field that holds the line feed
    return False


def may_have_unreal_offset(chunk: Chunk) -> bool:
    """Check whether a chunk may have a time with an offset beyond those of `utc_offsets`.

    The CSV converter takes offsets up to 23:59, and does not tell them. Where this is true of a
    chunk without such an offset, that costs time and changes no verdict.
    """
    codes = chunk.codes
    blocks = (
        codes[max(at - _LONGEST_TIME, 0) : at + SCAN_BLOCK_BYTES + 3]
        for at in range(0, len(codes), SCAN_BLOCK_BYTES)
    )
    limits = ((ord("+"), 14), (ord("-"), 12))
    return any(_has_hours(block, sign, least) for block in blocks for sign, least in limits)


def _has_hours(codes: Bytes, sign: int, least: int) -> bool:
    """Check whether a time is followed by a sign and a number of hours of at least `least`."""
    before, after = _SHORTEST_TIME, len(codes) - 3
    if after <= before:
        return False
    # Compared in the cache and not by positions: a row may have six minuses in dates and UUIDs.
    found = codes[before:after] == sign
    found &= codes[before + 1 : after + 1] - ord("1") <= 1
    signs = np.flatnonzero(found) + before
    tens, ones = codes[signs + 1] - ord("0"), codes[signs + 2] - ord("0")
    signs = signs[(ones <= 9) & (tens * 10 + ones >= least)]
    # The month of a date is before a minus, its day behind one.
    signs = signs[(codes[signs + 3] != ord("-")) & (codes[signs - 3] != ord("-"))]
    if not len(signs):
        return False
    is_time = np.isin(codes[signs - 3], np.frombuffer(b":T ", np.uint8))
    is_fraction = np.ones(len(signs), bool)
    for place in range(1, _LONGEST_FRACTION + 1):
        is_fraction &= codes[signs - place] - ord("0") <= 9
        is_time |= is_fraction & (codes[signs - place - 1] == ord("."))
    return bool(is_time.any())


def may_have_deep_exponent(chunk: Chunk) -> bool:
    """Check whether a chunk may have a number with a negative exponent of several digits.

    Arrow 26 converts a decimal of more than 38 places with a power of ten from beyond its table:
    `2.2e-309` became 0 or an error, by what was in memory there.
    """
    codes = chunk.codes
    for at in range(0, len(codes), SCAN_BLOCK_BYTES):
        block = codes[max(at - 2, 0) : at + SCAN_BLOCK_BYTES + 2]
        found = block[2:-2] == ord("-")
        found &= (block[1:-3] | 0x20) == ord("e")
        places = np.flatnonzero(found) + 2
        for ahead in (1, 2):
            places = places[block[places + ahead] - ord("0") <= 9]
        places = places[block[places - 2] <= ord("9")]
        for place in places.tolist():
            minus = chunk.start + max(at - 2, 0) + place
            before = chunk.buffer[max(minus - _LONGEST_MANTISSA, chunk.start) : minus]
            if _DEEP_EXPONENT.match(chunk.buffer, minus, chunk.stop) and _MANTISSA.search(before):
                return True
    return False


def may_have_hexadecimal(chunk: Chunk, max_byte: int) -> bool:
    """Check whether a chunk has 0x or 0X, which the CSV converter reads as hexadecimal.

    No shop means an integer by 0x1F. A single byte is found much faster than two, and exports
    rarely have an x at all.

    Args:
        chunk: The chunk.
        max_byte: Its highest byte: statuses, numbers and times rarely have letters behind w.
    """
    letters = (b"x", b"X") if max_byte >= ord("x") else (b"X",)
    blocks = (
        (start, min(start + SCAN_BLOCK_BYTES, chunk.stop))
        for start in range(chunk.start, chunk.stop, SCAN_BLOCK_BYTES)
    )
    # Block by block, so that the second search finds the bytes in the cache.
    if not any(chunk.buffer.find(code, *block) >= 0 for block in blocks for code in letters):
        return False
    places = np.concatenate([chunk.find(code) for code in b"xX"])
    return bool((chunk.codes[places[places > 0] - 1] == ord("0")).any())
