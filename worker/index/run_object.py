"""The form of a run: for each table its pointers, then a fence for each block of them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from kpi.index.pointers import POINTER, Pointers, find_blocks, find_places, merge_pointers
from kpi.kernels.arrays import Words
from worker.errors import DamagedObject
from worker.index.manifest import Run, Section
from worker.objects import ObjectInfo, ObjectStore, open_range

BLOCK_POINTERS = 2048
"""Pointers that are read together where a run is too long to be read whole: 32 KiB."""

WHOLE_RUN_BYTES = 8 << 20
"""Length up to which a run is read whole: one request instead of some for each key."""

COALESCED_BLOCKS = 4
"""Blocks between two wanted ones up to which all are read with one request."""

_FENCE = np.dtype([("key", "<u8"), ("crc", "<u4"), ("zero", "<u4")])
"""First key of a block, and the CRC-32 of its bytes."""


def encode_run(tables: Mapping[str, Pointers]) -> tuple[bytes, dict[str, Section]]:
    """Return the bytes of a run, and where each table is in them."""
    parts, sections = encode_parts(tables)
    return b"".join(parts), sections


def encode_parts(
    tables: Mapping[str, Pointers],
) -> tuple[list[memoryview], dict[str, Section]]:
    """Return the bytes of a run in parts, of which the pointers are not copied; and its tables."""
    parts: list[memoryview] = []
    sections: dict[str, Section] = {}
    offset = 0
    for name, pointers in sorted(tables.items()):
        data = np.ascontiguousarray(pointers).view(np.uint8).data
        fences = memoryview(fences_of(pointers, data).tobytes())
        crc = zlib.crc32(fences)
        sections[name] = Section(offset=offset, pointers=len(pointers), crc=crc)
        parts += [data, fences]
        offset += len(data) + len(fences)
    return parts, sections


def fences_of(
    pointers: Pointers, data: bytes | memoryview
) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Return the fence of each block of some pointers, whose bytes are `data`."""
    starts = range(0, len(pointers), BLOCK_POINTERS)
    fences = np.zeros(len(starts), _FENCE)
    fences["key"] = pointers["key"][::BLOCK_POINTERS]
    size = BLOCK_POINTERS * POINTER.itemsize
    view = memoryview(data)
    fences["crc"] = [zlib.crc32(view[at : at + size]) for at in range(0, len(data), size)]
    return fences


