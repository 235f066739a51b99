"""UUIDs in Parquet: 16 bytes as we compute with them, stored under their name for all others.

Arrow computes nothing with its type `arrow.uuid`, but writes it with Parquet's annotation UUID, by
which other engines show the texts.
"""

from __future__ import annotations

import pyarrow as pa

from kpi.kernels.uuids import UUID


def stored_schema(schema: pa.Schema) -> pa.Schema:
    """As it stands in the object, where others find UUIDs under their name.

    Casting to it, and from it, copies nothing.
    """
    return _replaced(schema, UUID, pa.uuid())


def plain_schema(stored: pa.Schema) -> pa.Schema:
    """The schema of which `stored_schema` is this."""
    return _replaced(stored, pa.uuid(), UUID)


def _replaced(schema: pa.Schema, old: pa.DataType, new: pa.DataType) -> pa.Schema:
    return pa.schema([field.with_type(new) if field.type == old else field for field in schema])
