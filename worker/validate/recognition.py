"""Recognise the built-in layout of files by their headers, before a contract is in force."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass

import orjson

from kpi.contract.file_entries import DELIMITERS
from kpi.contract.folding import fold
from kpi.contract.layouts import BuiltInLayout, built_in_layouts, describe_left_out
from kpi.contract.model import Contract
from kpi.contract.shop import AS_WRITTEN, FileLayout, ShopColumn
from kpi.errors import KpiError
from kpi.inference.dates import moved_by_offset
from kpi.json.columns import SamplePaths
from kpi.json.framing import looks_like_json, make_framer
from kpi.mapping.sample_values import reads_values
from worker.errors import ConfigError, SourceError
from worker.objects.source import Source
from worker.runtime.concurrency import each
from worker.runtime.memory_budget import MIB
from worker.validate.codecs import PARQUET
from worker.validate.formats.archive import Archive
from worker.validate.formats.parquet_records import parquet_headers
from worker.validate.formats.ranged_file import RangedFile
from worker.validate.formats.text_file import TextFile
from worker.validate.formats.workbook_records import is_workbook, read_sheets
from worker.validate.placed_files import CONCURRENT_LOOKS, first_of_folders
from worker.validate.stream import BlockSizes, SourceStream
from worker.validate.verdict import ForeignFormat, Unreadable

SAMPLE_BYTES = 2**18
"""Text of a file in which its header and some values are looked for."""

MEMBERS_LOOKED_AT = 20
"""Files of an archive whose headers are read."""

FIRST_RECORDS = 4
"""Records that may be the header: blank ones and titles may come first."""

VALUES_LOOKED_AT = 1_000
MAX_NAMED = 5

MAX_INFLATION = 1_100


@dataclass(frozen=True, kw_only=True)
class Table:
    """Beginning of a file in one way of reading it.

    Attributes:
        header: Its columns.
        rows: Cells of the first rows.
        is_quoted: Whether quotes were more than plain characters; None where there are none.
    """

    header: tuple[str, ...]
    rows: list[list[str]]
    is_quoted: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """A layout that was recognised.

    Attributes:
        layout: The layout.
        contract: Its contract, with the currency of the files.
        files: URLs of the files that have it.
        others: URLs of the files looked at that have none.
        excluded: Rows among those looked at that the contract leaves out as no sale.
        moved: Share of the times looked at whose date in UTC is another than as written, where the
            contract takes days as written.
    """

    layout: BuiltInLayout
    contract: Contract
    files: tuple[str, ...]
    others: tuple[str, ...]
    excluded: int = 0
    moved: float = 0.0

    @property
    def choices(self) -> list[str]:
        """Say what of these files somebody else may count otherwise."""
        chosen = []
        if self.excluded:
            chosen.append(f"{self.excluded} of the first rows are left out as no sale")
        if self.moved:
            chosen.append(
                f"days are as written: by UTC, {self.moved:.0%} of the times have another date"
            )
        return chosen

    @property
    def left_out(self) -> list[str]:
        """Name what the contract leaves out of the numbers."""
        shop = self.contract.shop
        return [] if shop is None else describe_left_out(shop)


async def recognise_sources(sources: Sequence[Source]) -> Recognised | None:
    """Recognise the layout of some files; None where no file has one.

    Raises:
        ConfigError: They have several, or cannot be told apart; nothing is guessed.
    """
    looked_at = first_of_folders(sources)
    tables: dict[str, list[Table]] = {}

    async def look(source: Source) -> None:
        tables[source.info.url] = await read_tables(source)

    await each(looked_at, look, CONCURRENT_LOOKS)
    found = {url: _layouts_of(some) for url, some in sorted(tables.items())}
    known = {url: layouts for url, layouts in found.items() if layouts}
    if not known:
        return None
    shared = [
        layout
        for layout in next(iter(known.values()))
        if all(layout in one for one in known.values())
    ]
    if len(shared) != 1:
        raise _unclear(known, shared)
    (layout,) = shared
    return Recognised(
        layout=layout,
        contract=_with_currency(layout, [tables[url] for url in known]),
        files=tuple(known),
        others=tuple(url for url in found if url not in known),
        excluded=_excluded(layout, [tables[url] for url in known]),
        moved=_moved(layout, [tables[url] for url in known]),
    )


def _layouts_of(tables: Sequence[Table]) -> list[BuiltInLayout]:
    """Find the layouts whose header a file has, less those whose forms its values do not have."""
    found = {layout.key: layout for layout in built_in_layouts() if list(_entries(layout, tables))}
    if len(found) < 2:
        return list(found.values())
    reading = [
        layout
        for layout in found.values()
        if any(
            reads_values(layout.shop, entry, table.header, table.rows)
            for entry, table in _entries(layout, tables)
        )
    ]
    return reading or list(found.values())


def _entries(layout: BuiltInLayout, tables: Sequence[Table]) -> Iterator[tuple[FileLayout, Table]]:
    """Yield the entries that take a file, each with the way of reading that it asks for."""
    for table in tables:
        for entry in layout.entries_of(table.header):
            if table.is_quoted is None or table.is_quoted == bool(entry.quote):
                yield entry, table


def _unclear(known: dict[str, list[BuiltInLayout]], shared: Sequence[BuiltInLayout]) -> ConfigError:
    if shared:
        names = " or ".join(layout.key for layout in shared)
        return ConfigError(
            "the header is that of several layouts, and they cannot be told apart",
            url=next(iter(known)),
            expected="--contract with the one that it is",
            actual=", ".join(layout.title for layout in shared),
            hint=f"name it: --contract {names}",
        )
    named = [
        f"{url}: {' or '.join(layout.title for layout in layouts)}"
        for url, layouts in list(known.items())[:MAX_NAMED]
    ]
    return ConfigError(
        "the files have the layouts of several systems, which no one contract reads",
        expected="files of one layout",
        actual="; ".join(named),
        hint="run each with a --workspace of its own, or write a contract with an entry for each",
    )


def _with_currency(layout: BuiltInLayout, files: Sequence[Sequence[Table]]) -> Contract:
    """Take the currency of the files, where they say one.

    Raises:
        ConfigError: They say several.
    """
    headers = set(map(fold, layout.currency_headers))
    currencies = {
        row[at].strip().upper()
        for tables in files
        for _, table in _entries(layout, tables)
        for at, header in enumerate(table.header)
        if fold(header) in headers
        for row in table.rows
        if at < len(row) and row[at].strip()
    }
    if len(currencies) > 1:
        raise ConfigError(
            f"the files have the layout {layout.title!r}, with amounts in several currencies",
            expected="a contract that says the currency of the KPIs",
            actual=", ".join(sorted(currencies)[:MAX_NAMED]),
            hint=f"write it with `shopkpi contract show {layout.key} > shop.toml`, set `currency`, "
            "and name it with --contract shop.toml",
        )
    return layout.with_currency(currencies.pop()) if currencies else layout.contract


def _moved(layout: BuiltInLayout, files: Sequence[Sequence[Table]]) -> float:
    """Give the share of orders' times whose date in UTC is another than as written."""
    if layout.shop.day != AS_WRITTEN:
        return 0.0
    column = layout.shop.datasets["orders"].columns["created_at"]
    return moved_by_offset(
        cells.get("created_at", "")
        for tables in files
        for _, table in _entries(layout, tables)
        for cells in _rows(table, {"created_at": column})
    )


