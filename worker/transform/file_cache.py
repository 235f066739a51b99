"""Bounded cache of clean files' footers and of small clean files."""

from __future__ import annotations

import shlex
from collections import OrderedDict
from collections.abc import Callable

import pyarrow as pa

from kpi.contract.arrow_types import arrow_type
from kpi.contract.model import Contract, Dataset
from worker.clean import Workspace
from worker.clean.reader import CleanObject
from worker.errors import OtherContract
from worker.packs.packs import PACKED_FILE_BYTES, Packs
from worker.runtime.memory_budget import FILE_CACHE_BYTES, FOOTER_CACHE_BYTES

_KPI_COLUMNS = ("order_id", "user_id", "product_id", "sale_price", "id")
"""Columns that the KPIs are computed from: every clean file of a dataset has them in one type."""


def may_widen(got: pa.DataType | None, expected: pa.DataType) -> bool:
    """Check whether a type loses nothing by conversion.

    Amounts were cleaned with fewer decimal places, or integers with fewer bits.
    """
    if got == pa.int32() and expected == pa.int64():
        return True
    if got is None or not (pa.types.is_decimal(got) and pa.types.is_decimal(expected)):
        return False
    return bool(got.scale <= expected.scale)


class _LruCache:
    """Least-recently-used bookkeeping for one kind of content of opened files.

    Args:
        capacity_bytes: Bound on the content held. The content of the file used last is held
            whatever its size.
        evict: Drops the content of one file.
    """

    def __init__(self, capacity_bytes: int, evict: Callable[[CleanObject], None]) -> None:
        self._capacity_bytes = capacity_bytes
        self._evict = evict
        self._sizes: OrderedDict[CleanObject, int] = OrderedDict()
        self._held_bytes = 0

    def use(self, opened: CleanObject, content_bytes: int) -> None:
        """Mark a file as used last, and evict the least recently used beyond the capacity."""
        self._held_bytes += content_bytes - self._sizes.pop(opened, 0)
        self._sizes[opened] = content_bytes
        while self._held_bytes > self._capacity_bytes and len(self._sizes) > 1:
            oldest, its_bytes = self._sizes.popitem(last=False)
            self._evict(oldest)
            self._held_bytes -= its_bytes


class FileCache:
    """Opens the clean files of one dataset, and bounds what stays in memory of them.

    Attributes:
        packs: Copies of small files; None for none.
    """

    def __init__(
        self,
        dataset: Dataset,
        workspace: Workspace,
        contract: Contract,
        day_column: str = "created_at",
    ) -> None:
        """Open nothing yet.

        Args:
            dataset: The dataset.
            workspace: Where its clean files are.
            contract: Named in errors.
            day_column: Column by which files are pruned to days.
        """
        self.dataset = dataset
        self.pruning_columns = tuple(dict.fromkeys((dataset.key[0], "order_id", day_column)))
        self.never_null = {
            name
            for name in (*dataset.key, *_KPI_COLUMNS, "created_at")
            if name in dataset.columns and dataset.columns[name].required
        }
        self.packs: Packs | None = None
        self._workspace = workspace
        self._contract = contract
        self._footers = _LruCache(FOOTER_CACHE_BYTES, CleanObject.forget_footer)
        self._small_files = _LruCache(FILE_CACHE_BYTES, CleanObject.forget_whole)

    def open(self, key: str, sequence: int, size_bytes: int) -> CleanObject:
        """Return the reader of a clean file; nothing is read yet.

        Args:
            key: Its key below the workspace.
            sequence: Ledger sequence of its entry.
            size_bytes: Its length.
        """
        packs, stored = self.packs, self._workspace.stored(key)
        if packs is None or size_bytes > PACKED_FILE_BYTES:
            return CleanObject(self._workspace.store, stored)
        return CleanObject(self._workspace.store, stored, lambda: packs.find(sequence, key))

    def use(self, opened: CleanObject) -> None:
        """Mark a file as used last, and evict what was unused for longest."""
        self._footers.use(opened, opened.footer_bytes)
        self._small_files.use(opened, opened.whole_bytes)

    def check_types(self, schema: pa.Schema, url: str) -> None:
        """Check the types of the columns that the KPIs read; others may come and go.

        Raises:
            OtherContract: One has another type than the contract says, or is missing.
        """
        dataset = self.dataset
        for name in (*dataset.key, *_KPI_COLUMNS):
            column = dataset.columns.get(name)
            if column is None:
                continue
            got = schema.field(name).type if name in schema.names else None
            expected = arrow_type(column)
            if got != expected and not may_widen(got, expected):
                wanted = f"{dataset.name}.{name} as {expected}"
                raise self.contract_mismatch(url, wanted, got or "no such column")

    def contract_mismatch(self, url: str, expected: str, got: object) -> OtherContract:
        """Build the error for rows that do not fit the contract that they are read with."""
        return OtherContract(
            url=url,
            expected=f"{expected} (contract {self._contract.name!r})",
            actual=got,
            hint=f"`shopkpi retract {shlex.quote(_end_of(url))} --reason TEXT` takes it out of the "
            "KPIs; a copy of another name is then validated with this one",
        )


def _end_of(url: str) -> str:
    """Return the last two names of a URL, by which commands find an upload."""
    return "/".join(url.rsplit("/", 2)[1:])
