"""Map the columns of a contract to Arrow types.

A module of its own, so that contracts load without Arrow: a worker reads its settings and asks the
ledger before it imports Arrow.
"""

from __future__ import annotations

import pyarrow as pa

from kpi.contract.model import Column
from kpi.kernels.uuids import UUID

INSTANT = pa.timestamp("us", tz="UTC")
"""Type of every timestamp in the clean zone."""


def arrow_type(column: Column) -> pa.DataType:
    """Return the type of a column in the clean zone."""
    if column.type == "integer":
        return pa.int64()
    if column.type == "decimal":
        return pa.decimal128(column.precision, column.scale)
    if column.type == "uuid":
        return UUID
    return INSTANT if column.type == "timestamp" else pa.string()
