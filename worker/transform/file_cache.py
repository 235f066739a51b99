"""Bounded cache of clean files' footers and of small clean files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import pyarrow as pa

from kpi.contract.arrow_types import arrow_type
from kpi.contract.model import Contract, Dataset
from worker.clean import Workspace
from worker.clean.reader import CleanObject
from worker.errors import ConfigError

FOOTERS_BYTES = 2**20
"""Memory for the parsed footers of one dataset: of about 60 small objects, or 100 row groups. That
of the object in use is held whatever its size."""


SMALL_BYTES = 2**21
"""Memory for small objects of one dataset as they are stored, so that those of some weeks are read
once, however often their footers are parsed: of about 700 with some dozens of rows."""


_COMPUTED = ("order_id", "user_id", "product_id", "sale_price", "id")
"""Columns that must be alike in all clean objects of a dataset."""


class _Room:
    """Room for something of the objects used last.

    Args:
        most_bytes: Its size; the object used last is held whatever its own.
        forget: Gives up what is held of one.
    """

    def __init__(self, most_bytes: int, forget: Callable[[CleanObject], None]) -> None:
        self._most_bytes = most_bytes
        self._forget = forget
        self._used: OrderedDict[CleanObject, int] = OrderedDict()
        self._held_bytes = 0

    def use(self, opened: CleanObject, held_bytes: int) -> None:
        """Hold it, and forget those unused for longest beyond the limit."""
        self._held_bytes += held_bytes - self._used.pop(opened, 0)
        self._used[opened] = held_bytes
        while self._held_bytes > self._most_bytes and len(self._used) > 1:
            oldest, its_bytes = self._used.popitem(last=False)
            self._forget(oldest)
            self._held_bytes -= its_bytes


class Shelf:
    """Where the clean objects of a dataset lie; holds the footers of those used last, and the bytes
    of the small ones."""

    def __init__(self, dataset: Dataset, workspace: Workspace, contract: Contract) -> None:
        self.dataset = dataset
        self.columns = tuple(dict.fromkeys((dataset.key[0], "order_id", "created_at")))
        self.never_null = {
            name
            for name in (*dataset.key, *_COMPUTED, "created_at")
            if name in dataset.columns and dataset.columns[name].required
        }
        self._workspace = workspace
        self._contract = contract
        self._footers = _Room(FOOTERS_BYTES, CleanObject.forget_footer)
        self._small = _Room(SMALL_BYTES, CleanObject.forget_whole)

    def find(self, key: str) -> CleanObject:
        return CleanObject(self._workspace.store, self._workspace.absolute(key))

    def use(self, opened: CleanObject) -> None:
        """Keep what is held of an object, and forget what was unused for longest."""
        self._footers.use(opened, opened.footer_bytes)
        self._small.use(opened, opened.whole_bytes)

    def check_types(self, schema: pa.Schema, url: str) -> None:
        """Only columns that the KPIs read must be alike; others may come and go."""
        dataset = self.dataset
        for name in (*dataset.key, *_COMPUTED):
            column = dataset.columns.get(name)
            if column is None:
                continue
            got = schema.field(name).type if name in schema.names else None
            if got != (expected := arrow_type(column)):
                wanted = f"{dataset.name}.{name} as {expected}"
                raise self.other_contract(url, wanted, got or "no such column")

    def other_contract(self, url: str, expected: str, got: object) -> ConfigError:
        """What to raise where rows do not fit the contract that they are read with."""
        return ConfigError(
            "it was cleaned with another contract",
            url=url,
            expected=f"{expected} (contract {self._contract.name!r})",
            actual=got,
            hint="use the contract it was validated with, or another workspace",
        )