def _excluded(layout: BuiltInLayout, files: Sequence[Sequence[Table]]) -> int:
    """Count the rows that the contract leaves out as no sale."""
    return sum(
        any(
            all(name in cells and one.match(cells[name]) for name, one in condition.items())
            for condition in dataset.excluded
        )
        for tables in files
        for entry, table in _entries(layout, tables)
        for name in entry.feeds
        if (dataset := layout.shop.all_datasets[name]).excluded
        for cells in _rows(table, dataset.columns)
    )


def _rows(table: Table, columns: Mapping[str, ShopColumn]) -> Iterator[dict[str, str]]:
    """Yield the cells of each row by the contract's names of their columns."""
    places = {fold(header): at for at, header in enumerate(table.header)}
    named = {
        name: places[fold(header)]
        for name, column in columns.items()
        for header in column.headers[:1]
        if fold(header) in places
    }
    for row in table.rows:
        yield {name: row[at] if at < len(row) else "" for name, at in named.items()}


async def read_tables(source: Source) -> list[Table]:
    """Read the beginning of a file in each way that it may be read; none where it cannot be."""
    try:
        return await _tables(source)
    except (SourceError, Unreadable, KpiError):
        return []


async def _tables(source: Source) -> list[Table]:
    sizes = BlockSizes(block_bytes=SAMPLE_BYTES, overlap_bytes=0)
    async with SourceStream(
        source.store, source.info, max_inflation=MAX_INFLATION, block_sizes=sizes
    ) as stream:
        blocks = stream.blocks()
        async with aclosing(blocks):
            try:
                text = await TextFile.open(blocks, SAMPLE_BYTES)
            except ForeignFormat as foreign:
                if foreign.is_compressed:
                    return []
                return await _tables_of_container(source, is_parquet=foreign.format == PARQUET)
            return tables_of_text((await text.head(None, ""))[:SAMPLE_BYTES])


