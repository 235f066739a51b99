"""Samples of the files below some inputs."""

from __future__ import annotations

import asyncio
import re
import zipfile
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from itertools import chain, islice

import orjson
import pyarrow as pa

from kpi.contract.folding import fold
from kpi.contract.shop import COMPRESSED, FilePattern
from kpi.inference.headers import meaning_of
from kpi.inference.samples import TableSample
from kpi.inference.text_files import SAMPLE_ROWS, sample_records, sample_text
from kpi.json.framing import NotRecordsError, looks_like_json, make_framer
from kpi.mapping.typed_cells import flat_columns, text_of_cell, texts_of
from worker.errors import ConfigError
from worker.infer.json_sample import sample_objects, shape_of
from worker.infer.whole_files import BLOCK_BYTES, JsonRows, Look, TextRows, as_texts, look_through
from worker.objects import ObjectInfo, ObjectStore
from worker.objects.location import Location
from worker.validate.block import Block
from worker.validate.codecs import PARQUET, ZIP
from worker.validate.discovery import ARCHIVED
from worker.validate.formats.archive import Archive
from worker.validate.formats.error_cells import is_error
from worker.validate.formats.parquet_records import read_parquet_batches
from worker.validate.formats.ranged_file import RangedFile
from worker.validate.formats.workbook_records import Sheet, is_workbook, read_sheets
from worker.validate.input_names import is_ignored
from worker.validate.stream import BlockSizes, SourceStream
from worker.validate.verdict import ForeignFormat, Unreadable

SAMPLE_BYTES = 32 * 2**20
"""Text of one file that is read for a sample."""

MAX_INFLATION = 1100

MIN_TABLE_COLUMNS = 3
"""Columns of a header that tells a table."""

MAX_FILES = 200
"""Files that are looked at: a folder of a year's days has more, all alike."""


async def read_samples(inputs: Sequence[tuple[ObjectStore, Location]]) -> list[TableSample]:
    """Read samples of the files below some places; those of one layout become one.

    Raises:
        ConfigError: There is nothing to read.
        SourceError: A file cannot be read.
    """
    found: list[TableSample] = []
    for store, location in inputs:
        listed = [info async for info in store.list(location.key)]
        names = {
            info.key[len(location.key) :].lstrip("/") or info.key.rpartition("/")[2]: info
            for info in listed
        }
        usable = {
            name: info
            for name, info in sorted(names.items())
            if not is_ignored(name) and not ARCHIVED.search(name)
        }
        if not usable:
            raise ConfigError("nothing is there", url=location.url)
        for name, info in list(usable.items())[:MAX_FILES]:
            found += await _samples_of(store, info, name)
    return merge(found)


async def _samples_of(store: ObjectStore, info: ObjectInfo, name: str) -> list[TableSample]:
    """Read the samples of one file: of a workbook or an archive there are several."""
    match = COMPRESSED.sub("", name.rpartition("/")[2])

    def blocks() -> AsyncGenerator[Block, None]:
        return _blocks_of(store, info)

    try:
        return await _samples_of_text(name, match, blocks)
    except ForeignFormat as foreign:
        if foreign.is_compressed or foreign.format not in (ZIP, PARQUET):
            raise ConfigError(f"{name} cannot be read: {foreign}", url=info.url) from foreign
        is_parquet = foreign.format == PARQUET
    except Unreadable as error:
        raise ConfigError(f"{name} cannot be read: {error}", url=info.url) from error
    try:
        return await _samples_of_container(store, info, name, match, is_parquet=is_parquet)
    except Unreadable as error:
        raise ConfigError(f"{name} cannot be read: {error}", url=info.url) from error


async def _blocks_of(store: ObjectStore, info: ObjectInfo) -> AsyncGenerator[Block, None]:
    """Read the text of a file."""
    sizes = BlockSizes(block_bytes=BLOCK_BYTES, overlap_bytes=0)
    async with (
        SourceStream(store, info, max_inflation=MAX_INFLATION, block_sizes=sizes) as stream,
        aclosing(stream.blocks()) as blocks,
    ):
        async for block in blocks:
            yield block


