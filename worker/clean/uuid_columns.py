"""Convert between 16-byte UUID columns, as we compute with them, and Parquet's UUID type.

Arrow computes nothing with its type `arrow.uuid`. It writes that type with Parquet's annotation
UUID, so other engines show the texts.
"""

from __future__ import annotations

import pyarrow as pa

from kpi.kernels.uuids import UUID


def stored_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema of the object, with UUIDs under their logical type.

    Casting to it, and from it, copies nothing.
    """
    return _replace_type(schema, UUID, pa.uuid())


def plain_schema(stored: pa.Schema) -> pa.Schema:
    """Invert `stored_schema`."""
    return _replace_type(stored, pa.uuid(), UUID)


def _replace_type(schema: pa.Schema, old: pa.DataType, new: pa.DataType) -> pa.Schema:
    return pa.schema([field.with_type(new) if field.type == old else field for field in schema])
