"""UUIDs in Parquet: 16 bytes as we compute with them, stored under their name for all others.

Arrow computes nothing with its type `arrow.uuid`, but writes it with Parquet's annotation UUID, by
which other engines show the texts.
"""

from __future__ import annotations

import pyarrow as pa

from kpi.uuids import UUID


def stored_schema(schema: pa.Schema) -> pa.Schema:
    """As it stands in the object, where others find UUIDs under their name."""
    for number, field in enumerate(schema):
        if field.type == UUID:
            schema = schema.set(number, field.with_type(pa.uuid()))
    return schema


def stored(rows: pa.Table) -> pa.Table:
    """Rows of `stored_schema`."""
    schema = stored_schema(rows.schema)
    if schema == rows.schema:
        return rows
    columns = [
        pa.chunked_array(
            [pa.ExtensionArray.from_storage(kind, chunk) for chunk in column.chunks], kind
        )
        if kind == pa.uuid()
        else column
        for kind, column in zip(schema.types, rows.columns, strict=True)
    ]
    return pa.table(columns, schema=schema)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of which `stored_schema` is this."""
    for number, field in enumerate(schema):
        if field.type == pa.uuid():
            schema = schema.set(number, field.with_type(UUID))
    return schema


def plain(rows: pa.Table) -> pa.Table:
    """The rows of which `stored` are these."""
    schema = plain_schema(rows.schema)
    if schema == rows.schema:
        return rows
    columns = [
        pa.chunked_array([chunk.storage for chunk in column.chunks], UUID)
        if column.type == pa.uuid()
        else column
        for column in rows.columns
    ]
    return pa.table(columns, schema=schema)