async def _tables_of_container(source: Source, *, is_parquet: bool) -> list[Table]:
    raw = RangedFile(source.store, source.info, asyncio.get_running_loop())
    with ThreadPoolExecutor(1, thread_name_prefix="recognise") as thread:
        if is_parquet:
            loop = asyncio.get_running_loop()
            headers = await loop.run_in_executor(thread, parquet_headers, raw)
            return [Table(header=tuple(headers), rows=[])]
        archive = Archive(raw, thread, MAX_INFLATION)
        await archive.open()
        if is_workbook(archive.file.namelist()):
            sheets = await archive.call(lambda: list(read_sheets(archive.file)))
            return [
                table
                for sheet in sheets
                for table in _tables_of_rows(
                    [["" if one is None else str(one) for one in row] for row in sheet.head]
                )
            ]
        found = []
        for name in archive.names[:MEMBERS_LOOKED_AT]:
            async with aclosing(archive.blocks(name)) as blocks:
                text = await TextFile.open(blocks, SAMPLE_BYTES)
                found += tables_of_text((await text.head(None, ""))[:SAMPLE_BYTES])
        return found


def tables_of_text(head: bytes) -> list[Table]:
    """Read the beginning of a text as JSON, else as CSV with each delimiter."""
    if looks_like_json(head):
        return _tables_of_json(head)
    text = head.decode("utf-8", "replace")
    found = []
    csv.field_size_limit(2**31 - 1)
    for delimiter in DELIMITERS:
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            rows: list[list[str]] = []
            lines = text.splitlines(keepends=True)
            try:
                for row in csv.reader(lines, delimiter=delimiter, quoting=quoting):
                    rows.append(row)
                    if len(rows) > VALUES_LOOKED_AT:
                        break
            except csv.Error:
                pass
            found += _tables_of_rows(rows, is_quoted=quoting == csv.QUOTE_MINIMAL)
    return found


def _tables_of_rows(rows: list[list[str]], is_quoted: bool | None = None) -> list[Table]:
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    return [
        Table(header=tuple(row), rows=filled[at + 1 :], is_quoted=is_quoted)
        for at, row in enumerate(filled[:FIRST_RECORDS])
        if len(row) > 1
    ]


def _tables_of_json(head: bytes) -> list[Table]:
    """Take the paths of the first objects for columns."""
    objects = []
    records = make_framer(head, max_record_bytes=16 * MIB).push(head)
    for text in records.texts[:VALUES_LOOKED_AT]:
        try:
            objects.append(orjson.loads(text))
        except orjson.JSONDecodeError:
            continue
    paths = SamplePaths(objects, ()).of_object.values()
    header = tuple(".".join(path) for path in paths)
    rows = [[_value(one, path) for path in paths] for one in objects]
    return [Table(header=header, rows=rows)]


def _value(value: object, path: Sequence[str]) -> str:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""