async def _samples_of_text(
    name: str, match: str, blocks: Callable[[], AsyncGenerator[Block, None]]
) -> list[TableSample]:
    """Read the sample of a text, and look through its rows where it is longer."""
    head, whole = await _head(blocks())
    if looks_like_json(head):
        return await _samples_of_json(name, match, head, blocks, whole=whole)
    sample = sample_text(name, match, head, whole=whole)
    if sample is None:
        return []
    if not sample.whole:
        sample = await look_through(sample, blocks(), TextRows(sample))
    return [sample]


async def _head(blocks: AsyncGenerator[Block, None]) -> tuple[bytes, bool]:
    """Read the beginning of a text, and tell whether it is all of it."""
    head = b""
    async with aclosing(blocks):
        async for block in blocks:
            head += bytes(block.new)
            if len(head) >= SAMPLE_BYTES:
                return head, False
    return head, True


async def _samples_of_json(
    name: str,
    match: str,
    head: bytes,
    blocks: Callable[[], AsyncGenerator[Block, None]],
    *,
    whole: bool,
) -> list[TableSample]:
    """Take the paths of the objects for columns, and the elements of a list for rows."""
    try:
        framer = make_framer(head, max_record_bytes=len(head) + 1)
        texts = framer.push(head, last=whole).texts
        objects = [orjson.loads(text) for text in texts[:SAMPLE_ROWS]]
    except (NotRecordsError, orjson.JSONDecodeError) as error:
        raise ConfigError(f"{name} is no JSON that can be read: {error}") from error
    is_whole = whole and len(texts) <= SAMPLE_ROWS
    sample = sample_objects(name, match, objects, whole=is_whole, max_rows=SAMPLE_ROWS)
    if sample is None:
        return []
    if not sample.whole:
        rows = JsonRows(head, shape_of(objects, sample))
        sample = await look_through(sample, blocks(), rows)
    return [sample]


async def _samples_of_container(
    store: ObjectStore, info: ObjectInfo, name: str, match: str, *, is_parquet: bool
) -> list[TableSample]:
    """Read the samples of a Parquet file, a workbook or a ZIP archive."""
    raw = RangedFile(store, info, asyncio.get_running_loop())
    with ThreadPoolExecutor(1, thread_name_prefix="sample") as thread:
        if is_parquet:
            loop = asyncio.get_running_loop()
            return [await loop.run_in_executor(thread, _sample_of_parquet, name, match, raw)]
        archive = Archive(raw, thread, MAX_INFLATION)
        await archive.open()
        if is_workbook(archive.file.namelist()):
            return await archive.call(lambda: _samples_of_sheets(archive.file, name, match))
        found = []
        for member in archive.names[:MAX_FILES]:
            # A pattern without `/` is compared with the name of the member.
            inner = member.rpartition("/")[2]
            blocks = partial(archive.blocks, member)
            found += await _samples_of_text(f"{name}/{member}", inner, blocks)
        return found


def _samples_of_sheets(archive: zipfile.ZipFile, name: str, match: str) -> list[TableSample]:
    found = [(sheet.name, _sample_of_sheet(sheet, name)) for sheet in read_sheets(archive)]
    is_only = len(found) == 1
    return [replace(one, match=match if is_only else f"{match}/{sheet}") for sheet, one in found]


def _sample_of_sheet(sheet: Sheet, name: str) -> TableSample:
    rows = chain(sheet.head, sheet.rest)
    first = _texts_of_rows(islice(rows, SAMPLE_ROWS))
    width = max(map(len, first), default=0)
    padded = [row + [""] * (width - len(row)) for row in first]
    sample = sample_records(
        f"{name}/{sheet.name}",
        sheet.name,
        [row for row in padded if any(row)],
        {},
        whole=len(first) < SAMPLE_ROWS,
    )
    if sample.whole:
        return sample
    look = Look.behind(sample)
    width = len(sample.headers)
    while part := _texts_of_rows(islice(rows, SAMPLE_ROWS)):
        full = [[*row[:width], *[""] * (width - len(row))] for row in part if any(row)]
        if full:
            look.see_all([[pa.array(one, pa.string()) for one in zip(*full, strict=True)]])
    return look.sample()


