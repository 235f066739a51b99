"""What the columns of a contract, and the attributes of a KPI table, are in Arrow.

Apart from both, which need nothing of Arrow: a worker has read its settings and asked the ledger
before Arrow would be imported.
"""

from __future__ import annotations

import pyarrow as pa

from kpi.contract import Column
from kpi.tables import PLACES, Kind, KpiTable
from kpi.uuids import UUID

INSTANT = pa.timestamp("us", tz="UTC")
"""Every timestamp of the clean zone."""

MONEY = pa.decimal128(38, PLACES["money"])
RATE = pa.decimal128(5, PLACES["rate"])

_KINDS: dict[Kind, pa.DataType] = {
    "date": pa.date32(),
    "text": pa.string(),
    "count": pa.int64(),
    "money": MONEY,
    "rate": RATE,
}


def arrow_type(column: Column) -> pa.DataType:
    """Type of a column in the clean zone."""
    if column.type == "integer":
        return pa.int64()
    if column.type == "decimal":
        return pa.decimal128(column.precision, column.scale)
    if column.type == "uuid":
        return UUID
    return INSTANT if column.type == "timestamp" else pa.string()


def arrow_schema(table: KpiTable) -> pa.Schema:
    """Schema of a KPI table, without null."""
    return pa.schema(
        [pa.field(name, _KINDS[kind], nullable=False) for name, kind in table.attributes.items()]
    )
