"""Compare what derives from ledger and clean zone with what is built from nothing.

Audits use none of it: so their faults cannot hide behind each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kpi.contract.model import Contract
from kpi.index.pointers import Pointers
from worker.clean import Workspace
from worker.errors import SourceError
from worker.maintenance.derived_sums import compare_packs, compare_sums, mixed_words
from worker.maintenance.manifests import find_damaged
from worker.state import State
from worker.state.contract_in_force import adopted_contract, adoption_at
from worker.transform.catalog import Catalog
from worker.transform.history import History
from worker.transform.index_upkeep import PointerBuilder, places_after
from worker.transform.indexed_files import IndexedFiles, indexed_columns
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits
from worker.transform.shop.indexed_columns import shop_indexed_columns
from worker.transform.shop.snapshot import ShopSnapshot, open_shop_snapshot
from worker.transform.snapshot import Snapshot, open_index, open_snapshot


@dataclass(frozen=True, kw_only=True)
class _Sum:
    """A set of pointers, told from others by its size and a sum that no order changes."""

    pointers: int = 0
    mixed: int = 0

    def add(self, pointers: Pointers) -> _Sum:
        mixed = int(np.add.reduce(mixed_words(pointers), dtype=np.uint64))
        return _Sum(pointers=self.pointers + len(pointers), mixed=(self.mixed + mixed) % (1 << 64))


async def compare_derived(
    contract: Contract,
    workspace: Workspace,
    state: State,
    limits: TransformLimits = DEFAULT_LIMITS,
) -> list[str]:
    """Compare key index, checkpoint, packs and sums with what ledger and clean zone give.

    Returns:
        What differs, in words; nothing where they are equal, or not there.

    Raises:
        ConfigError, SourceError, StoreError: As `worker.maintenance.audit.audit`.
    """
    progress = await state.progress()
    reached = min([*progress.published.values(), progress.waiting_as_of], default=0)
    if not reached:
        return []
    adopted = adopted_contract(await adoption_at(state, reached), contract)
    opened = open_snapshot if adopted.shop is None else open_shop_snapshot

    async def snapshot(since: int) -> Snapshot | ShopSnapshot:
        return await opened(
            state, reached, workspace, adopted, limits=limits, since=since, with_index=False
        )

    from_nothing = await snapshot(0)
    generation = from_nothing.history.in_force.erasures.generation
    differences = await find_damaged(replace(workspace, generation=generation))
    differences += _compare_history((await snapshot(reached)).history, from_nothing.history)
    if isinstance(from_nothing, ShopSnapshot):
        columns = shop_indexed_columns(from_nothing.shop)
        catalogs = tuple(from_nothing.catalogs.values())
    else:
        columns, catalogs = indexed_columns(from_nothing.contract), from_nothing.catalogs
    differences += await compare_packs(from_nothing, workspace, catalogs)
    secret = await state.erasure_key()
    if secret is None:
        return differences
    differences += await compare_sums(from_nothing, workspace, state, reached)
    indexed = await open_index(workspace, secret, columns, catalogs)
    return differences + await _compare_index(indexed, catalogs, limits)


def _compare_history(found: History, expected: History) -> list[str]:
    """Compare the uploads of a checkpoint, and of the records after it, with the ledger's."""
    if found.checkpoint.failure is not None:
        return [f"the checkpoint cannot be read: {found.checkpoint.failure}"]
    up_to = found.checkpoint.uploads.up_to
    if not up_to or _rows_of(found) == _rows_of(expected):
        return []
    return [f"the checkpoint as of {up_to} has other uploads than the ledger"]


def _rows_of(history: History) -> dict[str, list[object]]:
    names = history.rows.column_names
    table = history.rows.take(names, np.arange(len(history.rows)))
    columns = {name: table.column(name).to_pylist() for name in names}
    # A column of bounds that no row has may be missing.
    kept = {
        name: values
        for name, values in columns.items()
        if any(value is not None for value in values)
    }
    return {**kept, "place": history.places.tolist()}


async def _compare_index(
    indexed: IndexedFiles, catalogs: Sequence[Catalog], limits: TransformLimits
) -> list[str]:
    """Compare the pointers of the key index with those of the clean rows."""
    index = indexed.index
    if not index.manifest.up_to:
        return []
    built = await _built([one.with_uncounted() for one in catalogs], indexed, limits)
    differences = []
    for name in index.manifest.tables:
        try:
            found = await _sum_of(index.pointers(name))
        except SourceError as error:
            return [f"the key index cannot be read: {error}"]
        expected = built.get(name, _Sum())
        if found != expected:
            differences.append(
                f"the key index has {found.pointers} pointers of {name} that are not those of "
                f"{expected.pointers} clean rows"
            )
    return differences


async def _sum_of(parts: AsyncIterator[Pointers]) -> _Sum:
    total = _Sum()
    async for part in parts:
        total = total.add(part)
    return total


async def _built(
    catalogs: Sequence[Catalog], indexed: IndexedFiles, limits: TransformLimits
) -> dict[str, _Sum]:
    """Build the pointers of all files that the index covers, a stride at a time."""
    totals: dict[str, _Sum] = defaultdict(_Sum)

    def add(builder: PointerBuilder) -> None:
        for name, pointers in builder.take().items():
            totals[name] = totals[name].add(pointers)

    builder = PointerBuilder(indexed.tables, indexed.index, limits.read_rows)
    up_to = indexed.index.manifest.up_to
    for sequence, first_row, file in places_after(catalogs, indexed, 0):
        if sequence <= up_to:
            if builder.pointers >= limits.stride_pointers:
                add(builder)
            await builder.add(sequence, first_row, file)
    add(builder)
    return totals
