"""Columns of clean rows as texts, numbers and money."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.kernels.masks import valid


def column_of(table: pa.Table, name: str) -> pa.Array | None:
    """Return a column as one array; None where the contract does not have it."""
    return one_array(table, name) if name in table.schema.names else None


def one_array(table: pa.Table, name: str) -> pa.Array:
    """Return a column as one array."""
    column = table.column(name)
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def texts_of(table: pa.Table, name: str) -> pa.Array:
    """Write a column as conditions compare it; numbers without trailing zeros."""
    column = column_of(table, name)
    if column is None:
        return pa.nulls(table.num_rows, pa.string())
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_decimal(column.type):
        found = column.dictionary_encode()
        names = [f"{one.normalize():f}" for one in found.dictionary.to_pylist()]
        return pa.array(names, pa.string()).take(found.indices)
    return column.cast(pa.string())


def units_of(table: pa.Table, name: str) -> tuple[Int64s, Mask] | None:
    """Read a decimal column: integers at its scale, 0 where it is null, and where it is not."""
    column = column_of(table, name)
    if column is None:
        return None
    has = valid(column)
    if not column.null_count:
        return fixed_point.unscaled(column), has
    return np.where(has, fixed_point.unscaled(column), 0), has


def encoded(texts: pa.Array) -> tuple[pa.Array, Positions]:
    """Return the distinct texts of an array, and the place of each among them; -1 for null."""
    found = pc.dictionary_encode(texts)
    indices = found.indices
    if indices.null_count:
        indices = indices.fill_null(-1)
    return found.dictionary, indices.to_numpy(zero_copy_only=False).astype(np.int64)
