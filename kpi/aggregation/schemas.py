"""Derive the Arrow schemas of the KPI tables."""

from __future__ import annotations

import pyarrow as pa

from kpi.aggregation.tables import PLACES, Kind, KpiTable

MONEY = pa.decimal128(38, PLACES["money"])
RATE = pa.decimal128(5, PLACES["rate"])

_KINDS: dict[Kind, pa.DataType] = {
    "date": pa.date32(),
    "text": pa.string(),
    "count": pa.int64(),
    "money": MONEY,
    "rate": RATE,
}


def arrow_schema(table: KpiTable) -> pa.Schema:
    """Return the schema of a KPI table by a contract of language 1: KPIs are never null."""
    kinds = {**table.attributes, **table.completeness}
    return pa.schema(
        [
            pa.field(name, _KINDS[kind], nullable=name in table.completeness)
            for name, kind in kinds.items()
        ]
    )
