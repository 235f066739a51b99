"""Convert texts to decimals by the grammar of Arrow's CSV converter.

That grammar is written out as patterns: what matches is cast in bulk, what cannot match is bad,
and only texts of a rare form are put to the converter one by one.
"""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from kpi.contract.arrow_types import arrow_type
from kpi.contract.model import Column
from kpi.kernels.masks import booleans, valid
from kpi.validation.swar import decode_decimals
from kpi.validation.text import convert_distinct, convert_rest, keep, matches

DECIMAL = r"^-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"

_HOPELESS = re.compile(r"[^-+.0-9eE \t]")


def within_precision(decimals: pa.Array) -> bool:
    """Check whether decimals surely have no more digits than their type.

    The CSV converter counts digits before it scales: it accepts 12345678901234 for a decimal of 15
    digits, 2 of them behind the point. Values behind nulls count too.
    """
    if len(decimals) == 0:
        return True
    words = np.frombuffer(decimals.buffers()[1], np.int64)[2 * decimals.offset :]
    # 16 bytes a value, little endian: the low word holds the value, the high one its sign.
    low, high = words[0 : 2 * len(decimals) : 2], words[1 : 2 * len(decimals) : 2]
    limit = 10**decimals.type.precision
    return bool(((high == low >> 63) & (low < limit) & (low > -limit)).all())


def to_decimals(text: pa.Array, column: Column) -> pa.Array:
    """Convert texts; null for a bad one."""
    return convert_rest(
        text, decode_decimals(text, column), lambda rest: _other_decimals(rest, column), _HOPELESS
    )


def _other_decimals(text: pa.Array, column: Column) -> pa.Array:
    whole, scale = column.precision - column.scale, column.scale
    point = rf"\.[0-9]{{0,{scale}}}" if scale else r"\."
    integral = rf"0*[0-9]{{1,{whole}}}" if whole else "0+"
    bare = rf"|0*\.[0-9]{{1,{scale}}}" if scale else ""
    simple = rf"^-?(?:{integral}(?:{point})?{bare})$"
    plain = matches(text, simple)
    values = keep(text, plain).cast(arrow_type(column))
    other = valid(text) & ~plain
    if not other.any():
        return values
    # The converter ignores blanks and a plus sign, and zeros beyond the scale as long as all
    # digits fit the precision.
    rest = pc.ascii_trim(text.filter(booleans(other)), " \t")
    rest = pc.replace_substring_regex(rest, r"^\+([0-9.])", r"\1")
    short = pc.less_equal(pc.binary_length(rest), column.precision)
    cut = pc.replace_substring_regex(rest, rf"^(-?[0-9]+\.[0-9]{{{scale}}})0+$", r"\1")
    rest = pc.if_else(short, cut, rest)
    plain = matches(rest, simple)
    found = keep(rest, plain).cast(arrow_type(column))
    too_fine = rf"^-?[0-9]*\.[0-9]{{{scale}}}[0-9]*[1-9][0-9]*$"
    too_large = rf"^-?0*[1-9][0-9]{{{whole}}}[0-9]*(?:\.[0-9]*)?$"
    rare = matches(rest, DECIMAL) & ~plain & ~matches(rest, rf"{too_fine}|{too_large}")
    if rare.any():
        settled = convert_distinct(
            rest.filter(booleans(rare)),
            lambda one: _parse_decimal(one, column),
            arrow_type(column),
        )
        found = pc.replace_with_mask(found, booleans(rare), settled)
    return pc.replace_with_mask(values, booleans(other), found)


def _parse_decimal(text: str, column: Column) -> Decimal | None:
    """Convert one text by the CSV converter itself; None for a bad one."""
    try:
        table = pacsv.read_csv(
            pa.BufferReader(text.encode() + b",\n"),
            read_options=pacsv.ReadOptions(column_names=["value", "end"], use_threads=False),
            convert_options=pacsv.ConvertOptions(
                column_types={"value": arrow_type(column)},
                include_columns=["value"],
                null_values=[],
            ),
        )
    except pa.ArrowInvalid:
        return None
    value = table.column("value").combine_chunks()
    return value[0].as_py() if within_precision(value) else None
