"""Open the files of a source object: itself, members of an archive, sheets of a workbook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass

from kpi.contract.shop import Shop
from kpi.json.framing import looks_like_json
from kpi.mapping.headers import FileRefusedError
from worker.objects.source import Source
from worker.validate.codecs import PARQUET, ZIP
from worker.validate.formats import Candidate, FormatContext, Opened
from worker.validate.formats.archive import Archive
from worker.validate.formats.csv_records import open_csv
from worker.validate.formats.json_records import open_json
from worker.validate.formats.parquet_records import open_parquet
from worker.validate.formats.ranged_file import RangedFile
from worker.validate.formats.text_file import TextFile
from worker.validate.formats.workbook_records import (
    Sheet,
    has_columns,
    is_workbook,
    open_sheet,
    read_sheets,
)
from worker.validate.stream import SourceStream
from worker.validate.verdict import ForeignFormat, Unreadable

UNMATCHED = "expected a file that an entry of [[files]] matches, got one that none does"


@dataclass(frozen=True, kw_only=True)
class OpenedFile:
    """A file of a source object.

    Attributes:
        name: Of the member or sheet; None for the object itself.
        opened: Its entry and reader.
    """

    name: str | None
    opened: Opened


async def open_files(
    source: Source, stream: SourceStream, context: FormatContext, executor: Executor
) -> AsyncGenerator[OpenedFile, None]:
    """Yield the files of a source object; each is to be read before the next is asked for.

    Raises:
        FileRefusedError: The contract does not fit it.
        Unreadable: It is of a format that is not read, or damaged.
        SourceError: The object cannot be read.
    """
    key = source.info.key
    try:
        # Closed where the stream turns out to be no text.
        text = await TextFile.open(stream.blocks())
    except ForeignFormat as foreign:
        if foreign.is_compressed or foreign.format not in (ZIP, PARQUET):
            raise
        loop = asyncio.get_running_loop()
        raw = RangedFile(source.store, source.info, loop)
        if foreign.format == PARQUET:
            candidates = _candidates(context.shop, key)
            opened = await loop.run_in_executor(
                executor, open_parquet, candidates, context, raw, executor
            )
            yield OpenedFile(name=None, opened=opened)
            return
        archive = Archive(raw, executor, context.max_inflation)
        await archive.open()
        files = _sheets if is_workbook(archive.file.namelist()) else _members
        async with aclosing(files(key, archive, context)) as found:
            async for one in found:
                yield one
    else:
        if source.corrections is not None:
            text.correct(source.corrections, source.info.url)
        yield OpenedFile(
            name=None, opened=await _open_text(_candidates(context.shop, key), context, text)
        )


def _candidates(shop: Shop, *paths: str) -> list[Candidate]:
    """Find the entries that may take a file: by its path, else by that of its archive.

    Raises:
        FileRefusedError: There are none.
    """
    for path in paths:
        found = shop.layouts_of(path)
        if found:
            return [
                Candidate(layout=layout, names=names, number=shop.files.index(layout))
                for layout, names in found
            ]
    raise FileRefusedError(UNMATCHED)


async def _open_text(
    candidates: Sequence[Candidate], context: FormatContext, text: TextFile
) -> Opened:
    head = await text.head(None, "") if candidates[0].layout.encoding is None else b""
    if looks_like_json(head):
        return await open_json(candidates, context, text)
    for candidate in candidates:
        if candidate.layout.each:
            raise FileRefusedError("expected JSON, whose lists `each` names, got other text")
    return await open_csv(candidates, context, text)


async def _members(
    key: str, archive: Archive, context: FormatContext
) -> AsyncGenerator[OpenedFile, None]:
    if not archive.names:
        raise FileRefusedError("expected files in the archive, got none")
    for name in archive.names:
        try:
            candidates = _candidates(context.shop, f"{key}/{name}", key)
            async with aclosing(archive.blocks(name)) as blocks:
                text = await TextFile.open(blocks)
                opened = await _open_text(candidates, context, text)
                yield OpenedFile(name=name, opened=opened)
        except (FileRefusedError, Unreadable) as refused:
            raise FileRefusedError(f"{name!r}: {refused}") from refused


async def _sheets(
    key: str, archive: Archive, context: FormatContext
) -> AsyncGenerator[OpenedFile, None]:
    sheets = await archive.call(lambda: list(read_sheets(archive.file)))
    if not sheets:
        raise FileRefusedError("expected a sheet with cells, got none")
    named = [
        (sheet, found)
        for sheet in sheets
        if (
            found := [
                one
                for one in context.shop.layouts_of(f"{key}/{sheet.name}")
                if "/" in one[0].match.text
            ]
        )
    ]
    if named:
        for sheet, _ in named:
            candidates = _candidates(context.shop, f"{key}/{sheet.name}")
            yield OpenedFile(name=sheet.name, opened=open_sheet(sheet, candidates, context))
        return
    candidates = _candidates(context.shop, key)
    sheet = _only_sheet(sheets, candidates, context)
    yield OpenedFile(name=sheet.name, opened=open_sheet(sheet, candidates, context))


def _only_sheet(
    sheets: Sequence[Sheet], candidates: Sequence[Candidate], context: FormatContext
) -> Sheet:
    """Choose the sheet that has the columns, where the contract names none."""
    if len(sheets) == 1:
        return sheets[0]
    fitting = [
        sheet
        for sheet in sheets
        if any(has_columns(sheet, one.layout, context) for one in candidates)
    ]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(repr(sheet.name) for sheet in (fitting or sheets)[:10])
    raise FileRefusedError(
        f"expected one sheet with the columns, got {len(fitting)} of {len(sheets)}; name it: "
        f'match = "NAME.xlsx/SHEET" with one of {names}'
    )
