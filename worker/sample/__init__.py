"""Sample data of any size: a shop's orders, order items and products as CSV files."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pyarrow as pa

from worker.errors import ConfigError
from worker.sample.dirt import OUTCOMES, Dirt, Outcome
from worker.sample.rows import DATASETS, SampleSpec, Shop
from worker.sample.text import Rows, csv_header, csv_text

__all__ = ["DATASETS", "SampleFile", "SampleReport", "SampleSpec", "write_sample"]


@dataclass(kw_only=True)
class SampleFile:
    """One file that was written.

    Attributes:
        path: The file.
        dataset: "orders", "order_items" or "products".
        rows: Rows of data, without the header.
        bytes: Size on disk.
        kinds: Kind of dirt, as in `dirt.OUTCOMES` -> rows of it.
    """

    path: Path
    dataset: str
    rows: int = 0
    bytes: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def dirty_rows(self) -> int:
        """Rows that break the contract: rejects."""
        return self._count("rejected")

    @property
    def nulled_rows(self) -> int:
        """Rows with a bad value in a column that no KPI reads: clean, the value null."""
        return self._count("nulled")

    @property
    def duplicate_rows(self) -> int:
        """Rows that a later row of the same file supersedes."""
        return self._count("superseded")

    @property
    def orphan_rows(self) -> int:
        """Items of an order or of a product that exists nowhere."""
        return self._count("orphan")

    def _count(self, outcome: Outcome) -> int:
        return sum(rows for kind, rows in self.kinds.items() if OUTCOMES[kind] == outcome)


@dataclass(frozen=True, kw_only=True)
class SampleReport:
    """The files that were written, by dataset (in the order of `DATASETS`) and number."""

    files: tuple[SampleFile, ...]


def write_sample(
    folder: Path, spec: SampleSpec, *, progress: Callable[[int], None] | None = None
) -> SampleReport:
    """Write `orders/`, `order_items/` and `products/` into a folder, in bounded memory.

    Args:
        folder: Created where missing; files of the same names are overwritten.
        spec: What to make.
        progress: Called after each block with the bytes of CSV so far, before compression.

    Raises:
        ConfigError: A dataset's folder has other files, which a reader would take for part of the
            sample; nothing is written.
        OSError: A file cannot be written.
    """
    shop = Shop(spec)
    writers = {dataset: _Writer(folder, shop, dataset) for dataset in DATASETS}
    with ExitStack() as stack:
        for writer in writers.values():
            stack.enter_context(writer)
        for dataset, first, rows in shop.blocks():
            writers[dataset].write(first, rows)
            if progress is not None:
                progress(sum(writer.csv_bytes for writer in writers.values()))
    files = tuple(file for writer in writers.values() for file in writer.files)
    for file in files:
        file.bytes = file.path.stat().st_size
    return SampleReport(files=files)


class _Writer:
    """Writes one dataset's rows, in order, to its files; a context manager."""

    def __init__(self, folder: Path, shop: Shop, dataset: str) -> None:
        rows = shop.row_counts[dataset]
        count = max(1, min(shop.spec.files, rows))
        suffix = "" if shop.spec.compression == "none" else f".{shop.spec.compression}"
        names = [f"{dataset}_part{n:0{len(str(count))}}.csv{suffix}" for n in range(1, count + 1)]
        self.files = [SampleFile(path=folder / dataset / name, dataset=dataset) for name in names]
        self.csv_bytes = 0
        self._ends = [rows * n // count for n in range(1, count + 1)]
        self._part = -1
        self._compression = shop.spec.compression
        self._dirt = Dirt(shop, dataset)
        self._header = csv_header(shop.no_rows(dataset))
        self._file = ExitStack()
        self._write: Callable[[bytes], object]
        _refuse_other_files(folder / dataset, self.files)

    def __enter__(self) -> Self:
        self.files[0].path.parent.mkdir(parents=True, exist_ok=True)
        self._open_next()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, first: int, rows: Rows) -> None:
        """Write rows, of which the first is number `first` of its dataset."""
        while len(rows):
            if first == self._ends[self._part]:
                self._open_next()
            size = self._ends[self._part] - first
            dirty, kinds = self._dirt.apply(first, rows[:size])
            self._append(csv_text(dirty))
            self.files[self._part].rows += len(dirty)
            self.files[self._part].kinds += kinds
            first, rows = first + size, rows[size:]

    def _open_next(self) -> None:
        self._file.close()
        self._part += 1
        raw = self._file.enter_context(self.files[self._part].path.open("wb"))
        match self._compression:
            case "none":
                self._write = raw.write
            case "gz":
                # No name and no time in the header; level 1 is the only one that keeps up.
                packed = gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0)
                self._write = self._file.enter_context(packed).write
            case "zst":
                self._write = self._file.enter_context(pa.CompressedOutputStream(raw, "zstd")).write
        self._append(self._header)

    def _append(self, text: bytes) -> None:
        self._write(text)
        self.csv_bytes += len(text)


def _refuse_other_files(folder: Path, files: list[SampleFile]) -> None:
    names = {file.path.name for file in files}
    others = sorted(path.name for path in folder.glob("[!.]*") if path.name not in names)
    if others:
        raise ConfigError(
            url=folder,
            expected="an empty folder",
            actual=f"{len(others)} other files in it ({others[0]}, ...), which would be taken for "
            "part of the sample",
            hint="choose another folder or remove them",
        )
