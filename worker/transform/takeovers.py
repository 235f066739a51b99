"""Find files of another shop: orders whose ids exist already, with other customers and days.

Two shops that number their orders from 1 take each other's orders over where both are put into one.
That may be meant, and counts; an event reports it, and the receipt of the file has it. Only files
of an *input* that no earlier upload came from are looked at: of another folder or prefix above the
dataset's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from worker.state import Effect
from worker.state.counted import CountedUploads
from worker.state.upload import Upload
from worker.transform.rollbacks import COMPARED_KEYS, hashes_of, ids_of, last_rows
from worker.transform.snapshot import Snapshot

TAKEN_SHARE = 0.5
"""Share of a file's orders above which it is taken for one of another shop."""

_PARTITION = re.compile(r"[^=]+=.*|[0-9][0-9._-]*")
"""Name of a folder that holds a part of an input: `dt=2026-11-01`, `2026-11-01`, `07`."""


@dataclass(frozen=True, kw_only=True)
class Takeover:
    """An upload most of whose orders exist already, as those of other customers and days.

    Attributes:
        source_id: The upload.
        url: Where it was read.
        rows: Number of such orders.
        of_rows: Number of orders that were compared.
    """

    source_id: str
    url: str
    rows: int
    of_rows: int

    @property
    def is_likely(self) -> bool:
        return self.rows > TAKEN_SHARE * self.of_rows


async def find_takeovers(snapshot: Snapshot, wanted: Collection[str]) -> list[Takeover]:
    """Find the takeovers of some source objects; those that do not count are left out.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    name = snapshot.orders.dataset.name
    orders = [one for one in snapshot.uploads.in_order() if one.dataset == name]
    found: list[Takeover] = []
    for upload, earlier in of_new_inputs(orders, wanted, lambda one: input_of(one.name, 2)):
        takeover = await _compare(snapshot, upload, earlier)
        found += [takeover] if takeover.is_likely else []
    return found


def committed_after(uploads: CountedUploads, sequence: int) -> set[str]:
    """Return the source objects that count and were committed after a sequence."""
    return {one.source_id for one in uploads.in_order() if one.sequence > sequence}


def of_new_inputs(
    uploads: Iterable[Upload], wanted: Collection[str], input_of_upload: Callable[[Upload], str]
) -> Iterator[tuple[Upload, set[str]]]:
    """Yield those of the wanted uploads that are the first of their input, but for the very first.

    Yields:
        Upload, and the source objects that were committed before it.
    """
    inputs: set[str] = set()
    earlier: set[str] = set()
    for upload in sorted(uploads, key=lambda one: one.sequence):
        is_new = input_of_upload(upload) not in inputs
        inputs.add(input_of_upload(upload))
        if upload.source_id in wanted and earlier and is_new:
            yield upload, set(earlier)
        earlier.add(upload.source_id)


def input_of(name: str, segments: int) -> str:
    """Return the folder or prefix that a file is in.

    Args:
        name: URL of the file.
        segments: Number of its last parts that are no part of the input's name.
    """
    folders = name.split("/")[:-segments]
    while folders and _PARTITION.fullmatch(folders[-1]):
        folders.pop()
    return "/".join(folders)


def with_takeovers(
    effects: Mapping[str, Effect], takeovers: Iterable[Takeover]
) -> dict[str, Effect]:
    """Return effects that say how many orders their uploads took over."""
    found = dict(effects)
    for one in takeovers:
        if one.source_id in found:
            found[one.source_id] = replace(found[one.source_id], taken_over_orders=one.rows)
    return found


async def _compare(snapshot: Snapshot, upload: Upload, earlier: set[str]) -> Takeover:
    """Compare the orders of an upload with those of the same ids in earlier ones."""
    every = snapshot.orders.with_uncounted()
    now, others = every.of_sources([upload.source_id]), snapshot.orders.of_sources(earlier)
    wanted = (await hashes_of(now))[:COMPARED_KEYS]
    ids = await ids_of(now, others)
    new = await last_rows(now, wanted, ids)
    old = await last_rows(others, wanted, ids)
    taken = sum(_is_another(row, new[key]) for key, row in old.items())
    return Takeover(source_id=upload.source_id, url=upload.name, rows=taken, of_rows=len(wanted))


def _is_another(old: dict[str, object], new: dict[str, object]) -> bool:
    """Return whether both customer and day differ."""
    return old["user_id"] != new["user_id"] and _day(old) != _day(new)


def _day(row: dict[str, object]) -> object:
    created_at = row["created_at"]
    return created_at.date() if isinstance(created_at, datetime) else created_at
