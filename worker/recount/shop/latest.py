"""The latest row of each key (rules 4, 5, 7 and 8)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from worker.recount.shop.conditions import holds
from worker.recount.shop.contract import Dataset
from worker.recount.shop.dates import Moment
from worker.recount.shop.rows import Row
from worker.recount.shop.values import Value, shown

Key = tuple[Hashable, ...]

Wanted = Callable[[Row], bool]
"""Whether a row concerns the days."""


@dataclass(frozen=True, kw_only=True)
class FedFile:
    """Rows of one file for one dataset.

    Attributes:
        name: Name that versions of the file share.
        entry: Number of its entry of `[[files]]`.
        replaces: What a later file takes the place of.
        read: Yields its rows, again and again.
    """

    name: str
    entry: int
    replaces: str
    read: Callable[[], Iterable[Row]]


@dataclass(frozen=True)
class _Placed:
    """A row, and where it stands: the greater rank is the later row."""

    rank: tuple[bool, int, int, bool, int]
    row: Row
    is_gone: bool


def latest_rows(dataset: Dataset, files: Sequence[FedFile], wanted: Wanted) -> list[Row]:
    """Return the latest rows that are there, of every key of which some version is wanted.

    Args:
        dataset: Says what identifies a row, and which is the later one.
        files: From the earliest upload to the latest.
        wanted: Rows that concern the days. All versions of their keys are compared.
    """
    replacer = _replacers(dataset, files)
    if dataset.key_by == "row":
        of_live = (file for at, file in enumerate(files) if at not in replacer)
        rows = (row for file in of_live for row in file.read() if wanted(row))
        return [row for row in rows if not is_deletion(dataset, row)]
    if dataset.key_by == "order":
        return _of_latest_file(dataset, files, replacer, wanted)
    keys = {_key(dataset, row) for file in files for row in file.read() if wanted(row)}
    best: dict[Key, _Placed] = {}
    for placed in _placed(dataset, files, replacer, keys):
        key = _key(dataset, placed.row)
        if key not in best or best[key].rank < placed.rank:
            best[key] = placed
    return [one.row for one in best.values() if not one.is_gone]


def is_deletion(dataset: Dataset, row: Row) -> bool:
    """Return whether a row says that its key is gone (rule 5)."""
    return row.is_deletion or holds(dataset.deleted, lambda name: shown(row.values[name]))


def _replacers(dataset: Dataset, files: Sequence[FedFile]) -> dict[int, int]:
    """Return for each file that a later one takes the place of the first such one."""
    found = {}
    for at, file in enumerate(files):
        by_name = dataset.key_by == "row" or file.replaces == "file"
        for later in range(at + 1, len(files)):
            is_same_name = by_name and files[later].name == file.name
            if is_same_name or (file.replaces == "all" and files[later].entry == file.entry):
                found[at] = later
                break
    return found


def _placed(
    dataset: Dataset, files: Sequence[FedFile], replacer: dict[int, int], keys: set[Key]
) -> Iterator[_Placed]:
    """Yield the rows of some keys. Those of a replaced file stand before the file in its place."""
    for at, file in enumerate(files):
        is_replaced = at in replacer
        for number, row in enumerate(file.read()):
            if _key(dataset, row) not in keys:
                continue
            version = None if dataset.version is None else row.values[dataset.version]
            has_version = isinstance(version, int)
            rank = (
                has_version,
                version if isinstance(version, int) else 0,
                replacer.get(at, at),
                not is_replaced,
                number + at * 2**40 if is_replaced else number,
            )
            yield _Placed(rank, row, is_replaced or is_deletion(dataset, row))


def _of_latest_file(
    dataset: Dataset, files: Sequence[FedFile], replacer: dict[int, int], wanted: Wanted
) -> list[Row]:
    """Return the lines of the latest file that has lines of their order (rule 7)."""
    newest: dict[Value, int] = {}
    for at, file in enumerate(files):
        for row in file.read():
            if wanted(row):
                order = row.values.get("order_id")
                newest[order] = max(newest.get(order, -1), replacer.get(at, at))
    return [
        row
        for at, file in enumerate(files)
        if at not in replacer
        for row in file.read()
        if newest.get(row.values.get("order_id")) == at and not is_deletion(dataset, row)
    ]


def _key(dataset: Dataset, row: Row) -> Key:
    names = dict.fromkeys((*dataset.key, *([dataset.valid_from] if dataset.valid_from else [])))
    return tuple(_identity(row.values[name]) for name in names)


def _identity(value: Value) -> Hashable:
    return value.day if isinstance(value, Moment) else value
