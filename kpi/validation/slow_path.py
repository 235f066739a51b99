"""Convert a column of raw bytes value by value, for chunks in which some value is bad.

On the fast path `pyarrow.csv` converts whole columns, and says only that one value failed. Here
each value is judged alone, and the verdict must be the same on both paths.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.model import Column, Contract
from kpi.contract.receipt_notes import Note
from kpi.kernels.arrays import Mask
from kpi.kernels.masks import booleans, valid
from kpi.kernels.uuids import parse_uuids
from kpi.validation.decimals import to_decimals
from kpi.validation.integers import to_integers
from kpi.validation.rules import Remark
from kpi.validation.text import RAW_DICTIONARY, decode, decode_dictionary, trim
from kpi.validation.timestamps import to_timestamps


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A converted column.

    Attributes:
        values: In the column's type; null where there is no value, or a bad one.
        bad: Which values are bad.
        undecodable: Which of the bad ones are not even UTF-8.
        has_blanks: Whether a cell has outer blanks.
        remarks: What was changed.
    """

    values: pa.Array
    bad: Mask
    undecodable: Mask
    has_blanks: bool = False
    remarks: list[Remark] = field(default_factory=list)


def decode_text(raw: pa.Array) -> Converted:
    """Decode a column of texts as they are.

    Args:
        raw: `pa.binary()`, null for no value; `RAW_DICTIONARY` where a dictionary of texts is
            wanted.
    """
    texts, undecodable = (decode_dictionary if raw.type == RAW_DICTIONARY else decode)(raw)
    return Converted(values=texts, bad=undecodable, undecodable=undecodable)


def convert(raw: pa.Array, column: Column, contract: Contract) -> Converted:
    """Convert each value of a column.

    Args:
        raw: See `decode_text`.
        column: The column.
        contract: Its contract, with the time zone of its timestamps.
    """
    decoded = decode_text(raw)
    if column.type == "string":
        return decoded
    trimmed = trim(decoded.values, contract.null_values)
    text = trimmed.values
    remarks: list[Remark] = []
    if column.type == "integer":
        values = to_integers(text)
    elif column.type == "decimal":
        decimals = to_decimals(text, column)
        values = decimals.values
        if decimals.rounded.any():
            remarks.append(Remark(Note.ROUNDED, decimals.rounded))
    elif column.type == "uuid":
        values = parse_uuids(text)
    else:
        timestamps = to_timestamps(text, column, contract)
        values = timestamps.values
        if column.rejects and timestamps.date_only.any():
            remarks.append(Remark(Note.DATE_ONLY, timestamps.date_only))
    return Converted(
        values=values,
        bad=decoded.undecodable | (valid(text) & ~valid(values)),
        undecodable=decoded.undecodable,
        has_blanks=bool(trimmed.changed.any()),
        remarks=remarks,
    )


def trim_column(texts: pa.Array, column: Column, contract: Contract) -> tuple[pa.Array, Mask]:
    """Trim a column of decoded texts as the contract says.

    Returns:
        The texts, null for a cell of blanks; which of them were trimmed.
    """
    trimmed = trim(texts, contract.null_values)
    if column.trim or not trimmed.changed.any():
        return trimmed.values, trimmed.changed
    # Kept as they are, but for cells of blanks.
    blank = valid(texts) & ~valid(trimmed.values)
    return without_values(texts, blank), np.zeros(len(texts), bool)


def without_values(values: pa.Array | pa.ChunkedArray, which: Mask) -> pa.Array:
    """Replace some values by null."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if not which.any():
        return array
    if isinstance(array, pa.DictionaryArray):
        indices = without_values(array.indices, which)
        return pa.DictionaryArray.from_arrays(indices, array.dictionary)
    return pc.if_else(booleans(which), pa.scalar(None, array.type), array)
