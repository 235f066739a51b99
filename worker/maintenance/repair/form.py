"""Find the columns and the delimiter of a source object, which its rejects do not have."""

from __future__ import annotations

from contextlib import aclosing

from kpi.csv.header import Refusal
from kpi.mapping.headers import FileRefusedError
from worker.errors import ConfigError
from worker.maintenance.raw_objects import RawObjects
from worker.maintenance.repair.cells import JSON_FORM, Form
from worker.objects.source import Source
from worker.state import Entry
from worker.state.counted import CountedUploads
from worker.state.paging import records_in_pages
from worker.validate.context import ValidationContext
from worker.validate.formats import FormatContext
from worker.validate.formats.csv_records import CsvReader
from worker.validate.formats.json_records import JsonReader
from worker.validate.formats.opening import open_files
from worker.validate.source_validation import SourceValidation
from worker.validate.stream import SourceStream
from worker.validate.verdict import Unreadable


async def counting_entry(source_id: str, context: ValidationContext) -> Entry:
    """Return the entry that counts for a source object: of uploads of equal bytes the first.

    Raises:
        ConfigError: The ledger does not have it.
        StoreError: The ledger cannot be read, after retries.
    """
    entry = await context.find(source_id)
    if entry is None:
        raise ConfigError(
            "no source object in the ledger has this id",
            url=source_id,
            hint="is it the workspace that the sheet was written from?",
        )
    if entry.verdict == "refused":
        return entry
    counted = CountedUploads(context.contract.replaces_file)
    ledger, in_force = context.ledger, context.in_force
    async for page in records_in_pages(ledger, await ledger.head()):
        counted.add(page if in_force is None else in_force.select(page))
    runs = counted.runs([source_id])
    first = await context.find(runs[0][0].source_id) if runs else None
    return entry if first is None else first


async def find_source(entry: Entry, raw: RawObjects) -> Source:
    """Find the raw object of an entry.

    Raises:
        ConfigError: It is gone, or has other bytes by now.
        SourceError: It cannot be read.
    """
    source = await raw.find(entry)
    if source is None:
        raise ConfigError(
            "its raw file is gone or has changed, and rejects are repaired in the raw file's form",
            url=entry.url,
            hint="say with --raw where it was moved to",
        )
    return source


async def read_form(source: Source, context: ValidationContext) -> Form:
    """Read how the records of a source object are written.

    Raises:
        ConfigError: It is of a format whose rows cannot be repaired.
        SourceError: It cannot be read.
    """
    contract = context.contract
    try:
        async with SourceStream(
            source.store, source.info, max_inflation=contract.max_inflation
        ) as stream:
            if contract.shop is None:
                layout = await SourceValidation(source, context, stream, None).read_layout()
                if isinstance(layout, Refusal):
                    raise _not_repairable(source, layout.reason)
                return Form(headers=layout.headers, delimiter=contract.delimiter)
            formats = FormatContext(
                shop=contract.shop,
                max_record_bytes=contract.max_record_bytes,
                max_columns=contract.max_columns,
                max_inflation=contract.max_inflation,
            )
            files = open_files(source, stream, formats, context.executor)
            async with aclosing(files):
                async for file in files:
                    reader = file.opened.reader
                    if file.name is None and isinstance(reader, CsvReader):
                        return Form(
                            headers=reader.headers, delimiter=reader.delimiter, quote=reader.quote
                        )
                    if file.name is None and isinstance(reader, JsonReader):
                        return JSON_FORM
                    break
    except (FileRefusedError, Unreadable) as error:
        raise _not_repairable(source, str(error)) from error
    raise _not_repairable(source, "expected CSV or JSON, got an archive, a workbook or Parquet")


def _not_repairable(source: Source, problem: str) -> ConfigError:
    return ConfigError(
        f"its rows cannot be repaired one by one: {problem}",
        url=source.info.url,
        hint="correct the file itself and upload it again",
    )
