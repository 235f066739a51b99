"""Find files of another shop: orders whose ids exist already, with other customers and days.

Two shops that number their orders from 1 take each other's orders over where both are put into one.
That may be meant, and counts; an event reports it. Only files of an *input* that no earlier upload
came from are looked at: of another folder or prefix above the dataset's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from worker.state.upload import Upload
from worker.transform.rollbacks import COMPARED_KEYS, hashes_of, ids_of, last_rows
from worker.transform.snapshot import Snapshot

TAKEN_SHARE = 0.5
"""Share of a file's orders above which it is taken for one of another shop."""


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


async def find_takeovers(snapshot: Snapshot, after: int) -> list[Takeover]:
    """Find the takeovers of uploads that were committed after a sequence.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    orders = sorted(
        (one for one in snapshot.uploads.in_order() if one.dataset == snapshot.orders.dataset.name),
        key=lambda one: one.sequence,
    )
    found: list[Takeover] = []
    inputs: set[str] = set()
    for place, upload in enumerate(orders):
        is_new, earlier = input_of(upload) not in inputs, orders[:place]
        inputs.add(input_of(upload))
        if upload.sequence <= after or not earlier or not is_new:
            continue
        takeover = await _compare(snapshot, upload, {one.source_id for one in earlier})
        if takeover.rows > TAKEN_SHARE * takeover.of_rows:
            found.append(takeover)
    return found


def input_of(upload: Upload) -> str:
    """Return the folder or prefix that the folder of the dataset is in."""
    return "/".join(upload.name.split("/")[:-2])


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
