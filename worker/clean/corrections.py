"""Keep the corrections of a source object in the workspace, beside its rejects."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.clean.reader import CleanObject
from worker.clean.writer import parquet_stream
from worker.objects.corrections import Correction, Corrections
from worker.objects.source import Source
from worker.state import Entry
from worker.state.entry import Repair

CORRECTIONS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("byte_offset", pa.int64(), nullable=False),
        pa.field("raw", pa.binary(), nullable=False),
        pa.field("corrected", pa.binary(), nullable=False),
    ]
)
"""One row per corrected record; see `Correction`."""

PIECE = "-corrections"


async def write_corrections(source: Source, workspace: Workspace, contract: Contract) -> str:
    """Write the corrections of a source object, and return their key below the workspace.

    Raises:
        StoreError: They cannot be written.
    """
    assert source.corrections is not None  # noqa: S101  (whoever repairs has some)
    key = workspace.key("rejects", source, contract, PIECE)
    await write_to(key, source.corrections, workspace)
    return key


async def write_to(key: str, corrections: Corrections, workspace: Workspace) -> None:
    """Write corrections under a key below the workspace.

    Raises:
        StoreError: They cannot be written.
    """
    records = corrections.records
    columns = {name: [getattr(one, name) for one in records] for name in CORRECTIONS.names}
    absolute = workspace.absolute(key)
    async with parquet_stream(workspace.store, absolute, CORRECTIONS) as stream:
        await stream.write(pa.table(columns, schema=CORRECTIONS))


def texts_of(corrections: Corrections) -> tuple[list[bytes], list[bytes]]:
    """Return the records as they came, and as they were corrected."""
    records = corrections.records
    return [one.raw for one in records], [one.corrected for one in records]


async def read_corrections(repair: Repair, workspace: Workspace) -> Corrections:
    """Read the corrections of a repaired entry.

    Raises:
        SourceError: They are gone or damaged.
        StoreError: The store fails, after retries.
    """
    stored = CleanObject(workspace.store, workspace.stored(repair.key))
    groups = range((await stored.footer()).num_row_groups)
    table = await stored.read([*groups], CORRECTIONS.names)
    return Corrections.of(Correction(**row) for row in table.to_pylist())


async def corrected_source(source: Source, entry: Entry, workspace: Workspace) -> Source:
    """Return a source object with the corrections of its entry, if there are any.

    Raises:
        SourceError, StoreError: As `read_corrections`.
    """
    if entry.repair is None:
        return source
    return replace(source, corrections=await read_corrections(entry.repair, workspace))
