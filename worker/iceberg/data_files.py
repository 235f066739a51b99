"""Write the current rows of a span as one Parquet file, batch by batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

from kpi.kernels.uuids import UUID
from worker.clean.byte_sink import ByteSink
from worker.objects import ObjectStore

COMPRESSION = "zstd"

UUID_CHARACTERS = 36

_DIGITS_AT = [at for at in range(UUID_CHARACTERS) if at not in (8, 13, 18, 23)]

_HEXADECIMAL = np.frombuffer(b"0123456789abcdef", np.uint8)

ROW_GROUP_BYTES = 32 * 2**20
"""Arrow bytes that become one row group; of a few rows, reading many row groups takes longer."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A data file.

    Attributes:
        footer: Its Parquet footer.
        size_bytes: Its length.
    """

    footer: pq.FileMetaData
    size_bytes: int


def readable_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that every engine reads: a UUID is a text, a dictionary its values."""
    if pa.types.is_dictionary(kind):
        return readable_type(kind.value_type)
    if kind == UUID:
        return pa.string()
    if pa.types.is_map(kind):
        return pa.map_(readable_type(kind.key_type), readable_type(kind.item_type))
    return kind


def readable_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema of a table of clean rows, as others read it."""
    return pa.schema([pa.field(one.name, readable_type(one.type)) for one in schema])


def readable(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Convert clean rows to the types of a schema of `readable_schema`, with its field ids."""
    columns = []
    for field in schema:
        column = table.column(field.name)
        if column.type == UUID:
            column = _uuid_texts(column)
        columns.append(column.cast(field.type))
    return pa.table(columns, schema=schema)


async def write_data_file(
    store: ObjectStore, key: str, schema: pa.Schema, batches: AsyncIterator[pa.Table]
) -> Written | None:
    """Write a data file; None, and no file, where there is no row.

    Args:
        store: Where.
        key: Its key.
        schema: Of the rows, with field ids.
        batches: Clean rows.

    Raises:
        SourceError, StoreError: A retry may help.
    """
    first: pa.Table | None = None
    async for table in batches:
        if table.num_rows:
            first = table
            break
    if first is None:
        return None
    sink = ByteSink()
    async with store.create(key) as writer:
        # Encodings of the first version of the format: Iceberg's own reader knows no later ones.
        parquet = pq.ParquetWriter(
            pa.PythonFile(sink, mode="w"),
            schema,
            compression=COMPRESSION,
            store_schema=False,  # Arrow's own types say nothing to others
            store_decimal_as_integer=True,
        )
        held, held_bytes = [first], first.nbytes
        del first

        def encode(tables: list[pa.Table]) -> None:
            rows = pa.concat_tables([readable(one, schema) for one in tables])
            parquet.write_table(rows, max(rows.num_rows, 1))

        async for table in batches:
            if not table.num_rows:
                continue
            if held_bytes + table.nbytes > ROW_GROUP_BYTES:
                await asyncio.to_thread(encode, held)
                await writer.write(sink.take())
                held, held_bytes = [], 0
            held.append(table)
            held_bytes += table.nbytes
        await asyncio.to_thread(encode, held)
        await asyncio.to_thread(parquet.close)
        await writer.write(sink.take())
    return Written(footer=parquet.writer.metadata, size_bytes=sink.tell())


def data_file(written: Written, url: str, schema: Any, metadata: Any) -> Any:  # noqa: ANN401
    """Describe a data file for a manifest, with its row counts and bounds.

    Args:
        written: The file.
        url: Its URL.
        schema: Of the table, as pyiceberg has it.
        metadata: Of the table, as pyiceberg has it.
    """
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=written.footer,
        stats_columns=compute_statistics_plan(schema, metadata.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=url,
        file_format=FileFormat.PARQUET,
        partition=statistics.partition(metadata.spec(), schema),
        file_size_in_bytes=written.size_bytes,
        sort_order_id=None,
        spec_id=metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _uuid_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Format UUIDs of 16 bytes in lower case, with hyphens."""
    return pa.chunked_array([_texts_of(chunk) for chunk in column.chunks], pa.string())


def _texts_of(chunk: pa.Array) -> pa.Array:
    rows, buffer = len(chunk), chunk.buffers()[1]
    if not rows or buffer is None:
        return pa.nulls(rows, pa.string())
    values = np.frombuffer(buffer, np.uint8)[16 * chunk.offset :][: 16 * rows]
    texts = np.full((rows, UUID_CHARACTERS), ord("-"), np.uint8)
    texts[:, _DIGITS_AT] = _HEXADECIMAL[np.stack([values >> 4, values & 15], 1)].reshape(rows, 32)
    offsets = np.arange(rows + 1, dtype=np.int32) * UUID_CHARACTERS
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(texts)]
    found = pa.Array.from_buffers(pa.string(), rows, buffers)
    return pc.if_else(chunk.is_valid(), found, None) if chunk.null_count else found
