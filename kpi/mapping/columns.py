"""One column of a dataset: from cells of a file to typed values."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.arrow_types import INSTANT
from kpi.contract.forms import DateForm, NumberForm
from kpi.contract.model import MAX_KEY_BYTES
from kpi.contract.reject_reasons import Reason
from kpi.contract.shop import SIZES, Kind, ShopColumn
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s, Mask
from kpi.kernels.masks import bitmap, true
from kpi.mapping.dates import Clock, Times, read_times
from kpi.mapping.numbers import read_numbers
from kpi.validation.rules import Problem

PLACES: dict[Kind, int] = {"money": 4, "quantity": 3, "factor": 10}
"""Decimal places of a kind of number."""

ARROW_TYPES: dict[Kind, pa.DataType] = {
    "id": pa.string(),
    "integer": pa.string(),
    "text": pa.string(),
    "money": pa.decimal128(18, PLACES["money"]),
    "factor": pa.decimal128(18, PLACES["factor"]),
    "quantity": pa.decimal128(18, PLACES["quantity"]),
    "time": INSTANT,
    "version": pa.int64(),
}
"""Kind of a column -> its type in the clean zone."""

EXPECTED: dict[Kind, str] = {
    "integer": "a whole number",
    "money": "an amount of money",
    "factor": "a number",
    "quantity": "a quantity",
    "time": "a date or time",
    "version": "a time or a whole number",
}
"""Kind of a column -> what its values must be, for messages."""

KEYS_OF_KPIS = frozenset({"category", "product_id"})
"""Columns whose texts become keys of KPI rows. Those of references may become categories too."""

MINOR_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF"), 0),
    **dict.fromkeys(("UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""Currency -> digits of its minor unit where they are not 2 (ISO 4217)."""


@dataclass(frozen=True, kw_only=True)
class Forms:
    """How a file writes values.

    Attributes:
        numbers: Numbers.
        dates: Dates, tried in turn.
        clock: Zones of the contract.
    """

    numbers: NumberForm
    dates: tuple[DateForm, ...]
    clock: Clock


@dataclass(frozen=True, kw_only=True)
class Typed:
    """Values of a column.

    Attributes:
        values: Of the type of its kind; null where there is none.
        wrong: Where a text cannot be read.
        rounded: Where decimals were dropped; None where the kind has none.
        days: Days of times; None of other kinds.
        elsewhere: Times whose date as written is not their day; see `Times`.
        signs: Whether an amount without a sign was negative, and whether one was positive.
    """

    values: pa.Array
    wrong: Mask
    rounded: Mask | None = None
    days: npt.NDArray[np.int32] | None = None
    elsewhere: Mask | None = None
    signs: frozenset[int] = field(default_factory=frozenset)


def read_column(
    texts: pa.Array, column: ShopColumn, forms: Forms, minor_units: Int64s | None
) -> Typed:
    """Read the values of a column.

    Args:
        texts: Cells without outer blanks; null where there is no value.
        column: What they are.
        forms: How the file writes them.
        minor_units: Of each row, the units in which one of the currency is written; None where
            money is not in minor units.
    """
    kind = column.stored_kind
    if kind in PLACES:
        numbers = read_numbers(texts, forms.numbers, PLACES[kind])
        units = numbers.units
        if kind == "money" and minor_units is not None:
            units = fixed_point.half_even(units, minor_units)
        signs: frozenset[int] = frozenset()
        if column.name in SIZES and kind == "money":
            signs = frozenset(np.unique(np.sign(units)).tolist()) - {0}
            units = np.abs(units)
        return Typed(
            values=decimals(units, numbers.valid, ARROW_TYPES[kind]),
            wrong=numbers.wrong,
            rounded=numbers.rounded,
            signs=signs,
        )
    if kind == "time":
        times = read_times(texts, forms.dates, forms.clock)
        return Typed(
            values=_instants(times),
            wrong=times.wrong,
            days=times.days,
            elsewhere=times.elsewhere,
        )
    if kind == "version":
        return _versions(texts, forms)
    if kind == "integer":
        return _whole(texts)
    return Typed(values=texts, wrong=np.zeros(len(texts), bool))


def decimals(units: Int64s, valid: Mask, kind: pa.DataType) -> pa.Array:
    """Integers at the scale of a decimal type as its values; null where not valid."""
    whole = fixed_point.to_decimals(units, kind)
    if valid.all():
        return whole
    return pa.Array.from_buffers(kind, len(units), [bitmap(valid), whole.buffers()[1]])


def _instants(times: Times) -> pa.Array:
    buffers = [None if times.valid.all() else bitmap(times.valid), pa.py_buffer(times.instants)]
    return pa.Array.from_buffers(INSTANT, len(times.valid), buffers)


def midnights(typed: Typed) -> pa.Array:
    """Write times as the midnights of their days, which their instants do not tell."""
    days = pa.array(typed.days, pa.date32(), mask=~true(typed.values.is_valid()))
    return days.cast(pa.timestamp("us")).cast(INSTANT)


def _versions(texts: pa.Array, forms: Forms) -> Typed:
    """Read whole numbers as they are, and times as microseconds since 1970."""
    numbers = true(pc.match_substring_regex(texts, "^-?[0-9]{1,18}$"))
    whole = pc.if_else(pa.array(numbers), texts, "0").cast(pa.int64())
    rest = pc.if_else(pa.array(numbers), pa.scalar(None, pa.string()), texts)
    times = read_times(rest, forms.dates, forms.clock)
    valid = numbers | times.valid
    values = np.where(numbers, whole.to_numpy(zero_copy_only=False), times.instants)
    return Typed(values=pa.array(values, mask=~valid), wrong=times.wrong)


def _whole(texts: pa.Array) -> Typed:
    """Write whole numbers without decimals and leading zeros (rule 21)."""
    found = pc.extract_regex(texts, r"^\+?(?P<sign>-?)0*(?P<digits>[0-9]+)(?:\.0*)?$")
    wrong = ~true(found.is_valid()) & true(texts.is_valid())
    values = pc.binary_join_element_wise(found.field("sign"), found.field("digits"), "")
    masked = pc.if_else(found.is_valid(), values, pa.scalar(None, pa.string()))
    return Typed(values=masked, wrong=wrong)


def minor_units_of(currencies: pa.Array | None, currency: str | None, rows: int) -> Int64s:
    """Count the minor units of each row's currency: 100 for EUR, 1 for JPY."""

    def units(code: str | None) -> int:
        return 10 ** MINOR_DIGITS.get((code or currency or "").upper(), 2)

    if currencies is None:
        return np.full(rows, units(None), np.int64)
    encoded = pc.dictionary_encode(currencies)
    table = np.array([*map(units, encoded.dictionary.to_pylist()), units(None)], np.int64)
    return table[encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)]


def too_long(column: ShopColumn, typed: Typed, checked: Mask) -> list[Problem]:
    """Find texts that no store takes as a key of a KPI row."""
    if not pa.types.is_string(typed.values.type):
        return []
    long = true(pc.greater(pc.binary_length(typed.values), MAX_KEY_BYTES)) & checked
    expected = f"at most {MAX_KEY_BYTES} bytes"
    return [Problem(Reason.TOO_LONG, column.name, expected, long)] if long.any() else []
