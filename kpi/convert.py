"""Text to typed columns: the careful way, for chunks in which some value is bad.

The quick way (`kpi.parse`) lets `pyarrow.csv` convert whole columns and learns only that one value
failed. Here each value is judged on its own, and the verdict must be the same in both: values in
the plain forms below are cast in bulk; of the rest each distinct one is put to `pyarrow.csv` by
itself.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from kpi.contract import INSTANT, Column, Contract

Mask = npt.NDArray[np.bool_]

NAIVE = pa.timestamp("us")
_DAY = (
    r"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
_ISO = rf"\d{{4}}-{_DAY}[T ]{_CLOCK}"
_FRACTION = r"\.\d{1,6}"
_OFFSET = r"(?:Z|[+-](?:0\d|1[0-3]):?[0-5]\d)"
PLAIN_NAIVE = rf"^{_ISO}(?:{_FRACTION})?$"
PLAIN_ZONED = rf"^{_ISO}(?:{_FRACTION})?{_OFFSET}$"
LONG_FRACTION = rf"^({_ISO}\.\d{{6}})\d{{1,6}}({_OFFSET})?$"
PLAIN_INTEGER = r"^-?[0-9]{1,18}$"


def convert(text: pa.Array, column: Column, contract: Contract) -> tuple[pa.Array, Mask, Mask]:
    """Judge each value of a column.

    Args:
        text: `pa.binary()`, null for no value.
        column: What the text must be.

    Returns:
        The values in `column.arrow_type`, null where there is none or it is bad; which values are
        bad; which of the bad ones are not even UTF-8.
    """
    undecodable = find_undecodable(text)
    if undecodable.any():
        text = pc.if_else(pa.array(undecodable), pa.scalar(None, pa.binary()), text)
    strings = text.cast(pa.string())
    if column.type == "string":
        return strings, undecodable, undecodable
    values, bad = _CONVERTERS[column.type](strings, column, contract)
    return values, bad | undecodable, undecodable


def find_undecodable(text: pa.Array) -> Mask:
    """Which values of a binary array are not UTF-8."""
    mask = np.zeros(len(text), bool)
    _, offsets_buffer, data = text.buffers()
    if data is None or offsets_buffer is None or len(text) == 0:
        return mask
    offsets = np.frombuffer(offsets_buffer, np.int32)[text.offset : text.offset + len(text) + 1]
    codes = np.frombuffer(data, np.uint8)[: offsets[-1]]
    high = np.flatnonzero(codes >= 0x80)
    rows = np.unique(np.searchsorted(offsets, high, side="right") - 1)
    for row in rows[rows >= 0]:
        value = text[int(row)].as_py()
        try:
            (value or b"").decode("utf-8")
        except UnicodeDecodeError:
            mask[row] = True
    return mask


def to_instants(naive: pa.Array, contract: Contract) -> pa.Array:
    """Timestamps without offset, read in the contract's source time zone, as instants.

    An hour that a clock change repeats is taken the first time; one that it skips, at the change.
    """
    if contract.source_time_zone == "UTC":
        return naive.cast(INSTANT)
    local = pc.assume_timezone(
        naive, contract.source_time_zone, ambiguous="earliest", nonexistent="latest"
    )
    return local.cast(INSTANT)


def _to_integers(text: pa.Array, column: Column, contract: Contract) -> tuple[pa.Array, Mask]:
    plain = _matches(text, PLAIN_INTEGER)
    values = _keep(text, plain).cast(pa.int64())
    return _settle_odd(text, values, plain, column, contract)


def _to_decimals(text: pa.Array, column: Column, contract: Contract) -> tuple[pa.Array, Mask]:
    whole = column.precision - column.scale
    fraction = rf"(?:\.[0-9]{{0,{column.scale}}})?" if column.scale else r"\.?"
    plain = _matches(text, rf"^-?[0-9]{{1,{whole}}}{fraction}$") if whole else _none(text)
    values = _keep(text, plain).cast(column.arrow_type)
    return _settle_odd(text, values, plain, column, contract)


def _to_timestamps(text: pa.Array, column: Column, contract: Contract) -> tuple[pa.Array, Mask]:
    if column.formats:
        values = pa.nulls(len(text), INSTANT)
        settled = _none(text)
        for form in column.formats:
            left = _keep(text, ~settled)
            parsed = pc.strptime(left, format=form, unit="us", error_is_null=True)
            values = pc.coalesce(values, to_instants(parsed, contract))
            settled = _valid(values)
        return values, ~settled & _valid(text)
    longer = _matches(text, LONG_FRACTION)
    if longer.any():
        # The clean zone keeps microseconds; what is finer is cut off.
        short = pc.replace_substring_regex(text, LONG_FRACTION, r"\1\2")
        text = pc.if_else(pa.array(longer), short, text)
    naive, zoned = _matches(text, PLAIN_NAIVE), _matches(text, PLAIN_ZONED)
    values = pc.coalesce(
        to_instants(_keep(text, naive).cast(NAIVE), contract), _keep(text, zoned).cast(INSTANT)
    )
    return _settle_odd(text, values, naive | zoned, column, contract)


_CONVERTERS = {"integer": _to_integers, "decimal": _to_decimals, "timestamp": _to_timestamps}


def _settle_odd(
    text: pa.Array, values: pa.Array, plain: Mask, column: Column, contract: Contract
) -> tuple[pa.Array, Mask]:
    """Put what is not of a plain form to the CSV converter, each distinct text once."""
    odd = _valid(text) & ~plain
    if not odd.any():
        return values, odd
    encoded = text.filter(pa.array(odd)).dictionary_encode()
    converted = [convert_one(one, column, contract) for one in encoded.dictionary.to_pylist()]
    found = pa.concat_arrays(converted).take(encoded.indices)
    values = pc.replace_with_mask(values, pa.array(odd), found)
    return values, odd & ~_valid(values)


def convert_one(text: str, column: Column, contract: Contract) -> pa.Array:
    """One value by the rules of the quick way, as an array of one; null where it is bad."""
    bad = pa.nulls(1, column.arrow_type)
    if column.type == "integer" and "0x" in text.lower():
        return bad  # the CSV converter reads hexadecimal; no shop means it
    record = b'"' + text.encode().replace(b'"', b'""') + b'",\n'
    kinds = (NAIVE, INSTANT) if column.type == "timestamp" else (column.arrow_type,)
    for kind in kinds:
        try:
            table = pacsv.read_csv(
                pa.BufferReader(record),
                read_options=pacsv.ReadOptions(column_names=["value", "end"], use_threads=False),
                parse_options=pacsv.ParseOptions(newlines_in_values=True),
                convert_options=pacsv.ConvertOptions(
                    column_types={"value": kind}, include_columns=["value"], null_values=[]
                ),
            )
        except pa.ArrowInvalid:
            continue
        array = table.column("value").combine_chunks()
        return to_instants(array, contract) if kind == NAIVE else array
    return bad


def _matches(text: pa.Array, pattern: str) -> Mask:
    """Which values match; False for null."""
    matched = pc.match_substring_regex(text, pattern).fill_null(False)
    return cast(Mask, matched.to_numpy(zero_copy_only=False))


def _valid(array: pa.Array) -> Mask:
    return cast(Mask, array.is_valid().to_numpy(zero_copy_only=False))


def _none(array: pa.Array) -> Mask:
    return np.zeros(len(array), bool)


def _keep(text: pa.Array, keep: Mask) -> pa.Array:
    return pc.if_else(pa.array(keep), text, pa.scalar(None, pa.string()))