def _texts_of_rows(rows: Iterable[Sequence[object]]) -> list[list[str]]:
    # The run rejects errors; what is between them tells what a column is.
    texts = ([text_of_cell(cell) or "" for cell in row] for row in rows)
    return [["" if is_error(text) else text for text in row] for row in texts]


def _sample_of_parquet(name: str, match: str, raw: RangedFile) -> TableSample:
    batches = read_parquet_batches(raw, SAMPLE_ROWS)
    table = next(batches)
    columns = dict(flat_columns(table))
    cells = [tuple(as_texts(texts_of(column)).to_pylist()) for column in columns.values()]
    sample = TableSample(
        name=name,
        match=match,
        headers=tuple(columns),
        columns=tuple(cells),
        whole=table.num_rows < SAMPLE_ROWS,
        rows_total=table.num_rows,
    )
    look: Look | None = None
    for batch in batches:
        look = look or Look.behind(sample)
        look.see_all([[as_texts(texts_of(one)) for _, one in flat_columns(batch)]])
    return replace(sample, whole=True) if look is None else look.sample()


def merge(samples: Sequence[TableSample]) -> list[TableSample]:
    """Put the samples of one layout together, and give each layout a pattern of its own."""
    groups: dict[object, list[TableSample]] = {}
    for sample in samples:
        layout = (
            tuple(map(fold, sample.headers)),
            sample.has_headers,
            tuple(sorted((name, str(word)) for name, word in sample.words.items())),
            _pattern(sample.match),
        )
        groups.setdefault(layout, []).append(sample)
    patterned = [_with_pattern(_merged(group), samples) for group in groups.values()]
    same: dict[object, list[TableSample]] = {}
    for one in patterned:
        same.setdefault(_table_key(one), []).append(one)
    return [_merged(group) for group in same.values()]


def _table_key(sample: TableSample) -> object:
    """Tell which files are of one table whatever their names: those of one header with orders.

    Tables of names, such as `id, name`, have one header and are of several tables.
    """
    headers = tuple(map(fold, sample.headers))
    is_of_orders = any("order" in meaning_of(one) for one in sample.headers)
    if not (sample.has_headers and is_of_orders and len(headers) >= MIN_TABLE_COLUMNS):
        return sample.match
    words = tuple(sorted((name, str(word)) for name, word in sample.words.items()))
    return headers, words


def _merged(group: Sequence[TableSample]) -> TableSample:
    first = group[0]
    if len(group) == 1:
        return first
    columns = [sum((one.columns[at] for one in group), ()) for at in range(len(first.headers))]
    rows = SAMPLE_ROWS * 4
    return replace(
        first,
        name=first.name,
        columns=tuple(one[:rows] for one in columns),
        whole=all(one.whole for one in group),
        rows_total=sum(one.rows_total for one in group),
        also=tuple(one.match for one in group if one.match != first.match),
        parts=tuple(part for one in group for part in one.parts or ((one.name, one.rows),)),
        repeated=frozenset().union(*(one.repeated for one in group)),
        misfits=sum(one.misfits for one in group),
        only=next((one.only for one in group if one.only), {}),
    )


def _pattern(match: str) -> str:
    """Write numbers of a name as `*`: dates and counters differ from file to file."""
    stem, dot, ending = match.rpartition(".")
    return re.sub(r"[\d]+([-_. ]?\d+)*", "*", stem or ending) + (dot + ending if stem else "")


def _with_pattern(sample: TableSample, samples: Sequence[TableSample]) -> TableSample:
    """Widen the pattern of a layout to further files.

    It may take files of another layout only where the pattern of these says more of a name: the
    contract has that one first.
    """
    own = {name for name, _ in sample.parts} or {sample.name}
    text = _pattern(sample.match)
    if text == sample.match:
        return sample
    pattern = FilePattern(text=text)
    taken = [one for one in samples if one.name not in own and pattern.match(one.name) is not None]
    if len(own) > 1 or all(len(_pattern(one.match)) > len(text) for one in taken):
        also = tuple(one for one in sample.also if pattern.match(one) is None)
        return replace(sample, match=text, also=also)
    return sample
