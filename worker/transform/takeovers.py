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

import numpy as np
import pyarrow.compute as pc

from kpi.kernels.arrays import Mask
from kpi.kernels.masks import booleans
from worker.index.upload_table import UploadTable
from worker.state import Effect
from worker.transform.history import History
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


@dataclass(frozen=True, kw_only=True)
class NewInput:
    """The first upload of its input.

    Attributes:
        source_id: The upload.
        url: Where it was read.
        sequence: Of its ledger entry.
    """

    source_id: str
    url: str
    sequence: int


async def find_takeovers(snapshot: Snapshot, wanted: Collection[str]) -> list[Takeover]:
    """Find the takeovers of some source objects; those that do not count are left out.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    rows = snapshot.history.rows
    coded, name = rows.codes("dataset"), snapshot.orders.dataset.name
    if name not in coded.texts:
        return []
    mine = (coded.codes == coded.texts.index(name)) & rows.is_first
    found: list[Takeover] = []
    for new in of_new_inputs(snapshot.history, mine, wanted, lambda url: input_of(url, 2)):
        takeover = await _compare(snapshot, new)
        found += [takeover] if takeover.is_likely else []
    return found


def committed_after(history: History, sequence: int) -> set[str]:
    """Return the source objects that count and were committed after a sequence."""
    first = history.rows.first_after(sequence)
    new = first + np.flatnonzero(history.places[first:] >= 0)
    return set(history.rows.take(["source_id"], new).column("source_id").to_pylist())


def of_new_inputs(
    history: History, mine: Mask, wanted: Collection[str], input_of_url: Callable[[str], str]
) -> Iterator[NewInput]:
    """Yield those of the wanted uploads that are the first of their input, but for the very first.

    Args:
        history: What the ledger knows.
        mine: The first rows of uploads of orders.
        wanted: Source objects.
        input_of_url: Names the input of an upload; its URL begins with it.
    """
    counted = mine & (history.places >= 0)
    at = history.rows.rows_with("source_id", wanted)
    at = at[counted[at]]
    if not len(at):
        return
    start, end = int(at[0]), int(at[-1]) + 1
    between = start + np.flatnonzero(counted[start:end])
    uploads = history.rows.take(["source_id", "url", "sequence"], between).to_pylist()
    inputs: set[str] = set()
    is_very_first = not counted[:start].any()
    # What came between two wanted uploads is looked at one by one; what came before all, at once.
    for upload in uploads:
        its_input = input_of_url(upload["url"])
        is_new = its_input not in inputs and not _have(
            history.rows, counted[:start], its_input, input_of_url
        )
        inputs.add(its_input)
        if is_new and not is_very_first and upload["source_id"] in wanted:
            yield NewInput(**upload)
        is_very_first = False


def _have(rows: UploadTable, among: Mask, wanted: str, input_of_url: Callable[[str], str]) -> bool:
    """Return whether one of the first rows of uploads is of an input; `among` says which count."""
    for first, urls in rows.scan_back("url", len(among)):
        of_chunk = urls.filter(booleans(among[first : first + len(urls)]))
        possible = of_chunk.filter(pc.starts_with(of_chunk, wanted))
        if any(input_of_url(str(one)) == wanted for one in possible[::-1]):
            return True
    return False


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


async def _compare(snapshot: Snapshot, upload: NewInput) -> Takeover:
    """Compare the orders of an upload with those of the same ids in earlier ones."""
    now = snapshot.orders.with_uncounted().of_sources([upload.source_id])
    others = snapshot.orders.before(upload.sequence)
    wanted = (await hashes_of(now))[:COMPARED_KEYS]
    ids = await ids_of(now, others)
    new = await last_rows(now, wanted, ids)
    old = await last_rows(others, wanted, ids)
    taken = sum(_is_another(row, new[key]) for key, row in old.items())
    return Takeover(source_id=upload.source_id, url=upload.url, rows=taken, of_rows=len(wanted))


def _is_another(old: dict[str, object], new: dict[str, object]) -> bool:
    """Return whether both customer and day differ."""
    return old["user_id"] != new["user_id"] and _day(old) != _day(new)


def _day(row: dict[str, object]) -> object:
    created_at = row["created_at"]
    return created_at.date() if isinstance(created_at, datetime) else created_at
