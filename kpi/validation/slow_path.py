"""Convert a column of raw bytes value by value, for chunks in which some value is bad.

On the fast path `pyarrow.csv` converts whole columns, and says only that one value failed. Here
each value is judged alone, and the verdict must be the same on both paths.
"""

from __future__ import annotations

import pyarrow as pa

from kpi.contract.model import Column, Contract
from kpi.kernels.arrays import Mask
from kpi.kernels.masks import valid
from kpi.kernels.uuids import parse_uuids
from kpi.validation.decimals import to_decimals
from kpi.validation.integers import to_integers
from kpi.validation.text import RAW_DICTIONARY, decode, decode_dictionary
from kpi.validation.timestamps import to_timestamps


def convert(raw: pa.Array, column: Column, contract: Contract) -> tuple[pa.Array, Mask, Mask]:
    """Convert each value of a column.

    Args:
        raw: `pa.binary()`, null for no value; `RAW_DICTIONARY` where a dictionary of texts is
            wanted.
        column: The column.
        contract: Its contract, with the time zone of its timestamps.

    Returns:
        The values in the column's type, null where there is none or it is bad; which values are
        bad; which of the bad ones are not even UTF-8.
    """
    if raw.type == RAW_DICTIONARY:
        texts, undecodable = decode_dictionary(raw)
        return texts, undecodable, undecodable
    text, undecodable = decode(raw)
    if column.type == "string":
        return text, undecodable, undecodable
    if column.type == "integer":
        values = to_integers(text)
    elif column.type == "decimal":
        values = to_decimals(text, column)
    elif column.type == "uuid":
        values = parse_uuids(text)
    else:
        values = to_timestamps(text, column, contract)
    return values, undecodable | (valid(text) & ~valid(values)), undecodable
