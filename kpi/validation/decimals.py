"""Convert texts to decimals; excess digits are rounded half-even, once.

The grammar is a superset of what Arrow's CSV converter takes: an optional sign, digits with an
optional point, an optional exponent. That converter fails where a digit would be lost, so every
rounding happens here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.arrow_types import arrow_type
from kpi.contract.model import Column
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s, Mask
from kpi.kernels.masks import bitmap, booleans, true, valid
from kpi.validation.swar import common_places, decode_decimals
from kpi.validation.text import MAX_LOOP_VALUES, matches

PLAIN_DECIMAL = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)$"
SCIENTIFIC = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]+$"

_PARTS = r"^(?P<sign>[+-]?)0*(?P<whole>[0-9]*)\.?(?P<fraction>[0-9]*)$"

_HOPELESS = re.compile(r"[^-+.0-9eE]")

_MAX_EXPONENT = 10**6
"""Exponents beyond are as good as this: every decimal is 0 or too large there."""

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_QUANTIZE = Context(prec=40, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Decimals:
    """Converted texts.

    Attributes:
        values: In the column's type; null for a bad text.
        rounded: Which values had digits beyond the scale that are not all 0.
    """

    values: pa.Array
    rounded: Mask


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


def to_decimals(text: pa.Array, column: Column) -> Decimals:
    """Convert texts without outer blanks."""
    plain, units = decode_decimals(text, column, common_places(text, column))
    rounded = np.zeros(len(text), bool)
    rest = np.flatnonzero(valid(text) & ~plain)
    if len(rest) <= MAX_LOOP_VALUES:
        # Arrow's calls for a few texts take as long as 50 searches.
        hopeful = [_HOPELESS.search(text[row].as_py()) is None for row in rest.tolist()]
        rest = rest[np.array(hopeful, bool)]
    if len(rest):
        some = text.take(pa.array(rest))
        for which, found in (
            (matches(some, PLAIN_DECIMAL), _convert_plain),
            (matches(some, SCIENTIFIC), _convert_scientific),
        ):
            if which.any():
                rows = rest[which]
                units[rows], plain[rows], rounded[rows] = found(
                    some.filter(booleans(which)), column
                )
    if column.on_excess_digits == "reject":
        plain &= ~rounded
        rounded[:] = False
    kind = arrow_type(column)
    _, values = fixed_point.to_decimals(units, kind).buffers()
    return Decimals(
        pa.Array.from_buffers(kind, len(text), [bitmap(plain), values]), rounded & plain
    )


def _convert_plain(text: pa.Array, column: Column) -> tuple[Int64s, Mask, Mask]:
    """Convert texts that match `PLAIN_DECIMAL`: units of the scale, which fit, which are rounded.

    text        -0012.34567      scale 4
    whole       12               leading zeros removed
    kept        3456             digits within the scale, padded with zeros
    excess      7                the rest, trailing zeros removed: > "5" rounds up as texts
    """
    scale = column.scale
    parts = pc.extract_regex(text, _PARTS)
    sign, whole, fraction = (pc.struct_field(parts, at) for at in range(3))
    fits = true(pc.less_equal(pc.binary_length(whole), column.precision - scale))
    whole = pc.if_else(booleans(fits), whole, "0")
    kept = pc.ascii_rpad(pc.utf8_slice_codeunits(fraction, 0, scale), scale, "0")
    excess = pc.ascii_rtrim(pc.utf8_slice_codeunits(fraction, scale), "0")
    digits = pc.binary_join_element_wise("0", whole, kept, "")
    units = digits.cast(pa.int64()).to_numpy(zero_copy_only=False).copy()
    up = true(pc.greater(excess, "5")) | (true(pc.equal(excess, "5")) & (units % 2 == 1))
    units += up
    fits &= units < 10**column.precision
    units[true(pc.equal(sign, "-"))] *= -1
    units[~fits] = 0
    return units, fits, true(pc.greater(pc.binary_length(excess), 0))


def _convert_scientific(text: pa.Array, column: Column) -> tuple[Int64s, Mask, Mask]:
    """Convert texts that match `SCIENTIFIC`, each distinct one once; see `_convert_plain`."""
    encoded = text.dictionary_encode()
    found = [parse_scientific(one, column) for one in encoded.dictionary.to_pylist()]
    units = np.array([0 if one is None else one[0] for one in found], np.int64)
    fits = np.array([one is not None for one in found], bool)
    rounded = np.array([one is not None and one[1] for one in found], bool)
    which = encoded.indices.to_numpy()
    return units[which], fits[which], rounded[which]


def parse_scientific(text: str, column: Column) -> tuple[int, bool] | None:
    """Convert one text that matches `SCIENTIFIC`.

    Returns:
        Units of the scale, and whether they are rounded; None where they exceed the precision.
    """
    mantissa, _, exponent = text.lower().partition("e")
    digits = exponent.lstrip("+-0") or "0"
    power = min(int(digits), _MAX_EXPONENT) if len(digits) <= 7 else _MAX_EXPONENT
    number = Decimal(mantissa)
    if not number:
        return 0, False
    number = number.scaleb(-power if exponent.startswith("-") else power, _EXACT)
    if number.adjusted() >= column.precision - column.scale:
        return None
    if number.adjusted() < -column.scale - 1:
        return 0, True
    rounded = number.quantize(Decimal(1).scaleb(-column.scale), context=_QUANTIZE)
    units = int(rounded.scaleb(column.scale))
    return (units, rounded != number) if abs(units) < 10**column.precision else None
