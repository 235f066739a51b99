"""Rewrite the objects of one upload without a customer, under keys of their own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from kpi.contract.model import Contract
from kpi.contract.receipt_notes import Note
from kpi.erasure.places import places_of
from kpi.erasure.rejects import erase_texts, mentions
from kpi.erasure.rows import Places, Subjects, erase_rows
from worker.clean import Workspace, key_in_generation
from worker.clean.corrections import read_corrections, texts_of, write_to
from worker.clean.reader import CleanObject
from worker.clean.writer import ParquetStream, parquet_stream
from worker.objects.corrections import Corrections
from worker.state import Entry
from worker.state.entry import FeedCounts, Part, Repair


@dataclass(kw_only=True)
class Rewriter:
    """Rewrites objects.

    Attributes:
        workspace: Holds the objects; new ones get the keys of its generation.
        subjects: Who is erased.
        contracts: Digest -> contract of rows.
    """

    workspace: Workspace
    subjects: Subjects
    contracts: Mapping[str, Contract]
    _deleted: Counter[str] = field(default_factory=Counter)
    _notes: Counter[str] = field(default_factory=Counter)

    async def rewrite(self, entry: Entry) -> Entry | None:
        """Return an entry with objects that lack the customer; None where none of its have them.

        Raises:
            SourceError: An object cannot be read.
            StoreError: One cannot be written.
        """
        self._deleted, self._notes = Counter(), Counter()
        contract = self.contracts.get(entry.contract)
        parts = [
            await self._part(part, part.dataset or entry.dataset, contract) for part in entry.parts
        ]
        delimiter = "," if contract is None else contract.delimiter
        rejects = [await self._rejects(key, delimiter) for key in entry.rejects]
        repair = await self._repair(entry.repair, delimiter)
        if not self._notes:
            return None
        return _counted(
            replace(
                entry,
                parts=tuple(part for part in parts if part is not None),
                rejects=tuple(rejects),
                repair=repair,
                notes=dict(Counter(entry.notes) + self._notes),
            ),
            self._deleted,
        )

    async def _part(self, part: Part, dataset: str, contract: Contract | None) -> Part | None:
        file = CleanObject(self.workspace.store, self.workspace.stored(part.key))
        schema = await file.schema()
        places = places_of(dataset, schema.names, contract)
        groups = range((await file.footer()).num_row_groups)
        if not places.read or not await self._is_marked(file, groups, places):
            return part
        key = key_in_generation(part.key, self.workspace.generation)
        rows = 0
        async with AsyncExitStack() as stack:
            stream: ParquetStream | None = None
            for group in groups:
                table = await file.read([group], schema.names)
                erased = await asyncio.to_thread(erase_rows, table, places, self.subjects)
                self._deleted[dataset] += erased.deleted
                self._notes += Counter(
                    {
                        str(Note.PSEUDONYMISED): erased.pseudonymised,
                        str(Note.ERASED): erased.deleted,
                    }
                )
                if not erased.table.num_rows:
                    continue
                if stream is None:
                    stream = await stack.enter_async_context(
                        parquet_stream(
                            self.workspace.store,
                            self.workspace.absolute(key),
                            schema,
                            [one for one in part.ranges if one not in places.customers],
                        )
                    )
                rows += erased.table.num_rows
                await stream.write(erased.table)
        if stream is None:
            return None
        return replace(
            part,
            key=key,
            rows=rows,
            size_bytes=stream.size_bytes,
            ranges=stream.ranges(),
            ascending=part.ascending and not set(places.customers) & set(part.ranges),
        )

    async def _is_marked(self, file: CleanObject, groups: Sequence[int], places: Places) -> bool:
        """Return whether a row of a clean object is the customer's."""
        for group in groups:
            table = await file.read([group], places.read)
            marks = await asyncio.to_thread(self.subjects.marks, table, places)
            if marks.any:
                return True
        return False

    async def _repair(self, repair: Repair | None, delimiter: str) -> Repair | None:
        """Leave out the corrections that have the customer: later validations find none there."""
        if repair is None:
            return None
        corrections = await read_corrections(repair, self.workspace)
        texts = [pa.chunked_array([pa.array(one, pa.binary())]) for one in texts_of(corrections)]
        marked = np.zeros(len(corrections.records), bool)
        for text in texts:
            marked |= await asyncio.to_thread(mentions, text, self.subjects, delimiter)
        if not marked.any():
            return repair
        self._notes[str(Note.ERASED_REJECTS)] += int(marked.sum())
        kept = [one for one, out in zip(corrections.records, marked, strict=True) if not out]
        left = Corrections.of(kept)
        key = key_in_generation(repair.key, self.workspace.generation)
        await write_to(key, left, self.workspace)
        return replace(repair, key=key, digest=left.digest)

    async def _rejects(self, key: str, delimiter: str) -> str:
        file = CleanObject(self.workspace.store, self.workspace.stored(key))
        groups = range((await file.footer()).num_row_groups)
        for group in groups:
            table = await file.read([group], ["raw"])
            raws = table.column("raw")
            if (await asyncio.to_thread(mentions, raws, self.subjects, delimiter)).any():
                break
        else:
            return key
        new = key_in_generation(key, self.workspace.generation)
        schema = await file.schema()
        async with parquet_stream(
            self.workspace.store, self.workspace.absolute(new), schema
        ) as stream:
            for group in groups:
                table = await file.read([group], schema.names)
                texts, erased = await asyncio.to_thread(
                    erase_texts, table, self.subjects, delimiter
                )
                self._notes[str(Note.ERASED_REJECTS)] += erased
                await stream.write(_typed(texts, schema))
        return new


def _typed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table.select(schema.names).cast(schema)


def _counted(entry: Entry, deleted: Counter[str]) -> Entry:
    """Count the deleted rows as passed over."""
    if not entry.feeds:
        rows = sum(deleted.values())
        return replace(
            entry,
            rows_clean=entry.rows_clean - rows,
            rows_passed_over=entry.rows_passed_over + rows,
        )
    # A row may be one of several datasets: it is passed over where it is none of any.
    rows = min(max(deleted.values(), default=0), entry.rows_clean)
    return replace(
        entry,
        rows_clean=entry.rows_clean - rows,
        rows_passed_over=entry.rows_passed_over + rows,
        feeds={name: _feed(counts, deleted[name]) for name, counts in entry.feeds.items()},
    )


def _feed(counts: FeedCounts, deleted: int) -> FeedCounts:
    return replace(counts, clean=counts.clean - deleted, passed_over=counts.passed_over + deleted)