class RunReader:
    """Looks keys up in one run; what was read is kept.

    Raises, from every method:
        SourceError: The object is missing, or its bytes are not those that were written.
        StoreError: The store fails after retries.
    """

    def __init__(self, store: ObjectStore, key: str, run: Run) -> None:
        self._store = store
        self._key = key
        self._run = run
        self._info: ObjectInfo | None = None
        self._whole: bytes | None = None
        self._fences: dict[str, np.ndarray[tuple[int], np.dtype[np.void]]] | None = None

    async def find(self, table: str, wanted: Words) -> Words:
        """Return the places of rows of a table that have one of some ascending, distinct keys."""
        section = self._run.sections.get(table)
        if section is None or section.pointers == 0:
            return np.zeros(0, np.uint64)
        if self._run.size_bytes <= WHOLE_RUN_BYTES:
            return find_places(_pointers(await self._read_whole(), section), wanted)
        return await self._find_in_blocks(table, section, wanted)

    async def load(self) -> dict[str, Pointers]:
        """Return all pointers of each table."""
        whole = await self._read_whole()
        return {name: _pointers(whole, section) for name, section in self._run.sections.items()}

    def blocks(self, table: str) -> int:
        """Return the number of blocks of a table."""
        section = self._run.sections.get(table)
        return 0 if section is None else -(-section.pointers // BLOCK_POINTERS)

    async def read_blocks(self, table: str, first: int, count: int) -> Pointers:
        """Return the pointers of some consecutive blocks of a table; fewer at its end."""
        section = self._run.sections[table]
        fences = (await self._read_fences())[table]
        size = BLOCK_POINTERS * POINTER.itemsize
        start = section.offset + first * size
        end = min(start + count * size, section.offset + section.pointers * POINTER.itemsize)
        (data,) = await self._read_ranges([(start, end)])
        view = memoryview(data)
        for at in range(0, len(data), size):
            number = first + at // size
            self._check(zlib.crc32(view[at : at + size]), int(fences["crc"][number]))
        return np.frombuffer(data, POINTER)

    async def _find_in_blocks(self, table: str, section: Section, wanted: Words) -> Words:
        fences = (await self._read_fences())[table]
        blocks = find_blocks(fences["key"], wanted)
        if len(blocks) == 0:
            return np.zeros(0, np.uint64)
        stretches = np.split(blocks, np.flatnonzero(np.diff(blocks) > COALESCED_BLOCKS) + 1)
        size = BLOCK_POINTERS * POINTER.itemsize
        end = section.offset + section.pointers * POINTER.itemsize
        ranges = [
            (
                section.offset + int(stretch[0]) * size,
                min(section.offset + (int(stretch[-1]) + 1) * size, end),
            )
            for stretch in stretches
        ]
        found = []
        read = await self._read_ranges(ranges)
        for stretch, data in zip(stretches, read, strict=True):
            view = memoryview(data)
            for number in range(int(stretch[0]), int(stretch[-1]) + 1):
                at = (number - int(stretch[0])) * size
                self._check(zlib.crc32(view[at : at + size]), int(fences["crc"][number]))
            found.append(find_places(np.frombuffer(data, POINTER), wanted))
        return np.concatenate(found)

    async def _read_fences(self) -> dict[str, np.ndarray[tuple[int], np.dtype[np.void]]]:
        """Read the fences of all tables, with one call: most look-ups want several tables."""
        if self._fences is None:
            sections = {
                name: section for name, section in self._run.sections.items() if section.pointers
            }
            ranges = [_fence_range(section) for section in sections.values()]
            read = await self._read_ranges(ranges)
            self._fences = {}
            for (name, section), data in zip(sections.items(), read, strict=True):
                self._check(zlib.crc32(data), section.crc)
                self._fences[name] = np.frombuffer(data, _FENCE)
        return self._fences

    async def _read_whole(self) -> bytes:
        if self._whole is None:
            (data,) = await self._read_ranges([(0, self._run.size_bytes)])
            self._check(zlib.crc32(data), self._run.crc)
            self._whole = data
        return self._whole

    async def _read_ranges(self, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        if not ranges:
            return []
        if self._info is not None:
            return await self._store.read_ranges(self._info, ranges)
        # The first one says which version it is of.
        info, first = await open_range(self._store, self._key, *ranges[0])
        if info.size_bytes != self._run.size_bytes:
            raise DamagedObject(
                url=self._key,
                expected=f"the {self._run.size_bytes} bytes that were written",
                actual=f"{info.size_bytes}",
            )
        self._info = info
        return [first, *await self._store.read_ranges(self._info, ranges[1:])]

    def _check(self, crc: int, expected: int) -> None:
        if crc != expected:
            raise DamagedObject(
                url=self._key,
                expected=f"the bytes of CRC-32 {expected:08x} that were written",
                actual=f"CRC-32 {crc:08x}",
            )


def _fence_range(section: Section) -> tuple[int, int]:
    start = section.offset + section.pointers * POINTER.itemsize
    return start, start + -(-section.pointers // BLOCK_POINTERS) * _FENCE.itemsize


def _pointers(whole: bytes, section: Section) -> Pointers:
    return np.frombuffer(whole, POINTER, section.pointers, section.offset)


def merge_tables(parts: list[Mapping[str, Pointers]]) -> dict[str, Pointers]:
    """Merge several runs, table by table."""
    names = sorted({name for part in parts for name in part})
    return {name: merge_pointers([part[name] for part in parts if name in part]) for name in names}
