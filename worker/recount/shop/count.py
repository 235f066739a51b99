"""Count some days of a shop: files in, KPI rows out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import date
from functools import partial

from worker.recount.shop.contract import Entry, Shop
from worker.recount.shop.days import DaySums, KpiRow
from worker.recount.shop.latest import FedFile
from worker.recount.shop.orders import gather
from worker.recount.shop.rows import Row
from worker.recount.shop.spool import Segment, Spool


@dataclass(frozen=True)
class _Fed:
    name: str
    entry: int
    segment: Segment


class ShopCount:
    """KPIs of some days of a shop.

    Give it every file that counts, from the earliest version to the latest.
    """

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._spools = {name: Spool() for name in shop.tables}
        self._files: dict[str, list[_Fed]] = defaultdict(list)

    def close(self) -> None:
        """Delete the temporary files."""
        for spool in self._spools.values():
            spool.close()

    def add(self, name: str, tables: Iterable[tuple[Entry, Iterable[tuple[str, Row]]]]) -> None:
        """Add a source object.

        Args:
            name: Name that versions of it share.
            tables: For each file in it, itself or members of an archive, its entry and its rows
                with the names of their datasets.

        Raises:
            RefusedError: The contract does not fit. Then nothing of the file counts.
        """
        starts = {dataset: spool.end for dataset, spool in self._spools.items()}
        entries: dict[str, int] = {}
        for table, rows in tables:
            for dataset in table.feeds:
                entries.setdefault(dataset, table.number)
            for dataset, row in rows:
                self._spools[dataset].append(row)
        for dataset, entry in entries.items():
            segment = Segment(starts[dataset], self._spools[dataset].end)
            self._files[dataset].append(_Fed(name, entry, segment))

    def add_clean(self, name: str, dataset: str, entry: int, rows: Iterable[Row]) -> None:
        """Add the clean rows of a file for one dataset."""
        segment = self._spools[dataset].write(rows)
        self._files[dataset].append(_Fed(name, entry, segment))

    def rows(self, days: Container[date]) -> dict[str, dict[date, list[KpiRow]]]:
        """Return KPI table -> day -> rows, ascending by group."""
        files = {
            dataset: [
                FedFile(
                    name=one.name,
                    entry=one.entry,
                    replaces=self._shop.entries[one.entry].replaces,
                    read=partial(self._spools[dataset].read, one.segment),
                )
                for one in fed
            ]
            for dataset, fed in self._files.items()
        }
        return DaySums(self._shop, gather(self._shop, files, days), days).rows()
