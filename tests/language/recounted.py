"""The recount of a contract of language 2 on some files, for comparison with the product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.language.files import FIRST_SECOND, File
from worker.recount.shop.contract import Shop, read_contract
from worker.recount.shop.count import ShopCount
from worker.recount.shop.files import read_table
from worker.recount.shop.rows import Counts, FileRows
from worker.recount.shop.texts import RefusedError


@dataclass
class Recounted:
    """What all files come to.

    Attributes:
        rows: KPI table -> rows.
        counts: (file, dataset) -> rows of its last upload.
        refused: Names of files that were refused.
    """

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    counts: dict[tuple[str, str], Counts] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)


class _EveryDay:
    """A collection of all days."""

    def __contains__(self, day: object) -> bool:
        return True


def recount(contract: str, files: Sequence[File], encoding: str = "utf-8") -> Recounted:
    """Count all days of some files."""
    shop, found = read_contract(contract), Recounted()
    count = ShopCount(shop)
    last: dict[str, str] = {}
    for file in sorted(files, key=lambda file: (file.second, file.name)):
        # Equal bytes under one name that follow on each other count as their first.
        if last.get(file.name) != file.text:
            _add(shop, count, file, found, encoding)
        last[file.name] = file.text
    tables = count.rows(_EveryDay())
    count.close()
    found.rows = {
        name: [row for rows in days.values() for row in rows] for name, days in tables.items()
    }
    return found


def _add(shop: Shop, count: ShopCount, file: File, found: Recounted, encoding: str) -> None:
    uploaded = datetime.fromtimestamp(FIRST_SECOND + file.second, UTC)
    last_day = shop.not_after or (uploaded + timedelta(days=1)).date()
    entries = shop.entries_for(file.name)
    data = file.text.encode(encoding)
    try:
        if not entries:
            raise RefusedError("no entry")
        table = read_table(shop, entries, file.name, lambda: iter([data]))
        rows = FileRows(shop, table, last_day)
        count.add(file.name, [(table.entry, rows)])
    except RefusedError:
        found.refused.add(file.name)
        return
    found.refused.discard(file.name)
    for dataset, counts in rows.counts.items():
        found.counts[file.name, dataset] = counts
