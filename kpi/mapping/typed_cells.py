"""Cells that have a type, as those of Parquet and workbooks, to texts in one form."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

ISO_WITH_OFFSET = "%Y-%m-%dT%H:%M:%S%z"


def flat_columns(
    table: pa.Table | pa.RecordBatch, path: str = ""
) -> Iterator[tuple[str, pa.Array]]:
    """Yield the columns of a table; those of structs by their dotted names."""
    for field, column in zip(table.schema, table.columns, strict=True):
        yield from _flat(f"{path}{field.name}", column)


def _flat(name: str, column: Any) -> Iterator[tuple[str, pa.Array]]:  # noqa: ANN401
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # of no chunk, in some releases of Arrow
        array = pa.array([], array.type)
    if pa.types.is_struct(array.type):
        for number, field in enumerate(array.type):
            yield from _flat(f"{name}.{field.name}", pc.struct_field(array, number))
    else:
        yield name, array


def texts_of(array: pa.Array, decimal: str = ".") -> pa.Array:
    """Write the cells of a column as texts, dates as ISO 8601; bytes stay as they are.

    Args:
        array: The column.
        decimal: Mark before the decimals of its numbers.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    for is_kind, write in _WRITERS:
        if is_kind(kind):
            return write(array, decimal)
    return array.cast(pa.string())


def _floats(array: pa.Array) -> pa.Array:
    """Write each with the fewest digits that tell it from others; NaN is no value."""
    present = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    return present.cast(pa.string())


def _timestamps(array: pa.Array) -> pa.Array:
    """Write times of a zone with the zone's offset, others without."""
    zone = array.type.tz
    micros = pc.cast(array, pa.timestamp("us", tz=zone), safe=False)
    if zone is None or zone in ("UTC", "+00:00"):
        return micros.cast(pa.string())
    return pc.strftime(micros, ISO_WITH_OFFSET)


def _with_mark(texts: pa.Array, decimal: str) -> pa.Array:
    return texts if decimal == "." else pc.replace_substring(texts, ".", decimal)


_WRITERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array, str], pa.Array]], ...] = (
    (lambda kind: pa.types.is_string(kind) or pa.types.is_binary(kind), lambda array, _: array),
    (
        lambda kind: pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind),
        lambda array, _: array.cast(pa.binary()),
    ),
    (pa.types.is_floating, lambda array, decimal: _with_mark(_floats(array), decimal)),
    (pa.types.is_decimal, lambda array, decimal: _with_mark(array.cast(pa.string()), decimal)),
    (pa.types.is_timestamp, lambda array, _: _timestamps(array)),
    (
        pa.types.is_nested,
        lambda array, _: pa.array(
            [None if one is None else str(one) for one in array.to_pylist()], pa.string()
        ),
    ),
)
"""Kind of a type -> how its cells are written; of others, Arrow's text is."""


def text_of_cell(cell: Any, decimal: str = ".") -> str | None:  # noqa: ANN401
    """Write one cell of a workbook as a text; None where it is empty."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        # A workbook has no integers: 1001 is a double, and is shown as 1001.
        return str(int(cell)) if cell.is_integer() else repr(cell).replace(".", decimal)
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return str(cell)
