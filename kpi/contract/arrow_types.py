"""What the columns of a contract, and the attributes of a KPI table, are in Arrow.

Apart from both, which need nothing of Arrow: a worker has read its settings and asked the ledger
before Arrow would be imported.
"""

from __future__ import annotations

import pyarrow as pa

from kpi.contract.model import Column
from kpi.kernels.uuids import UUID

INSTANT = pa.timestamp("us", tz="UTC")
"""Every timestamp of the clean zone."""


def arrow_type(column: Column) -> pa.DataType:
    """Type of a column in the clean zone."""
    if column.type == "integer":
        return pa.int64()
    if column.type == "decimal":
        return pa.decimal128(column.precision, column.scale)
    if column.type == "uuid":
        return UUID
    return INSTANT if column.type == "timestamp" else pa.string()
